"""The demo: a world, the whole chain, and a look at what the store now serves."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.panel import Panel
from rich.rule import Rule

from jobs.cli.context import app, cli, escaped, out
from jobs.cli.engine import engine
from jobs.cli.ingest import source_options
from jobs.cli.inspect import images_folder, open_reader
from jobs.cli.run import make_world
from jobs.engine.scheduler import start_spark

if TYPE_CHECKING:
    from jobs.lake.query import Tables


@app.command()
def demo() -> None:
    """Simulate a world, run the whole flow on it, show a feed and related pins from the store.

    Run again, it resumes: jobs that are up to date are skipped.
    """
    started = time.monotonic()
    out.print(Rule("1  a world, written as TiCDC, Dumpling and Kafka files", align="left"))
    with ThreadPoolExecutor(1) as aside:  # the JVM starts on the other core meanwhile
        session = aside.submit(start_spark, cli.loaded)
        make_world()
        session.result()
    out.print(Rule("2  the flow: change logs in, a generation out", align="left"))
    from jobs.lake.query import Tables

    with engine(source_options()) as on:
        as_of = on.flow(None)
        tables = Tables(on.runner.lake.root)
        user, pin = _examples(tables, as_of)
        saves = _recent_saves(tables, as_of, user)
        learned = _learned(tables, as_of)
        docs = on.runner.validator.build_docs()
    seconds = time.monotonic() - started
    out.print(Rule("3  what the online store serves now", align="left"))
    page = _show(user, pin, saves, learned)
    out.print(_next(user, pin, page, docs, seconds))


def _show(user: int, pin: int, saves: list[int], learned: bool | None) -> Path:
    from jobs.cli.views import show_feed, show_related
    from jobs.report.feed_page import write_page

    reader = open_reader()
    show_feed(reader, user, out, 10)
    show_related(reader, pin, out, 8)
    folder = Path(cli.path(cli.loaded.settings.platform.work)) / "reports"
    return write_page(folder, reader, user, pin, images=images_folder(), saved=saves, learned=learned)


def _examples(tables: "Tables", as_of: date) -> tuple[int, int]:
    """Return a user with many saves and a feed of their own, and the first pin of that feed with related pins."""
    fed = "user_id in (select user_id from home_feed where as_of = "
    rich = f"is_active and n_saves between 15 and 80 and {fed}date '{as_of}') order by n_saves desc, user_id limit 1"
    users = _rows(tables, as_of, "user_profile", "user_id", rich, "home_feed")
    users = users or _rows(tables, as_of, "home_feed", "user_id", "true order by user_id limit 1")
    user = int(users[0]["user_id"])  # the gate refuses an empty generation
    related = f"pin_id in (select pin_id from related_pins where as_of = date '{as_of}')"  # noqa: S608 - a date
    mine = f"user_id = {user} and {related} order by position limit 1"
    pins = _rows(tables, as_of, "home_feed", "pin_id", mine, "related_pins")
    pins = pins or _rows(tables, as_of, "related_pins", "pin_id", "true order by pin_id limit 1")
    return user, int(pins[0]["pin_id"]) if pins else 0


def _rows(tables: "Tables", as_of: date, table: str, columns: str, where: str, *more: str) -> list[dict[str, Any]]:
    query = f"select {columns} from {table} where as_of = date '{as_of}' and {where}"  # noqa: S608 - constants and a date
    return tables.ask(query, {f"gold.{name}": None for name in (table, *more)})


def _recent_saves(tables: "Tables", as_of: date, user: int) -> list[int]:
    rows = _rows(tables, as_of, "user_profile", "recent_saves", f"user_id = {user}")
    return list(rows[0]["recent_saves"] or [])[:12] if rows else []


def _learned(tables: "Tables", as_of: date) -> bool | None:
    """Return whether the feeds of that day were scored by a model."""
    rows = _rows(tables, as_of, "ranker", "model is not null as learned", "true")
    return bool(rows[0]["learned"]) if rows else None


def _next(user: int, pin: int, page: Path, docs: Path | None, seconds: float) -> Panel:
    lines = [
        f"The same feed as images:  [bold]{escaped(page)}[/]",
        f"What was checked:           [bold]{escaped(docs)}[/]" if docs else "",
        "",
        f"pinlake feed {user}              that feed, from the store",
        f"pinlake related {pin}           pins beside a pin",
        f"pinlake why {user} {pin}         who proposed it, its score, its place",
        "pinlake report                the whole run on one page: the flow, its checks, how good the feeds are",
        "pinlake runs                  what ran, rows, seconds, memory",
        "pinlake tables gold.home_feed what a table holds",
        "pinlake sql \"select model, k, value, lower, upper from gold.evaluations where metric = 'ndcg'\"",
        "pinlake generations           what the store holds; [dim]pinlake rollback[/] goes back",
        "",
        "Tables to look at first: gold.home_feed, gold.feed_drops, gold.evaluations, ops.runs, ops.quarantine",
    ]
    text = "\n".join(line for line in lines if line is not None)
    return Panel(text, title=f"Done in {seconds:.0f} s. Where to look next (commands: .venv/bin)", title_align="left")

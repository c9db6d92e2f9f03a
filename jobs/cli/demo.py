"""The demo: a world, the whole chain, and a look at what the store now serves."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.rule import Rule

from jobs.cli.context import cli, escaped, out
from jobs.cli.engine import engine
from jobs.cli.ingest import source_options
from jobs.cli.inspect import images_folder, open_reader
from jobs.cli.run import make_world
from jobs.engine.scheduler import start_spark

if TYPE_CHECKING:
    from jobs.lake.delta import Lake


def run_demo() -> None:
    """Make the world, run the flow, print one feed and one pin's related pins from the store, write the page."""
    started = time.monotonic()
    out.print(Rule("1  a world, written as TiCDC, Dumpling and Kafka files", align="left"))
    with ThreadPoolExecutor(1) as aside:  # the JVM starts on the other core meanwhile
        session = aside.submit(start_spark, cli.loaded)
        make_world()
        session.result()
    out.print(Rule("2  the flow: change logs in, a generation out", align="left"))
    with engine(source_options()) as on:
        cut = on.flow(None)
        user, pin = _examples(on.runner.lake, cut)
        saves = _recent_saves(on.runner.lake, cut, user)
        learned = _learned(on.runner.lake, cut)
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


def _examples(lake: "Lake", cut: date) -> tuple[int, int]:
    """Return a user with many saves and a feed of their own, and the first pin of that feed with related pins."""
    day = f"as_of = DATE'{cut}'"
    profiles = lake.read("gold.user_profile").where(day).where("is_active and n_saves between 15 and 80")
    feeds = lake.read("gold.home_feed").where(day)
    rich = feeds.groupBy("user_id").agg({"reason": "count"}).join(profiles.select("user_id", "n_saves"), "user_id")
    user = rich.orderBy("n_saves", "user_id", ascending=[False, True]).first()
    if user is None:
        user = feeds.orderBy("user_id").first()
    assert user is not None  # noqa: S101 - the gate refuses an empty generation
    related = lake.read("gold.related_pins").where(day).select("pin_id").distinct()
    mine = feeds.where(feeds["user_id"] == user["user_id"]).join(related, "pin_id").orderBy("position").first()
    pin = mine if mine is not None else related.orderBy("pin_id").first()
    return int(user["user_id"]), int(pin["pin_id"]) if pin is not None else 0


def _recent_saves(lake: "Lake", cut: date, user: int) -> list[int]:
    row = lake.read("gold.user_profile").where(f"as_of = DATE'{cut}' and user_id = {user}").first()
    return list(row["recent_saves"] or [])[:12] if row is not None else []


def _learned(lake: "Lake", cut: date) -> bool | None:
    """Return whether the feeds of the cut were scored by a model."""
    row = lake.read("gold.ranker").where(f"as_of = DATE'{cut}'").select("model").first()
    return None if row is None else row["model"] is not None


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

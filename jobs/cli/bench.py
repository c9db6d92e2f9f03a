"""`pinlake benchmark …`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.app import STATE, app, out, print_json

if TYPE_CHECKING:
    from jobs.cli.engine import Engine
    from jobs.config import Settings

benchmarks = typer.Typer(help="Measurements beside a named alternative, in one run.", no_args_is_help=True)
app.add_typer(benchmarks, name="benchmark")


@benchmarks.callback()
def group() -> None:
    """Measurements beside a named alternative, in one run."""


@benchmarks.command()
def quality(
    data: Annotated[Path, typer.Option(help="Folder with train and test: `user item item …` or `user,item` lines.")],
    factors: Annotated[int, typer.Option(help="Length of the factor vectors, both sides.")] = 128,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Rank a real data set by way of the whole platform and by `implicit` directly; print both.

    `pinlake benchmark quality --data data/pinterest-37k`
    """
    from rich.table import Table

    from jobs.benchmark.quality import plain, run_quality, settings_for

    settings = settings_for(STATE.loaded.settings, factors)
    with tempfile.TemporaryDirectory(prefix="pinlake-quality-") as scratch:
        found = run_quality(data, settings, lambda train: platform_lists(train, settings, Path(scratch), as_json))
    if as_json:
        print_json(plain(found))
        return
    table = Table("", "Recall@20", "NDCG@20", "users", "seconds", header_style="bold")
    for one in found:
        table.add_row(one.model, f"{one.recall:.5f}", f"{one.ndcg:.5f}", f"{one.users:,}", f"{one.seconds:.0f}")
    out.print(table)


def platform_lists(train: Path, settings: "Settings", scratch: Path, quiet: bool = False) -> tuple[Any, Any]:
    """Return users and their lists: the file made into sources, ingested, trained on, searched."""
    from jobs.cli.engine import engine

    out.quiet = quiet
    with engine(sources_of(train, settings, scratch), settings, str(scratch / "lake")) as on:
        found = searched(on)
    out.quiet = False
    return found


def sources_of(train: Path, settings: "Settings", scratch: Path) -> dict[str, Any]:
    """Make the training file into change logs; return where ingest finds them."""
    from jobs.world.interactions import write_interactions

    write_interactions(train, settings, scratch / "world")
    return {"ticdc": str(scratch / "world/ticdc"), "dumpling": str(scratch / "world/dumpling"), "kafka": []}


def searched(on: "Engine") -> tuple[Any, Any]:
    """Ingest, train, search; return users [n] and their pins [n, K], -1 where a list is shorter."""
    import numpy as np
    from pyspark.sql import functions as F

    from jobs.benchmark.quality import K
    from jobs.flow import job
    from jobs.plan import plan

    on.ingest()
    first, cut = on.runner.cut(None)
    on.steps(plan(cut, on.runner.settings.ranking.horizon_days, [job("candidates.collaborative")], first))
    rows = on.runner.lake.read("gold.candidates").where(F.col("rank") <= K).select("user_id", "pin_id", "rank")
    table = rows.toArrow()  # bounded: K rows a user of the data set
    users, place = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    lists = np.full((len(users), K), -1, np.int64)
    lists[place, table["rank"].to_numpy() - 1] = table["pin_id"].to_numpy()
    return users, lists

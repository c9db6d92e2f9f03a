"""Commands that look, without Spark: feed, related, tables, runs, generations, rollback, config."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.context import app, cli, escaped, out, print_json
from jobs.cli.grid import print_grid
from jobs.common.errors import ConfigError, TableError

Json = Annotated[bool, typer.Option("--json", help="For a program to read.")]
SHOWN = 20
Length = Annotated[int | None, typer.Option(help="Pins shown. [20, and all with --json]", min=1)]


def open_reader() -> Any:
    """Return a reader of the configured store."""
    from jobs.serving.reader import Reader

    return Reader(_store(), cli.loaded.settings.publish.pointer_seconds)


def _store() -> Any:
    from jobs.serving.registry import configured

    publish = cli.loaded.settings.publish
    return configured(publish, cli.path(publish.path))


@app.command()
def feed(user: int, as_json: Json = False, length: Length = None) -> None:
    """Show a user's home feed as the online store serves it, with reasons.

    `pinlake feed 17` · `pinlake feed 17 --json`
    """
    from jobs.cli.views import feed_plain, show_feed

    reader = open_reader()
    print_json(feed_plain(reader, user, length)) if as_json else show_feed(reader, user, out, length or SHOWN)


@app.command()
def related(pin: int, as_json: Json = False, length: Length = None) -> None:
    """Show the related pins of a pin as the online store serves them.

    `pinlake related 4711`
    """
    from jobs.cli.views import related_plain, show_related

    reader = open_reader()
    print_json(related_plain(reader, pin, length)) if as_json else show_related(reader, pin, out, length or SHOWN)


def _delta(name: str) -> Any:
    from jobs.lake.delta_rs import exists, open_table

    root = cli.path(cli.loaded.settings.platform.lake)
    path = f"{root}/{name.replace('.', '/', 1)}"
    if not exists(path):
        raise TableError(f"Table {name} does not exist in {root}: run `pinlake flow` first.")
    return open_table(path)


def _rows(name: str, where: list[tuple[str, str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a gold or ops table that satisfy `where`: pruned by partition and file statistics."""
    import pyarrow.compute as pc

    condition = None
    for column, _, value in where:
        one = pc.field(column) == value
        condition = one if condition is None else condition & one
    rows: list[dict[str, Any]] = _delta(name).to_pyarrow_dataset().to_table(filter=condition).to_pylist()
    return rows


@app.command()
def tables(name: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """List the tables of the lake, or the columns of one.

    `pinlake tables` · `pinlake tables gold.home_feed`
    """
    from jobs.schema.tables import TABLES, table

    if name is not None:
        known = table(name)
        columns = [{"column": c.name, "type": c.type, "comment": c.comment} for c in known.columns]
        if as_json:
            print_json({"table": name, "comment": known.comment, "grain": known.grain, "columns": columns})
            return
        out.print(f"[bold]{name}[/]: {escaped(known.comment)} Grain: {escaped(known.grain)}.", highlight=False)
        _grid(columns)
        return
    found = [{"table": t.name, **_size(t.name), "grain": t.grain, "comment": t.comment} for t in TABLES.values()]
    print_json(found) if as_json else _grid(found)


def _size(name: str) -> dict[str, Any]:
    try:
        table = _delta(name)
    except TableError:
        return {"version": None, "rows": None}
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True))
    counts = actions["num_records"].to_pylist() if "num_records" in actions.column_names else []
    return {"version": table.version(), "rows": sum(c or 0 for c in counts)}


@app.command()
def runs(
    last: Annotated[int, typer.Option(help="Newest runs shown.", min=1)] = 30,
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    as_json: Json = False,
) -> None:
    """List runs: job, as-of date, rows, seconds, peak memory, errors.

    `pinlake runs --job ranking.ranked` · `pinlake runs --json`
    """
    from jobs.flow import JOBS
    from jobs.flow import job as named

    try:
        rows = _rows("ops.runs", [("job", "=", job)] if job else [])
    except TableError:
        rows = []
        if job is None or job in JOBS:
            raise
    if job is not None and not rows:
        named(job)  # refuses a name that nothing has
    rows = sorted(rows, key=lambda row: row["started_at"])[-last:]
    for row in rows:
        row["counts"], row["inputs"] = dict(row["counts"] or []), dict(row["inputs"] or [])
    if as_json:
        print_json(rows)
        return
    shown = ("started_at", "job", "as_of", "status", "rows", "seconds", "peak_mb", "error")
    _grid([{key: _short(row[key]) for key in shown} for row in rows])


def _short(value: Any) -> Any:
    return value.strftime("%m-%d %H:%M:%S") if hasattr(value, "strftime") and hasattr(value, "hour") else value


@app.command()
def generations(
    diff: Annotated[tuple[str, str] | None, typer.Option(help="Compare two generations' feeds.")] = None,
    as_json: Json = False,
) -> None:
    """List the generations in the online store; the served one is marked.

    `pinlake generations` · `pinlake generations --diff g20261031-ab12cd34 g20261101-ff00aa11`
    """
    from jobs.cli.views import generations_plain, show_diff, show_generations
    from jobs.publish.diff import diff as compare

    store = _store()
    if diff is not None:
        found = compare(store, *diff)
        print_json(found.plain()) if as_json else show_diff(found, out)
    else:
        print_json(generations_plain(store)) if as_json else show_generations(store, out)


@app.command()
def rollback(to: Annotated[str | None, typer.Argument(help="Generation. [the one served before]")] = None) -> None:
    """Serve the previous generation again, or the one named; only the pointer moves.

    `pinlake rollback` · `pinlake rollback g20261031-ab12cd34`
    """
    from jobs.publish.generations import rollback as move

    pointer = move(_store(), to)
    out.print(f"Now serving {escaped(pointer.current)}. `pinlake generations` lists all.", highlight=False)


@app.command()
def config(key: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Print every setting, its value and its origin; with KEY, those that begin with it.

    `pinlake config` · `pinlake config ranking` · `pinlake config --json`
    """
    from jobs.common.redaction import masked
    from jobs.settings.load import flat, sentences

    loaded = cli.loaded
    said = sentences(loaded.settings)
    found = [
        {"key": k, "value": masked(k, v), "from": loaded.where(k), "meaning": said[k]}
        for k, v in flat(loaded.settings).items()
        if key is None or k.startswith(key)
    ]
    if not found:
        from jobs.settings.names import suggestion

        known = {*said, *(name.rpartition(".")[0] for name in said)}
        meant = suggestion(str(key), known)
        raise ConfigError(f"No setting begins with {key!r}.{meant} `pinlake config` lists all.")
    print_json(found) if as_json else _grid([row | {"value": str(row["value"])} for row in found])


def _grid(rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0]) if rows else ["nothing yet"]
    cells = [[_cell(value) for value in row.values()] for row in rows]
    print_grid(out, columns, cells, box=None)


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:,}" if type(value) is int else str(value)
    return " ".join(text.splitlines())


def images_folder() -> Path | None:
    """Return where the world's images lie, None if there are none."""
    folder = Path(cli.path(cli.loaded.settings.platform.sources)) / "images"
    return folder if folder.is_dir() else None

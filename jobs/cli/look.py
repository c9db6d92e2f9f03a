"""Commands that look, without Spark: feed, related, why, tables, runs, generations, rollback, config."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.app import STATE, app, err, escaped, out, print_json
from jobs.cli.grid import print_grid
from jobs.errors import TableError

Json = Annotated[bool, typer.Option("--json", help="For a program to read.")]


def open_reader() -> Any:
    """Return a reader of the configured store."""
    from jobs.publish.reader import Reader

    return Reader(_store(), STATE.loaded.settings.publish.pointer_seconds)


def _store() -> Any:
    from jobs.publish.stores import configured

    publish = STATE.loaded.settings.publish
    return configured(publish, STATE.path(publish.path))


@app.command()
def feed(user: int, as_json: Json = False, length: Annotated[int, typer.Option(help="Pins shown.")] = 20) -> None:
    """Show a user's home feed as the online store serves it, with reasons.

    `pinlake feed 17` · `pinlake feed 17 --json`
    """
    from jobs.publish.views import feed_plain, show_feed

    reader = open_reader()
    print_json(feed_plain(reader, user)) if as_json else show_feed(reader, user, out, length)


@app.command()
def related(pin: int, as_json: Json = False, length: Annotated[int, typer.Option(help="Pins shown.")] = 20) -> None:
    """Show the pins served beside a pin.

    `pinlake related 4711`
    """
    from jobs.publish.views import related_plain, show_related

    reader = open_reader()
    print_json(related_plain(reader, pin)) if as_json else show_related(reader, pin, out, length)


def _delta(name: str) -> Any:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    root = STATE.path(STATE.loaded.settings.platform.lake)
    try:
        return DeltaTable(f"{root}/{name.replace('.', '/', 1)}")
    except TableNotFoundError:
        raise TableError(f"Table {name} does not exist in {root}: run `pinlake flow` first.") from None


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
def why(
    user: int,
    pin: int,
    as_of: Annotated[str | None, typer.Option("--as-of", help="The cut. [that of the served generation]")] = None,
    as_json: Json = False,
) -> None:
    """Say why a pin is, or is not, in a user's feed: who proposed it, its score, the rule that dropped it.

    `pinlake why 17 4711`
    """
    from jobs.cli.work import parse_day

    day = parse_day(as_of) or date.fromisoformat(str(open_reader().home_feed(user).as_of))
    key = [("as_of", "=", day), ("user_id", "=", user), ("pin_id", "=", pin)]
    ranked, proposals = _rows("gold.ranked", key), _rows("gold.candidates", key)
    if as_json:
        print_json({"as_of": day, "ranked": ranked, "candidates": proposals})
        return
    if not ranked:
        out.print(f"No source proposed pin {pin} to user {user} on {day}: it was never a candidate.")
        return
    out.print(_verdict(ranked[0], day), highlight=False)
    cells = [
        (
            row["source"],
            row["rank"],
            f"{row['score']:.4f}",
            f"{row['evidence_kind']} {row['evidence_id'] or ''}".strip(),
        )
        for row in sorted(proposals, key=lambda r: (r["rank"], r["source"]))
    ]
    print_grid(out, ("source", "rank", "score", "went by"), cells)


def _verdict(row: Mapping[str, Any], day: date) -> str:
    head = f"Pin {row['pin_id']} for user {row['user_id']} on {day}: score {row['score']:.4f}, "
    if row["position"] is not None:
        return head + f"[green]place {row['position']}[/] in the feed, reason {row['reason']} {row['reason_id'] or ''}."
    if row["rule"]:
        return head + f"[red]dropped[/] by rule {row['rule']}."
    return head + "not in the feed: others scored higher or were more different."


@app.command()
def tables(name: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """List the tables of the lake, or the columns of one.

    `pinlake tables` · `pinlake tables gold.home_feed`
    """
    from jobs.lake.tables import TABLES, table

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
    last: Annotated[int, typer.Option(help="Newest runs shown.")] = 30,
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    as_json: Json = False,
) -> None:
    """List what ran: job, cut, rows, seconds, peak memory, and what failed.

    `pinlake runs --job ranking.ranked` · `pinlake runs --json`
    """
    rows = _rows("ops.runs", [("job", "=", job)] if job else [])
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
    from jobs.publish.diff import diff as compare
    from jobs.publish.views import generations_plain, show_diff, show_generations

    store = _store()
    if diff is not None:
        found = compare(store, *diff)
        print_json(found.plain()) if as_json else show_diff(found, out)
    else:
        print_json(generations_plain(store)) if as_json else show_generations(store, out)


@app.command()
def rollback(to: Annotated[str | None, typer.Argument(help="Generation. [the one served before]")] = None) -> None:
    """Serve the previous generation again, or the one named: only the pointer moves.

    `pinlake rollback` · `pinlake rollback g20261031-ab12cd34`
    """
    from jobs.publish.keep import rollback as move

    pointer = move(_store(), to)
    out.print(f"Now serving {escaped(pointer.current)}. `pinlake generations` lists all.", highlight=False)


@app.command()
def config(key: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Print every setting, its value and the file it came from; with KEY, those that begin with it.

    `pinlake config` · `pinlake config ranking` · `pinlake config --json`
    """
    from jobs.redaction import masked
    from jobs.settings import flat, sentences

    loaded = STATE.loaded
    said = sentences(loaded.settings)
    found = [
        {"key": k, "value": masked(k, v), "from": loaded.where(k), "meaning": said[k]}
        for k, v in flat(loaded.settings).items()
        if key is None or k.startswith(key)
    ]
    if not found:
        err.print(f"No setting begins with {key!r}.", markup=False)
        raise typer.Exit(2)
    print_json(found) if as_json else _grid(found)


def _grid(rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0]) if rows else ["nothing yet"]
    cells = [["" if v is None else f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()] for row in rows]
    print_grid(out, columns, cells, box=None)


def images_folder() -> Path | None:
    """Return where the world's pictures lie, None if there are none."""
    folder = Path(STATE.path(STATE.loaded.settings.platform.sources)) / "images"
    return folder if folder.is_dir() else None

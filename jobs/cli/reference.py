"""Files written from the code: commands, jobs, tables, settings, columns expected of sources, and conf/base.

`make docs` writes them; a test fails where one is out of date.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from jobs.flow import FLOW, WRITERS
from jobs.schema.table import AsOf, Table
from jobs.schema.tables import TABLES
from jobs.settings import Settings
from jobs.settings.defaults import base_file, settings_of

WRITTEN = "<!-- Written by `make docs` from the code: change it there. -->"


def reference() -> str:
    """Return the page of commands, jobs and tables."""
    parts = (
        "# Reference",
        WRITTEN,
        "## Commands",
        "Commands lie in `.venv/bin`. `--json` makes output for programs; `--set KEY=VALUE`, `--lake`, `--env` and "
        "`--debug` may stand before or behind the command. `pinlake COMMAND --help` lists a command's options, "
        "`pinlake --help` the exit codes.",
        _table(("command", "what it does"), _commands()),
        "## Jobs",
        "In the order of the flow (`jobs/flow.py`). A job runs when its inputs, its settings or its code have changed.",
        _table(("job", "what it does", "writes"), ((f"`{j.name}`", j.summary, _code(j.writes)) for j in FLOW)),
        "## Tables",
        "`pinlake tables NAME` explains each column. Silver has a table for every table of the source; those below are "
        "read by jobs.",
        _table(("table", "one row is", "what it holds", "made by"), map(_table_row, TABLES.values())),
    )
    return "\n\n".join(parts) + "\n"


def input_contract() -> str:
    """Return the page of the tables and events that jobs read, column by column."""
    read = {name.partition("@")[0] for job in FLOW for name in (*job.reads, *job.optional_reads)}
    sources = [table for name, table in TABLES.items() if name in read and table.layer == "silver"]
    states = [table for table in sources if table.source]
    events = [table for table in sources if table.time in {AsOf.EVENTS, AsOf.LATEST} and not table.source]
    parts = [
        "# Input contract",
        WRITTEN,
        "What the jobs expect of a source. Further tables and columns are welcome: ingest brings them to silver, no "
        "job reads them. `pinlake ingest` reports a table or column that is missing, and the jobs that read it are "
        "refused by name. How sources must be written (TiCDC, Dumpling, Kafka): [ingest](ingest.md).",
        "## Tables of TiDB",
        *(text for table in states for text in _contract(table)),
        "## Events of Kafka",
        "A message is one JSON object (or Avro, [ingest](ingest.md#what-messages-are)) with these fields.",
        *(text for table in events for text in _contract(table)),
    ]
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    """Return the page of all settings."""
    parts = [
        "# Settings",
        WRITTEN,
        "Later wins: default, `conf/base/*.yaml` (the defaults, written from the models), `conf/<env>/*.yaml`, "
        "variables `PINLAKE_<SECTION>__<KEY>` (two underscores per level), `--set section.key=value`. How values are "
        "read and checked: [operations](operations.md#settings).",
        "A changed setting re-runs the jobs whose last run read it, and jobs downstream whose inputs changed with "
        'them. To list those jobs: `pinlake sql "select distinct job from ops.runs where '
        "settings['ranking.feed_length'] is not null\"`.",
        *(text for name in Settings.model_fields for text in _section(name)),
    ]
    return "\n\n".join(parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference.md": reference,
    "input-contract.md": input_contract,
    "settings.md": settings,
    **{f"../conf/base/{name}.yaml": partial(base_file, name) for name in Settings.model_fields},
}
"""File, relative to docs/, and the function that returns its text."""


def write(folder: Path) -> list[Path]:
    """Write every page; return their paths."""
    for name, make in PAGES.items():
        (folder / name).write_text(make())
    return [folder / name for name in PAGES]


def _section(name: str) -> Iterator[str]:
    yield f"## `{name}`"
    yield str(Settings.model_fields[name].description)
    rows = ((f"`{s.key}`", s.kind, f"`{s.default}`" if s.default else "", s.sentence) for s in settings_of(name))
    yield _table(("setting", "type", "default", "what it does"), rows)


def _contract(table: Table) -> Iterator[str]:
    yield f"### `{table.source or table.name.removeprefix('silver.')}`"
    optional = " A source may lack it." if table.optional else ""
    yield f"{table.comment} In the lake: `{table.name}`, {table.grain}.{optional}"
    columns = [c for c in table.columns if not c.name.startswith("_") and c.name not in {"ds", "run_id"}]
    rows = ((f"`{c.name}`", f"`{c.type}`", "" if c.nullable else "yes", c.comment) for c in columns)
    yield _table(("column", "type", "required", "what it holds"), rows)


def _table_row(table: Table) -> tuple[str, ...]:
    makers = ", ".join(f"`{job.name}`" for job in WRITERS.get(table.name, ()))
    return f"`{table.name}`", table.grain, table.comment, makers


def _commands() -> Iterator[tuple[str, str]]:
    import typer

    from jobs.cli.app import app

    root = typer.main.get_command(app)
    yield from sorted(_below(root, "pinlake"))


def _below(command: Any, path: str) -> Iterator[tuple[str, str]]:
    for name, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from _below(one, f"{path} {name}")
            continue
        arguments = [p.metavar or p.name for p in one.params if p.param_type_name == "argument"]
        usage = " ".join([path, name, *(a.upper() for a in arguments)])
        yield f"`{usage}`", " ".join((one.help or "").split("\n\n", 1)[0].split())


def _code(name: str | None) -> str:
    return f"`{name}`" if name else ""


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(_cell(c) for c in row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    import sys

    for page in write(Path(sys.argv[1])):
        sys.stdout.write(f"{page}\n")

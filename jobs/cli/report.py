"""The command `pinlake report`: one page a run, without Spark."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.context import app, cli, escaped, out
from jobs.cli.inspect import images_folder, open_reader
from jobs.common.errors import PinlakeError


@app.command()
def report(
    run: Annotated[
        str | None,
        typer.Argument(help="A day (its as-of as it stands now) or a run's id. [the newest published as-of]"),
    ] = None,
    out_path: Annotated[
        Path | None, typer.Option("--out", help="File to write, or folder. [reports in platform.work]")
    ] = None,
    docs: Annotated[bool, typer.Option("--docs", help="Build Data Docs first: some ten seconds.")] = False,
) -> None:
    """Write one HTML page about a run: flow, quality, funnel, sample feeds, rejected input.

    With a run's id the page tells how things stood until the same job ran again, so a failure mended since can still be
    looked at. `pinlake report` · `pinlake report 2026-10-31` · `pinlake report RUN_ID --out run.html`
    """
    from jobs.report.page import Places, write_report

    platform = cli.loaded.settings.platform
    work = Path(cli.path(platform.work))
    if docs:
        _build_docs(work)
    places = Places(
        lake=cli.path(platform.lake),
        out=out_path or work / "reports",
        images=images_folder(),
        docs=work / "gx" / "docs",
    )
    path, snapshot = write_report(places, _reader(), run)
    out.print(
        f"Report of {snapshot.run_id or snapshot.as_of or 'ingest'}: [bold]{escaped(path)}[/]",
        highlight=False,
        soft_wrap=True,
    )
    if snapshot.later:
        later = snapshot.later
        out.print(
            f"[yellow]Since then {later['job']} failed[/]: `pinlake report {later['run_id']}` says why.",
            highlight=False,
            soft_wrap=True,
        )


def _reader() -> Any:
    """Return a reader of the store, None where there is none to read: a failed first run has a report too."""
    try:
        return open_reader()
    except PinlakeError:
        return None


def _build_docs(work: Path) -> None:
    from jobs.validate.checks import Validator

    with out.status("Building Data Docs …"):
        Validator(cli.loaded.root / "expectations", cli.loaded.settings, work).build_docs()

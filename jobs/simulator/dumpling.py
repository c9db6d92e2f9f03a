"""Writer of a Dumpling export: CSV in the default dialect (header, backslash escapes, CRLF), as of one TSO."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.simulator.schema import SCHEMA, SqlTable
from jobs.simulator.text import content, csv_text, join, string

_HEAD = "/*!40014 SET FOREIGN_KEY_CHECKS=0*/;\n/*!40101 SET NAMES binary*/;\n"


def csv_lines(table: SqlTable, rows: Any) -> Any:
    r"""Return one CSV line per row of an Arrow table, CRLF included; `rows` has the table's columns by name."""
    parts: list[Any] = []
    for number, column in enumerate(table.columns):
        text = string(rows[column.name])
        parts += ([","] if number else []) + [text if column.numeric else csv_text(text)]
    return join(*parts, "\r\n")


class Export:
    """One export in one folder. Write the tables, then finish."""

    def __init__(self, folder: Path, tso: int) -> None:
        """Begin the export of the state at `tso`."""
        self._folder, self._tso = folder, tso
        folder.mkdir(parents=True, exist_ok=True)
        database = f"CREATE DATABASE `{SCHEMA}` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;\n"
        (folder / f"{SCHEMA}-schema-create.sql").write_text(_HEAD + database)

    def table(self, table: SqlTable, pieces: Iterable[Any]) -> int:
        """Write one table, one file for each piece (an Arrow table); return the number of rows."""
        base = f"{SCHEMA}.{table.name}"
        (self._folder / f"{base}-schema.sql").write_text(_HEAD + table.create_sql())
        header = ",".join(f'"{name}"' for name in table.names).encode() + b"\r\n"
        rows = 0
        for number, piece in enumerate(pieces):
            rows += len(piece)
            with (self._folder / f"{base}.{number:09d}.csv").open("wb") as file:
                file.write(header)
                file.write(content(csv_lines(table, piece)))
        return rows

    def finish(self) -> None:
        """Write `metadata`, which says that the export is complete; its times are those of the snapshot."""
        at = datetime.fromtimestamp((self._tso >> 18) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        status = f"SHOW MASTER STATUS:\n\tLog: tidb-binlog\n\tPos: {self._tso}\n\tGTID:\n\n"
        (self._folder / "metadata").write_text(f"Started dump at: {at}\n{status}Finished dump at: {at}\n")

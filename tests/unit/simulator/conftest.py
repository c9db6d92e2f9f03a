"""One tiny world for all tests of this folder, and a replay of its files that knows nothing of its making."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.settings import Settings
from jobs.settings.simulator import Simulator
from jobs.simulator.output import WorldSummary
from jobs.simulator.write import write_world

TINY = Simulator(users=60, pins=400, days=10, stream_days=8, images=False, sessions_per_day=0.8)


@dataclass(frozen=True)
class Written:
    folder: Path
    summary: WorldSummary

    def truth(self, name):
        return pq.read_table(self.folder / "truth" / f"{name}.parquet").to_pylist()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return Written(folder, write_world(Settings(simulator=TINY), folder))


def csv_rows(path):
    """Yield the fields of each row of a Dumpling file, None for NULL; by characters, as the format is written down."""
    text, place, rows = path.read_bytes().decode(), 0, []
    escapes = {"0": "\0", "n": "\n", "r": "\r"}
    row = []
    while place < len(text):
        if text[place] == '"':
            value, place = "", place + 1
            while text[place] != '"':
                if text[place] == "\\":
                    place += 1
                    value += escapes.get(text[place], text[place])
                else:
                    value += text[place]
                place += 1
            place += 1
        else:
            end = min(i for i in (text.find(",", place), text.find("\r\n", place)) if i >= 0)
            value = None if text[place:end] == "\\N" else text[place:end]
            place = end
        row.append(value)
        if text[place] == ",":
            place += 1
        else:
            assert text[place : place + 2] == "\r\n"
            place += 2
            rows.append(row)
            row = []
    return rows


def feed_lines(folder):
    """Yield (table, version, columns of that version, line) for each line of the feed, files in the order of names."""
    for schema_file in sorted(folder.glob("ticdc/app/*/meta/schema_*.json")):
        definition = json.loads(schema_file.read_text())
        table, version = definition["Table"], definition["TableVersion"]
        for data in sorted(schema_file.parents[1].glob(f"{version}/*/CDC*.json")):
            for line in data.read_bytes().split(b"\r\n"):
                if line:
                    yield table, version, definition["TableColumns"], line


def decoded(columns, row):
    """Return the row with ENUM numbers replaced by their names."""
    members = {c["ColumnName"]: c.get("ColumnElems") for c in columns}
    return {k: members[k][int(v) - 1] if members[k] else v for k, v in row.items()}


def replay(folder, until=None):
    """Return {table: {key: row}} at the checkpoint: the snapshot, then the newest change of each key."""
    checkpoint = until or json.loads((folder / "ticdc/metadata").read_text())["checkpoint-ts"]
    state, keys = {}, {}
    for path in sorted(folder.glob("dumpling/app.*.csv")):
        table = path.name.split(".")[1]
        header, *rows = csv_rows(path)
        ddl = (folder / f"dumpling/app.{table}-schema.sql").read_text()
        keys[table] = ddl.split("PRIMARY KEY (")[1].split(")")[0].replace("`", "").split(",")
        for row in rows:
            named = dict(zip(header, row, strict=True))
            state.setdefault(table, {})[tuple(named[k] for k in keys[table])] = (0, 1, named)
    for table, _, columns, line in feed_lines(folder):
        try:
            change = json.loads(line)
        except ValueError:
            continue
        row, at = decoded(columns, change["data"][0]), change["_tidb"]["commitTs"]
        rank = 0 if change["type"] == "DELETE" else 1
        key = tuple(row[k] for k in keys[table])
        held = state.setdefault(table, {}).get(key, (-1, 0, None))
        if at <= checkpoint and (at, rank) >= held[:2]:
            state[table][key] = (at, rank, row if rank else None)
    return {t: {k: row for k, (_, _, row) in rows.items() if row is not None} for t, rows in state.items()}


@pytest.fixture(scope="session")
def state(tiny):
    return replay(tiny.folder)


@pytest.fixture(scope="session")
def replaying():
    """The readers above, for tests that need them by name."""
    import sys

    return sys.modules[__name__]

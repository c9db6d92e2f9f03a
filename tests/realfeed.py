"""The genuine change feed of the reference data, as it stood at a mark, and the state the source had then."""

import json
import math
import shutil
from decimal import Decimal

import numpy as np


def feed_at(shared, target, mark, checkpoint=None, feed="canal-json"):
    """Copy the feed's files as of a mark to `target`; return where to ingest from."""
    root = shared / "fixtures/ticdc-real"
    for line in (root / f"{feed}.listing-at-{mark}.jsonl").read_text().splitlines():
        path = json.loads(line)["path"]
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / feed / path, target / path)
    ts = checkpoint or json.loads((root / "expected" / mark / "tables.json").read_text())["ts"]
    (target / "metadata").write_text(f'{{"checkpoint-ts":{ts}}}')
    return {"ticdc": str(target), "dumpling": str(shared / "fixtures/dumpling-real/csv-start")}


def expected(shared, mark):
    """Return table -> (columns, key, rows by key) of the state the source had at a mark."""
    folder = shared / "fixtures/ticdc-real/expected" / mark
    found = {}
    for table in json.loads((folder / "tables.json").read_text())["tables"]:
        rows = [json.loads(line) for line in (folder / table["file"]).read_text().split("\n") if line]
        key = table["unique_keys"]["PRIMARY"]
        found[f"{table['schema']}_{table['table']}"] = (
            table["columns"],
            key,
            {tuple(r[k] for k in key): r for r in rows},
        )
    return found


def as_text(column, value):
    """Return a silver value in the form of the expected state."""
    if value is None:
        return None
    kind = column["column_type"]
    if column["form"] == "hex":
        return bytes(value).hex()
    if kind.startswith(("datetime", "timestamp")):
        digits = int(kind.partition("(")[2].rstrip(")") or 0)
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")[: 20 + digits if digits else 19]
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value).zfill(4) if kind.startswith("year") else str(value)


def same(column, found, wanted):
    kind = column["column_type"]
    if found is None or wanted is None:
        return found is wanted
    if kind == "float":  # the snapshot keeps six digits of large ones
        return math.isclose(np.float32(found), np.float32(wanted), rel_tol=1e-5)
    if kind == "double":
        return float(found) == float(wanted)
    return json.loads(found) == json.loads(wanted) if kind == "json" else as_text(column, found) == wanted


def assert_state(lake, shared, mark, names=None):
    wanted = expected(shared, mark)
    for name in names or wanted:
        columns, key, rows = wanted[name]
        table = lake.read(f"silver.{name}").where("not _deleted")
        assert {c["name"] for c in columns} == {c for c in table.columns if not c.startswith("_")}
        by_name = {c["name"]: c for c in columns}
        found = {tuple(as_text(by_name[k], row[k]) for k in key): row for row in table.collect()}
        assert set(found) == set(rows), name
        wrong = [
            (k, c["name"])
            for k, row in found.items()
            for c in columns
            if not same(c, row[c["name"]], rows[k][c["name"]])
        ]
        assert wrong == [], (name, wrong[:5])

"""Inputs after public bug reports, where the folder of reference data is at hand: the right rows, or the table blocked.

Each input is read in a run of its own, on a lake of its own.
"""

import pytest
from pyspark.sql import functions as F

from jobs.common.errors import PinlakeError
from jobs.engine.checkpoints import newest_checkpoints
from jobs.ingest.kafka import job as kafka
from jobs.ingest.tidb import job as cdc
from jobs.settings import Settings
from jobs.settings.ingest import Ingest, TableRules

pytestmark = [pytest.mark.spark, pytest.mark.long]

PARCELS = "silver.shop_parcels"


RIGHT = {
    "add-not-null-json": {"silver.app_t": ("id, j, tm, d", [(i, "null", "00:00:00.000", "0.000") for i in "12"])},
    "column-id-double-to-decimal": ("id, size", ["1.50", "-20.13", "1000.00", "7.25"]),
    "column-id-retyped": ("id, size", ["17", "-4", "2147483647", "3 kg"]),
    "column-id-text-narrowed": ("id, size", ["small", "grün", "", "last"]),
    "double-to-decimal": ("id, size", ["1.50", "-20.13", "1000.00", "7.25"]),
    "text-narrowed": ("id, size", ["small", "grün", "", "last"]),
    "create-table-like": {"silver.app_cpy": ("id, a", [("1", "1")]), "silver.app_ucpy": ("email, n", [("a", "1")])},
    "csv-full-config": {"silver.app_t": ("id, name", [("1", None)])},
    "csv-stored-generated": {
        "silver.shop_frames": ("id, note, area", [(str(i), f"n{i}", str((i + 1) * (i + 2))) for i in range(1, 41)])
    },
    "csv-terminator-and-header": {"silver.app_t": ("id, name", [("1", "one"), ("2", "two")])},
    "ddl-written-twice": {"silver.app_t": ("id, b", None)},
    "double-key": {"silver.app_d": ("k, v", [("1.0E16", "new"), ("1.5", "new"), ("2.0", "stay")])},
    "dump-noquote-csv": {"silver.app_t": ("id, name, n", [("1", "a", "2"), ("2", None, "3"), ("3", "x,y", "4")])},
    "dump-odd-csv": {"silver.app_t": ("id, name, n", [("1", "a", "2"), ("2", None, "3")])},
    "generated-heuristics": {
        "silver.app_multi": ("b", None), "silver.app_comm": ("nick", None), "silver.app_dropadd": ("g", None),
        "silver.app_chk": ("code", [("12",)]), "silver.app_ine": ("id, a", None),
        "silver.app_paren": ("id, a, b", None),
    },
    "partition-id-like-a-year": {"silver.app_t": ("id", None)},
    "recover-table": {
        "silver.app_t": ("id", [("1",), ("2",), ("3",)]), "silver.app_u2": ("id", [("1",), ("2",), ("3",)]),
    },
    "timestamp-key-zones": {"silver.app_e": ("id, v", [("1", "new")])},
    "unique-key-dropped": {"silver.app_subs": ("slot", [("1",), ("2",), ("3",)])},
    "unique-column-dropped": {"silver.app_subs": ("slot", [("1",), ("2",), ("3",)])},
    "view": {"silver.shop_labels": ("id", None)},
}  # fmt: skip
"""Case -> table -> columns and rows as text, None for rows that are looked at elsewhere."""
MAY_BE_BLOCKED = {"recover-table", "unique-key-dropped", "unique-column-dropped"}
ALL_BLOCKED = {
    "every-row-unreadable": {"shop.labels"}, "missing-file-in-the-middle": {"app.t"},
    "gap-between-dump-and-feed": {"app.t"}, "csv-hex-binary": {"app.t"}, "csv-null-token": {"app.t"},
    "dump-template": {"app.t"},
}  # fmt: skip
"""Cases of which every table named must be blocked, or the whole source refused."""
FOUND_OUT = {
    "csv-null-token": lambda lake: lake.read("silver.app_t").where("name IS NULL").count() == 1,
    "csv-hex-binary": lambda lake: (
        {bytes(row["b"]) for row in lake.read("silver.app_t").collect()} == {b"hello world!", b"abcd"}
    ),
}
"""Cases whose dialect may be found out instead."""


def options(folder):
    found = {name: folder / name for name in ("ticdc",)} | {"ticdc": folder / "feed", "dumpling": folder / "dump"}
    if (folder / "ticdc").is_dir():
        found["ticdc"] = folder / "ticdc"
    found["changefeed"] = folder / "changefeed.toml"
    return {name: str(path) for name, path in found.items() if path.exists()}


def blocked(lake):
    return {name: row.blocked_reason for name, row in newest_checkpoints(lake).items() if row.blocked_reason}


@pytest.mark.parametrize("case", sorted(RIGHT))
def test_a_reported_input_is_read_right(lake, work, shared, case):
    folder = shared / "fixtures/reported" / case
    counts = cdc.run(work(**options(folder))).counts
    tables = RIGHT[case]
    if isinstance(tables, tuple):
        columns, sizes = tables
        tables = {PARCELS: (columns, [(str(i), size) for i, size in enumerate(sizes, 1)])}
    blocked_silver = {f"silver.{name.replace('.', '_')}" for name in blocked(lake)}
    assert not blocked_silver or case in MAY_BE_BLOCKED, blocked(lake)
    assert counts["quarantined"] == 0
    for table, (columns, rows) in tables.items():
        if table in blocked_silver:
            continue
        found = (
            lake.read(table)
            .where("NOT _deleted")
            .select(*[F.col(f"`{c}`").cast("string") for c in columns.split(", ")])
        )
        got = sorted((tuple(row) for row in found.collect()), key=str)
        assert got if rows is None else got == sorted(rows, key=str), (table, got)


@pytest.mark.parametrize("case", sorted(ALL_BLOCKED))
def test_a_reported_input_that_cannot_be_read_is_blocked(lake, work, shared, case):
    folder = shared / "fixtures/reported" / case
    try:
        cdc.run(work(**options(folder)))
    except PinlakeError:
        return
    found = blocked(lake)
    assert ALL_BLOCKED[case] <= set(found) or (case in FOUND_OUT and FOUND_OUT[case](lake)), found


def test_a_file_that_an_index_names_and_that_is_not_there_stops_the_checkpoint_before_it(lake, work, shared):
    outcome = cdc.run(work(**options(shared / "fixtures/reported/missing-file-in-the-middle")))
    assert any("app/idx" in path for path in outcome.detail["awaited"])
    complete = {name: row.complete_ts for name, row in newest_checkpoints(lake).items()}
    assert complete["app.idx"] == 460000000001999999


def test_exports_of_every_kind_are_read_or_say_what_is_wrong(lake, work, shared):
    reported = shared / "fixtures/reported"
    with pytest.raises(PinlakeError, match=r"REPLICATION CLIENT|privilege"):
        cdc.run(work(**options(reported / "dump-metadata-without-pos")))
    geo = {"app.geo": TableRules(exclude=True)}
    excluded = Settings(ingest=Ingest(tables=geo))
    counts = cdc.run(work(settings=excluded, **options(reported / "dump-unknown-type-excluded"))).counts
    assert (counts["blocked"], lake.read("silver.app_t").isEmpty()) == (0, False)


@pytest.mark.parametrize(
    ("case", "live", "may_be_blocked"),
    [
        ("dump-view-placeholder", {"app_t": None}, set()),
        ("dump-parquet", {"app_t": 2}, set()),
        ("ddl-misc", dict.fromkeys(("app_ad", "app_ai", "app_bt", "app_cm", "app_df"), 1), {"app.now", "app.dor"}),
        ("extreme-values", {"app_x": 5}, set()),
        ("odd-names", {"my-db_spaces": 2, "my-db_parens": 2, "my-db_own": 2, "my-db_dots": 2}, set()),
        ("reserved-column-names", {}, set()),
        ("silver-name-collision", {"ok_fine": None}, {"a.b_c", "a_b.c"}),
        ("unique-key-on-generated", {}, set()),
    ],
)
def test_no_table_of_a_reported_input_stops_another(lake, work, shared, case, live, may_be_blocked):
    cdc.run(work(**options(shared / "fixtures/reported" / case)))
    found = blocked(lake)
    assert set(found) <= may_be_blocked, found
    for table, rows in live.items():
        count = lake.read(f"silver.{table}").where("NOT _deleted").count()
        assert count == rows or (rows is None and count), table


@pytest.mark.parametrize(
    ("case", "applied", "aside", "blocked_topics"),
    [
        ("kafka-two-objects-in-a-message", 2, 3, 0),
        ("kafka-nan", 5, 15, 0),
        ("kafka-ts-in-seconds", 3, 0, 0),
        ("kafka-whole-files-lost", 0, 5, 1),
        ("kafka-aiven-names", 2, 0, 0),
        ("secor-epoch-format", 0, 1, 0),
        ("secor-hadoop-snappy", 51, 0, 0),
        ("secor-split-by-field", 2, 0, 0),
    ],
)
def test_reported_messages(lake, work, shared, case, applied, aside, blocked_topics):
    counts = kafka.run(work(kafka=[str(shared / "fixtures/reported" / case / "kafka")])).counts
    assert (counts["applied"], counts["quarantined"], counts["blocked"]) == (applied, aside, blocked_topics)

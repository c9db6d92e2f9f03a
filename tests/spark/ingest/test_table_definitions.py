"""Silver of tables with generated columns, with keys that come from definitions, and without any key."""

import pytest

from jobs.ingest.tidb import job as cdc
from jobs.settings.ingest import Ingest, TableRules
from tests.tablefeeds import TableFeed

pytestmark = pytest.mark.spark

SUM = ("applied", "superseded", "pending", "quarantined")


def rows(lake, table):
    """Return the live rows of a silver table, without the platform's own columns."""
    found = lake.read(table).where("not _deleted").drop("_commit_ts", "_op_rank", "_deleted", "_row_id").collect()
    return sorted((tuple(row) for row in found), key=repr)


def test_definitions_decide_what_silver_has(lake, work, ctx, tmp_path):
    feed = TableFeed(tmp_path / "feed")
    create = "CREATE TABLE `app`.`gen` (`id` INT PRIMARY KEY,`v` INT AS (`id`*2) VIRTUAL,`s` INT AS (`id`+1) STORED)"
    feed.ddl(1, "app.gen", create, ["id INT pk", "v INT", "s INT"])
    feed.rows(1, "app.gen", [("I", 2, {"id": 1, "s": 2})])
    add = "ALTER TABLE `app`.`gen` ADD COLUMN `b` INT DEFAULT 7, ADD COLUMN `g` INT AS (`id`), DROP COLUMN `v`"
    feed.ddl(5, "app.gen", add, ["id INT pk", "s INT", "b INT", "g INT"], 61)
    feed.rows(5, "app.gen", [("I", 6, {"id": 2, "s": 3, "b": 4})])
    unique = "`a` INT NOT NULL UNIQUE,`e` INT AS (`a`) NOT NULL UNIQUE,`b` INT NOT NULL UNIQUE"
    three = ["a INT !", "e INT !", "b INT !"]
    feed.ddl(1, "app.uni", f"CREATE TABLE `app`.`uni` ({unique})", three)
    feed.ddl(3, "app.uni2", "CREATE TABLE `app`.`uni2` LIKE `app`.`uni`", three)
    for version, table in ((1, "app.uni"), (3, "app.uni2")):
        feed.rows(version, table, [("I", 4, {"a": 1, "b": 1}), ("U", 5, {"a": 1, "b": 2}, {"a": 1, "b": 1})])
    feed.ddl(6, "app.uni", "DROP INDEX `a` ON `app`.`uni`", three, 8)
    feed.rows(6, "app.uni", [("I", 7, {"a": 1, "b": 8}), ("I", 8, {"a": 1, "b": 9})])
    feed.ddl(1, "app.log", "CREATE TABLE `app`.`log` (`m` VARCHAR(50))", ["m VARCHAR"])
    feed.rows(1, "app.log", [("I", 2, {"m": "x"}), ("I", 2, {"m": "x"}), ("I", 3, {"m": "y"}), ("D", 4, {"m": "y"})])
    rules = Ingest(tables={"app.log": TableRules(keyless="append")})
    settings = ctx.settings.model_copy(update={"ingest": rules})

    def run():
        (feed.root / "metadata").write_text(f'{{"checkpoint-ts":{10**17 + 1000}}}')
        found = cdc.run(work(settings=settings, ticdc=str(feed.root)))
        assert found.counts["read"] + found.counts["carried"] == sum(found.counts[name] for name in SUM)
        return found

    first = run()
    assert rows(lake, "silver.app_gen") == [(1, 2, 7), (2, 3, 4)]
    assert rows(lake, "silver.app_uni2") == [(1, 2)]
    assert rows(lake, "silver.app_uni") == [(1, 2)], "as it was before its key went"
    assert "changes the key from a to b" in first.detail["blocked"]["app.uni"]
    assert rows(lake, "silver.app_log") == [("x",), ("x",), ("y",)]
    assert (first.counts["quarantined"], list(first.detail["blocked"])) == (1, ["app.uni"])
    feed.rows(1, "app.log", [("I", 3, {"m": "y"}), ("I", 5, {"m": "x"})], number=2)
    assert run().counts["applied"] == 1, "the other is a repetition"
    assert rows(lake, "silver.app_log") == [("x",), ("x",), ("x",), ("y",)]

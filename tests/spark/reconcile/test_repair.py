"""Rows that differ taken from a real MariaDB: what bronze and silver have then, what later runs make of it.

One feed of three tables goes on while they are repaired or refused, each in its own way.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from jobs.common.errors import SourceError, TableError
from jobs.ingest.tidb import job as cdc
from jobs.reconcile.repair import Repair, run
from jobs.reconcile.table import Question
from jobs.settings import Settings
from jobs.settings.ingest import Ingest, TableRules
from tests.scenes import lake_at, worker
from tests.spark.ingest.test_cdc import adds_up
from tests.spark.reconcile.conftest import database
from tests.spark.reconcile.steps import compared, from_bronze, live, repaired
from tests.tablefeeds import BASE, TableFeed

pytestmark = pytest.mark.spark

COLUMNS = ["id BIGINT pk", "v VARCHAR"]
RULES = Settings(ingest=Ingest(tables={"app.renamed": TableRules(mask={"v": "hash"})}, mask_secret="a-secret"))


def change(op, key, ts, value="x", old=None):
    return op, ts, {"id": key, "v": value}, old


def write(feed, table, *files):
    for number, changes in enumerate(files, 1):
        feed.rows(5, f"app.{table}", changes, number)


EARLY = [change("I", 1, 10), change("I", 2, 10), change("I", 4, 50)]
AHEAD = [change("U", 3, 150, "later", {"v": "right"})]
LATE = [change("U", 1, 100, "old", {"v": "x"}), change("D", 3, 40), change("U", 4, 60, "old", {"v": "x"})]
NEXT = [change("I", 4, 160, "new")]


def first_files(feed):
    for table in ("t", "renamed", "refused"):
        feed.ddl(5, f"app.{table}", "", COLUMNS, action=0)
    write(feed, "t", EARLY, AHEAD)
    write(feed, "renamed", [change("I", 4, 50), change("I", 1, 50)])
    rename = "ALTER TABLE `app`.`renamed` RENAME COLUMN `id` TO `k`"
    feed.ddl(60, "app.renamed", rename, ["k BIGINT pk", "v VARCHAR"], action=12)
    write(feed, "refused", [change("I", 9, 10)])


class Story:
    """The lake, the feed, the database, and what was said."""

    def __init__(self, lake, folder, link, address):
        self.lake, self.link, self.address = lake, link, address
        self.work, self.feed = worker(lake), TableFeed(folder)
        self.said = {}

    def ingest(self, checkpoint):
        (self.feed.root / "metadata").write_text(f'{{"checkpoint-ts":{BASE + checkpoint}}}')
        return adds_up(cdc.run(self.work(settings=RULES, ticdc=str(self.feed.root))))

    def repair(self, table, **more):
        return repaired(self.lake, self.work, self.address, f"app.{table}", RULES, **more)

    def refuse(self, why, error, found, asked=None):
        """Try a repair that cannot be; nothing may be written."""
        version, asked = self.lake.version("bronze.ledger"), asked or Question("app.refused")
        with pytest.raises(error) as refused:
            run(self.work(settings=RULES, repair=Repair(asked, self.address, found, settled=True)))
        assert self.lake.version("bronze.ledger") == version
        self.said[why] = str(refused.value)

    def refusals(self):
        """Repairs of app.refused that cannot be; the comparison returned is of a checkpoint that will be passed."""
        found = compared(self.lake, self.address, "app.refused")
        self.refuse("incomplete", TableError, replace(found, found=replace(found.found, complete=False)))
        self.link.query("DELETE FROM app.refused WHERE id = 2")
        self.refuse("changed", SourceError, found)
        self.link.query("ALTER TABLE app.refused DROP COLUMN v")
        self.refuse("column", TableError, compared(self.lake, self.address, "app.refused"))
        self.link.query("CREATE TABLE app.other (id BIGINT, v VARCHAR(9) NOT NULL, PRIMARY KEY (v))")
        asked = Question("app.refused", "app.other")
        self.refuse("key", TableError, compared(self.lake, self.address, "app.refused", named="app.other"), asked)
        return found


@pytest.fixture(scope="module")
def told(spark, mariadb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repair")
    with database(mariadb) as (link, address):
        for table in ("t", "renamed", "refused"):
            link.query(f"CREATE TABLE app.{table} (id BIGINT PRIMARY KEY, v VARCHAR(9))")
            link.query(f"INSERT INTO app.{table} VALUES (1, 'right'), (2, 'x'), (3, 'right')")
        yield told_by(Story(lake_at(spark, folder / "lake"), folder / "feed", link, address))


def told_by(story):
    lake, feed = story.lake, story.feed
    first_files(feed)
    pending = story.ingest(100)["pending"]
    passed = story.refusals()
    repairs = {"t": story.repair("t")}
    repaired_state = state(lake)
    write(feed, "t", EARLY, AHEAD, [*LATE, *NEXT])
    after = story.ingest(200)
    story.refuse("passed", TableError, passed)
    after_state = state(lake)
    # last: each run merges the rows of all repairs before it
    story.link.query("ALTER TABLE app.renamed RENAME COLUMN id TO k")
    repairs["renamed"] = story.repair("renamed", masked=("v",))
    states = {"repaired": repaired_state, "after": after_state}
    return SimpleNamespace(lake=lake, pending=pending, said=story.said, repairs=repairs, after=after, states=states)


def state(lake):
    rows = lake.scan("silver.app_t").select("id", "v", "_commit_ts", "_deleted").collect()
    return {(r["id"], r["v"], r["_commit_ts"] - BASE, r["_deleted"]) for r in rows}


def test_rows_are_taken_from_the_source_as_of_the_checkpoint(told):
    assert told.pending == 1
    assert told.repairs["t"] == {"read": 3, "applied": 3, "superseded": 0}
    assert told.states["repaired"] == {
        (1, "right", 100, False), (2, "x", 10, False), (3, "right", 100, False), (4, "x", 100, True),
    }  # fmt: skip


def test_changes_of_the_feed_after_the_moment_win_and_late_ones_before_it_do_not(told):
    # three rows of the repair, and one that was pending
    assert [told.after[name] for name in ("read", "backlog", "applied")] == [4, 4, 2]
    assert {(key, value) for key, value, _, gone in told.states["after"] if not gone} == {
        (1, "right"), (2, "x"), (3, "later"), (4, "new"),
    }  # fmt: skip
    assert live(told.lake, "silver.app_t") == from_bronze(told.lake, "app.t")


def test_a_row_is_taken_away_under_the_name_that_its_key_has_now(told):
    assert told.repairs["renamed"] == {"read": 3, "applied": 3, "superseded": 0}
    rows = live(told.lake, "silver.app_renamed")
    assert {key for key, *_ in rows} == {1, 2, 3}
    assert rows == from_bronze(told.lake, "app.renamed")


def test_masked_columns_are_covered_in_what_is_taken_as_the_feeds_are(told):
    values = {key: value for key, value, _ in live(told.lake, "silver.app_renamed")}
    assert values[1] == values[2] != values[3], "x of the feed, and x and right of the source"
    assert {len(value) for value in values.values()} == {64}


def test_what_cannot_be_repaired_is_refused_and_nothing_is_written(told):
    words = {
        "incomplete": "at least 4 rows differ", "changed": "has changed since", "column": "has no v, which silver has",
        "key": "has the key id in the lake and v", "passed": f"has been ingested up to {BASE + 200} since",
    }  # fmt: skip
    assert {why: word in told.said[why] for why, word in words.items()} == dict.fromkeys(words, True), told.said

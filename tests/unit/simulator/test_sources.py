"""Snapshot and change feed, replayed independently, give the state that the truth and the events tell."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime

import pytest


def ms(text):
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="session")
def lines(tiny, replaying):
    return list(replaying.feed_lines(tiny.folder))


@pytest.fixture(scope="session")
def changes(lines):
    out = []
    for table, version, columns, line in lines:
        try:
            out.append((table, version, columns, json.loads(line)))
        except ValueError:
            continue
    return out


@pytest.fixture(scope="session")
def events(tiny):
    """All good messages of pin_events, each once."""
    found = {}
    for path in sorted(tiny.folder.glob("kafka/secor/pin_events/dt=2*/*.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            found[event["event_id"]] = event
    return list(found.values())


def test_the_state_at_the_checkpoint_is_the_truth(tiny, state):
    end = tiny.summary.checkpoint_tso >> 18
    boards = {str(b["board_id"]): b for b in tiny.truth("boards")}
    assert {k[0]: r["privacy"] for k, r in state["boards"].items()} == {k: b["privacy"] for k, b in boards.items()}
    shared = {k: b["collaborators"] for k, b in boards.items()}
    assert {k[0]: json.loads(r["collaborators"]) for k, r in state["boards"].items()} == shared
    alive = {str(p["pin_id"]) for p in tiny.truth("pins") if not (p["deleted_at"] and p["deleted_at"] < end)}
    assert {k[0] for k in state["pins"]} == alive
    blocks = {(str(b["user_id"]), str(b["blocked_id"])) for b in tiny.truth("blocks")}
    assert set(state["blocks"]) == blocks
    assert len(state["users"]) == tiny.summary.users


def test_some_pins_were_deleted_and_some_boards_closed_in_the_feed(tiny, changes):
    kinds = Counter((table, change["type"]) for table, _, _, change in changes)
    for wanted in (("pins", "DELETE"), ("pins", "UPDATE"), ("board_pins", "DELETE"), ("boards", "UPDATE")):
        assert kinds[wanted] > 0, wanted


def test_every_save_event_is_a_row_made_at_that_very_time(tiny, state, events, changes):
    saves = {(str(e["board_id"]), str(e["pin_id"]), str(e["user_id"]), e["ts"]) for e in events if e["kind"] == "save"}
    made = {
        (r["board_id"], r["pin_id"], r["user_id"], ms(r["saved_at"]))
        for r in [*state["board_pins"].values(), *(c["data"][0] for t, _, _, c in changes if t == "board_pins")]
    }
    start = (tiny.summary.checkpoint_tso >> 18) - 10 * 86_400_000
    snapshot = tiny.summary.snapshot_tso >> 18
    assert saves
    # A save undone before the snapshot has left no row; every later one has.
    assert {s for s in saves if s[3] >= snapshot} <= made
    assert len(saves & made) > 0.9 * len(saves)
    end = tiny.summary.checkpoint_tso >> 18
    moved = {c["data"][0]["pin_id"] for t, _, _, c in changes if t == "board_pins" and c["type"] == "DELETE"}
    unexplained = {m for m in made if start <= m[3] < end and m not in saves and m[1] not in moved}
    assert {(m[1], m[2], m[3]) for m in unexplained} <= {(s[1], s[2], s[3]) for s in saves}


def test_a_moved_save_is_a_delete_and_an_insert_of_one_transaction(changes):
    deleted = {
        (c["data"][0]["pin_id"], c["data"][0]["user_id"], c["_tidb"]["commitTs"]): c["data"][0]["board_id"]
        for t, _, _, c in changes
        if t == "board_pins" and c["type"] == "DELETE"
    }
    moves = [
        c
        for t, _, _, c in changes
        if t == "board_pins"
        and c["type"] == "INSERT"
        and (c["data"][0]["pin_id"], c["data"][0]["user_id"], c["_tidb"]["commitTs"]) in deleted
    ]
    assert moves
    for c in moves:
        key = (c["data"][0]["pin_id"], c["data"][0]["user_id"], c["_tidb"]["commitTs"])
        assert deleted[key] != c["data"][0]["board_id"]


def test_rows_above_the_checkpoint_are_in_the_tree_and_not_in_the_state(tiny, state, changes):
    above = [c for _, _, _, c in changes if c["_tidb"]["commitTs"] > tiny.summary.checkpoint_tso]
    assert len(above) >= 5
    fresh = {(c["data"][0]["board_id"], c["data"][0]["pin_id"]) for c in above if c["table"] == "board_pins"}
    assert fresh
    assert not fresh & set(state["board_pins"])


def test_the_feed_has_what_real_feeds_have(tiny, lines, changes):
    versions = {}
    for table, version, columns, _ in changes:
        versions.setdefault(table, {})[version] = [c["ColumnName"] for c in columns]
    assert len(versions["pins"]) == 2
    old, new = (versions["pins"][v] for v in sorted(versions["pins"]))
    assert [*old, "media_type"] == new
    for _, _, columns, change in changes:
        assert set(change["data"][0]) == {c["ColumnName"] for c in columns}
        assert change["es"] == change["_tidb"]["commitTs"] >> 18
        assert bool(change["old"]) == (change["type"] == "UPDATE")
    texts = [line for _, _, _, line in lines]
    assert len(set(texts)) < len(texts)  # a restarted writer sent rows again
    assert len(texts) - len(changes) == tiny.summary.bad_feed_rows == 3


def test_an_index_ddl_makes_a_new_version_with_the_same_checksum(tiny):
    names = [p.stem.split("_") for p in sorted((tiny.folder / "ticdc/app/users/meta").glob("schema_*"))]
    assert len(names) == 2
    assert names[0][1] != names[1][1]
    assert names[0][2] == names[1][2]


def test_indexes_name_the_newest_file_and_the_last_line_has_no_end(tiny):
    folders = {p.parent for p in tiny.folder.glob("ticdc/app/*/*/*/CDC*.json")}
    assert len(folders) > 10
    for folder in folders:
        newest = max(p.name for p in folder.glob("CDC*.json"))
        assert (folder / "meta/CDC.index").read_text() == newest + "\n"
        assert not (folder / newest).read_bytes().endswith(b"\n")


def test_some_files_are_out_of_order(tiny, replaying):
    firsts = {}
    for table, _, _, line in replaying.feed_lines(tiny.folder):
        if table == "board_pins" and line.endswith(b"}}"):
            firsts.setdefault(table, []).append(json.loads(line)["_tidb"]["commitTs"])
    assert firsts["board_pins"] != sorted(firsts["board_pins"])


def test_the_snapshot_is_named_by_its_tso_and_whole(tiny):
    text = (tiny.folder / "dumpling/metadata").read_text()
    assert f"\tPos: {tiny.summary.snapshot_tso}\n" in text
    assert "Finished dump at" in text


def test_the_archive_repeats_some_events_and_holds_broken_ones(tiny, events):
    good, bad = 0, 0
    for path in tiny.folder.glob("kafka/secor/pin_events/dt=*/*.gz"):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            try:
                json.loads(line)
                good += "1970" not in path.parent.name
                bad += "1970" in path.parent.name
            except ValueError:
                bad += 1
    assert bad == tiny.summary.bad_event_rows == 3
    assert good == tiny.summary.events + tiny.summary.repeated_events
    assert len(events) == tiny.summary.events
    assert tiny.summary.repeated_events > 0


def test_events_lie_in_the_directory_of_their_day(tiny):
    for path in tiny.folder.glob("kafka/secor/pin_events/dt=2*/*.gz"):
        day = path.parent.name[3:]
        for line in gzip.decompress(path.read_bytes()).splitlines():
            if line.endswith(b"}"):
                ts = json.loads(line)["ts"]
                assert datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d") == day

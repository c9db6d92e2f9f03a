"""A file of saves becomes source files that hold exactly those saves."""

import gzip
from collections import Counter

import pytest

from jobs.common.errors import SourceError
from jobs.settings import Settings
from jobs.simulator.interactions.read import Layout, read_interactions
from jobs.simulator.interactions.write import write_interactions


def pairs_in(state):
    return {(int(r["user_id"]), int(r["pin_id"])) for r in state["board_pins"].values()}


def test_pairs_come_out_as_they_went_in_and_repeats_are_one_save(tmp_path, replaying):
    file = tmp_path / "pairs.tsv"
    wanted = [(user, item) for user in range(30) for item in range(user % 5, 40, 7)]
    file.write_text("".join(f"{u}\t{i}\n" for u, i in [*wanted, *wanted[:10]]))
    summary = write_interactions(file, Settings(), tmp_path / "out")
    state = replaying.replay(tmp_path / "out")
    assert pairs_in(state) == set(wanted)
    assert summary.saves == len(wanted)
    assert {int(k[0]) for k in state["pins"]} == {i for _, i in wanted}
    assert {r["privacy"] for r in state["boards"].values()} == {"public"}
    assert all(r["board_id"] == r["user_id"] for r in state["board_pins"].values())
    early = len(replaying.csv_rows(tmp_path / "out/dumpling/app.board_pins.000000000.csv")) - 1
    assert early == pytest.approx(0.8 * len(wanted), abs=2)
    assert write_interactions(file, Settings(), tmp_path / "out").found


def test_makers_of_items_are_nobody_who_saves(tmp_path, replaying):
    file = tmp_path / "pairs.txt"
    file.write_text("3 10\n5 11\n")
    write_interactions(file, Settings(), tmp_path / "out")
    state = replaying.replay(tmp_path / "out")
    assert {int(p["creator_id"]) for p in state["pins"].values()} == {6, 7}
    assert {int(k[0]) for k in state["users"]} == {3, 5, 6, 7}


def test_times_in_the_file_are_kept(tmp_path, replaying):
    file = tmp_path / "timed.csv.gz"
    with gzip.open(file, "wt") as stream:
        stream.write("user,item,timestamp\n1,7,1790000000\n1,8,1790000100\n2,7,1790090000\n")
    summary = write_interactions(file, Settings(), tmp_path / "out")
    saves = replaying.replay(tmp_path / "out")["board_pins"]
    assert saves["1", "8"]["saved_at"] == "2026-09-21 14:15:00.000"
    assert summary.as_of.isoformat() == "2026-09-23"
    assert summary.snapshot_tso < summary.checkpoint_tso


@pytest.mark.parametrize(
    ("text", "layout", "wanted"),
    [
        ("1 2\n3 4\n", "auto", {(1, 2), (3, 4)}),
        ("1 2 3 4\n5 6\n7\n", "auto", {(1, 2), (1, 3), (1, 4), (5, 6)}),
        ("1 2 3\n5 6 7", "lists", {(1, 2), (1, 3), (5, 6), (5, 7)}),
        ("1,2,1790000000\r\n3,4,1790000001\r\n", "auto", {(1, 2), (3, 4)}),
        ("1\t2\t5\t978300760\n3\t4\t1\t978300761\n", "auto", {(1, 2), (3, 4)}),
        ("user item\n\n1 2\n", "pairs", {(1, 2)}),
        ("1 2 3 4 5\n6 7 8 9 1\n", "auto", {(1, 2), (1, 3), (1, 4), (1, 5), (6, 7), (6, 8), (6, 9), (6, 1)}),
    ],
)
def test_layouts_are_told_apart(tmp_path, text, layout, wanted):
    file = tmp_path / "file"
    file.write_text(text)
    read = read_interactions(file, Layout(layout))
    assert set(zip(read.user.tolist(), read.item.tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2\n3 abc\n", "line 2: column 2, taken for the item .* must be a whole number, got 'abc'"),
        ("", "holds no pair"),
        ("1 2 3 4\n5 6 7 8 9\n", "line 2 has 5 fields, others have 4"),
    ],
)
def test_files_that_cannot_be_read_are_refused_with_the_place(tmp_path, text, said):
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(SourceError, match=said):
        read_interactions(file, Layout.PAIRS)


def test_a_missing_file_and_too_large_ids_are_refused(tmp_path):
    with pytest.raises(SourceError, match="is not a file"):
        write_interactions(tmp_path / "none", Settings(), tmp_path / "out")
    file = tmp_path / "file"
    file.write_text(f"1 {2**40}\n")
    with pytest.raises(SourceError, match="below 2\\^31; the largest is 1099511627776"):
        write_interactions(file, Settings(), tmp_path / "out")


def test_reading_in_blocks_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.simulator.interactions.text.BLOCK", 64)
    file = tmp_path / "file"
    file.write_text("".join(f"{u} {u + 1} {u + 2} {u + 3} {u % 2}\n" for u in range(100)))
    read = read_interactions(file, Layout.LISTS)
    assert Counter(read.user.tolist()) == dict.fromkeys(range(100), 4)

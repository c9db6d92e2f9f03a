"""Chunks, cut finer and finer: every planted difference is found, none is invented, and little is fetched."""

from bisect import bisect_left
from collections import Counter
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.reconcile.compare import FETCHED, PARTS, Range, Sum, compare
from jobs.reconcile.database import chunk_in_sql, joined
from jobs.reconcile.texts import Field

FIELDS = [Field("v", "varchar"), Field("f", "double")]


class Memory:
    """A side that is a dictionary: key -> v, f."""

    def __init__(self, rows):
        self.rows_, self.asked = rows, Counter()

    def spread(self):
        return Range(min(self.rows_), max(self.rows_) + 1) if self.rows_ else None

    def _in(self, ranges):
        keys = sorted(self.rows_)
        edges = [(bisect_left(keys, one.low), bisect_left(keys, one.high)) for one in ranges]
        return {key: self.rows_[key] for low, high in edges for key in keys[low:high]}

    def sums(self, ranges):
        self.asked["sums"] += len(ranges)
        found = {}
        keys = sorted(self.rows_)
        for one in ranges:
            mine = keys[bisect_left(keys, one.low) : bisect_left(keys, one.high)]
            checksum = 0
            for key in mine:
                checksum ^= crc32(repr((key, self.rows_[key])).encode())
            found[one] = Sum(len(mine), checksum)
        return found

    def rows(self, ranges):
        found = {(str(key),): row for key, row in self._in(ranges).items()}
        self.asked["rows"] += len(found)
        return found


@given(
    st.dictionaries(st.integers(-50, 50), st.tuples(st.sampled_from("ab"), st.just("1"))),
    st.dictionaries(st.integers(-50, 50), st.tuples(st.sampled_from("ab"), st.just("1"))),
)
def test_all_differences_are_found_and_none_invented(ours, theirs):
    found = compare(Memory(ours), Memory(theirs), FIELDS)
    assert {int(key) for (key,) in found.missing} == ours.keys() - theirs.keys()
    assert {int(key) for (key,) in found.extra} == theirs.keys() - ours.keys()
    wrong = {key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}
    assert {int(key): names for (key,), names in found.differing.items()} == {key: ["v"] for key in wrong}
    assert found.complete


def test_of_equal_tables_nothing_is_fetched_and_of_others_a_chunk():
    rows = dict.fromkeys(range(0, 60000, 3), ("a", "1"))
    one, two = Memory(rows), Memory(dict(rows))
    found = compare(one, two, FIELDS)
    assert (found.rows, found.differences, found.chunks, one.asked["rows"]) == (20_000, 0, 1017, 0)
    two.rows_[3000] = ("b", "1")
    found = compare(one, two, FIELDS)
    assert found.differing == {("3000",): ["v"]}
    assert one.asked["rows"] <= FETCHED


def test_too_many_differences_end_the_search_and_say_so():
    found = compare(Memory(dict.fromkeys(range(5000), ("a", "1"))), Memory({}), FIELDS, limit=10)
    assert (found.complete, found.differences >= 10) == (False, True)
    assert found.differences < 5_000


def test_the_last_digits_of_a_float_do_not_count():
    one, two = Memory({1: ("a", "12345600000001e-13")}), Memory({1: ("a", "12345600000002e-13")})
    assert compare(one, two, FIELDS).differences == 0
    assert compare(one, Memory({1: ("a", "12345700000001e-13")}), FIELDS).differing == {("1",): ["f"]}


@pytest.mark.parametrize("low", [0, -7, 10**19])
def test_a_range_is_cut_into_pieces_that_are_all_of_it(low):
    for width in (1, 5, 1023, 1024, 1025, 10**12):
        pieces = Range(low, low + width).cut(PARTS)
        assert joined(pieces) == [Range(low, low + width)]
        assert len(pieces) <= PARTS
        assert chunk_in_sql("k", pieces).count("WHEN") == 1


def test_the_number_of_a_chunk_is_told_by_few_conditions():
    ranges = [Range(0, 10), Range(10, 20), Range(20, 25), Range(50, 60), Range(60, 61)]
    assert chunk_in_sql("k", ranges) == (
        "CASE WHEN k >= 0 AND k < 25 THEN 0 + ((CAST(k AS DECIMAL(20, 0)) - 0) DIV 10) "
        "WHEN k >= 50 AND k < 61 THEN 3 + ((CAST(k AS DECIMAL(20, 0)) - 50) DIV 10) END"
    )

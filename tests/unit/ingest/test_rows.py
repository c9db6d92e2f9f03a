"""Maps of texts made from columns: which keys a row has, in which order, and rows that have none."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import text_map
from jobs.ingest.tidb.rows.values import from_canal

COLUMNS = [pa.array(["1", "2", "3"]), pa.array([None, "é", ""]), pa.array(["x", "y", None])]
NAMES = ["id", "naïve", "n"]


@pytest.mark.parametrize("present", [None, np.ones((3, 3), bool)])
def test_every_row_has_all_keys_in_the_order_of_the_columns(present):
    found = text_map(NAMES, COLUMNS, present, np.array([0, 2, 3]), 5)
    found.validate(full=True)
    assert found.to_pylist() == [
        [("id", "1"), ("naïve", None), ("n", "x")],
        None,
        [("id", "2"), ("naïve", "é"), ("n", "y")],
        [("id", "3"), ("naïve", ""), ("n", None)],
        None,
    ]


def test_a_key_that_a_row_lacks_is_left_out():
    present = np.array([[True, False, True], [False, False, False], [True, True, False]])
    found = text_map(NAMES, COLUMNS, present, np.arange(3), 3)
    found.validate(full=True)
    assert found.to_pylist() == [[("id", "1"), ("n", "x")], [], [("id", "3"), ("naïve", "")]]


def test_no_values_of_a_column_that_cannot_be_read_are_none_at_all():
    found, faults = from_canal(SourceColumn("kind", "ENUM"), [], "UTC")
    assert (len(found), faults) == (0, {})

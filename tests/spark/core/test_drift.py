"""A source table that is not as the registry says."""

import pytest
from pyspark.sql.types import StructType

from jobs.lake.table_frames import drift
from jobs.schema.columns import Column
from jobs.schema.table import AsOf, Table

pytestmark = pytest.mark.spark


def test_missing_columns_and_other_types_are_named_and_more_or_wider_ones_are_none(spark):
    columns = (Column("id", "bigint", "."), Column("n", "int", "."), Column("at", "timestamp", "."))
    known = Table("silver.app_t", ".", ".", ("id",), columns, AsOf.STATE, source="app.t")
    assert drift(StructType.fromDDL("id bigint, n bigint, at timestamp, more string"), known) == []
    assert drift(StructType.fromDDL("id string, at timestamp_ntz"), known) == [
        "id is string, not bigint",
        "n is missing",
        "at is timestamp_ntz, not timestamp",
    ]

"""A condition that is true of all rows with given keys and of one other row in a thousand.

MERGE inserts, so its join keeps every row of the source, and Spark may then neither send the source to the tasks that
read the target nor drop a row of the target before the join: all of it is shuffled, or sent to everyone. A condition on
the target alone goes with the scan. Spark's own runtime filters do the same for joins that have a selective predicate
(`InjectRuntimeFilter`); a source of MERGE has none.
"""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.schema.names import quoted

_WRONG = 0.001
"""Share of the other rows for which it is true."""


def maybe_among(rows: DataFrame, key: tuple[str, ...], count: int, alias: str) -> Column:
    """Return the condition that columns `alias`.key are a key of `rows`, or seem so.

    Args:
        rows: the keys; one action reads them now.
        key: columns; equal values must be hashed alike, which floats are not (-0.0 and 0.0).
        count: how many rows there are.
        alias: of the frame that the condition is about, in which the columns are of the same types.
    """
    from pyspark.sql.classic.column import Column as ClassicColumn

    # there is no function for it in SQL, and a filter as a literal of bytes would be written into Delta's log as text
    jvm: Any = rows.sparkSession._jvm
    keys: Any = rows.select(F.xxhash64(*[quoted(name) for name in key]).alias("key"))
    found = keys._jdf.stat().bloomFilter("key", max(1, count), _WRONG)
    expressions, types = jvm.org.apache.spark.sql.catalyst.expressions, jvm.org.apache.spark.sql.types
    convert, seq = jvm.org.apache.spark.sql.classic.ExpressionUtils, jvm.org.apache.spark.api.python.PythonUtils.toSeq
    kind = types.ObjectType(jvm.java.lang.Class.forName("org.apache.spark.util.sketch.BloomFilter"))
    hashed: Any = F.xxhash64(*[f"{alias}.{quoted(name)}" for name in key])
    call = expressions.objects.Invoke(
        expressions.Literal(found, kind), "mightContainLong", getattr(getattr(types, "BooleanType$"), "MODULE$"),
        seq([convert.expression(hashed._jc)]), seq([]), True, False, True,
    )  # fmt: skip
    return ClassicColumn(convert.column(call))

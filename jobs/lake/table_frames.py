"""Frames in the shape of registered tables: schema, columns in order, partition, checksum."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegralType, MapType, StructField, StructType

from jobs.common.errors import TableError
from jobs.schema.table import Table


def assert_in_partition(df: DataFrame, name: str, partition: Mapping[str, Any]) -> DataFrame:
    """Return the same rows; writing one of another partition fails."""
    said = F.raise_error(F.lit(f"{name}: a row does not belong to the partition {dict(partition)} that is written"))
    fit = {key: F.when(F.col(key) == F.lit(value), F.col(key)).otherwise(said) for key, value in partition.items()}
    return df.withColumns(fit)


def stored_bytes(df: DataFrame) -> int | None:
    """Return how many bytes a checkpointed frame takes in the executors' blocks; None of any other frame."""
    plan: Any = df._jdf.queryExecution().analyzed()
    if plan.getClass().getSimpleName() != "LogicalRDD":
        return None
    number, context = plan.rdd().id(), df.sparkSession.sparkContext._jsc.sc()
    stored = [info for info in context.getRDDStorageInfo() if info.id() == number]
    return sum(info.memSize() + info.diskSize() for info in stored) if stored else None


def frame_of_files(spark: SparkSession, path: str, files: list[str], schema_json: str) -> DataFrame:
    """Return the rows of a table's Parquet files, partition columns included.

    Args:
        spark: the session.
        path: folder of the table.
        files: paths below it.
        schema_json: the table's schema.
    """
    schema = StructType.fromJson(json.loads(schema_json))
    if not files:
        return spark.createDataFrame([], schema)
    rows = spark.read.schema(schema).option("basePath", path).parquet(*files)
    # Parquet's columns come without their metadata, partition columns last; all may be null
    return rows.to(StructType([StructField(f.name, f.dataType, True, f.metadata) for f in schema.fields]))


def literal(value: Any) -> str:
    """Return a partition's value as SQL writes it."""
    return f"DATE'{value}'" if isinstance(value, date) else f"'{value}'"


def struct_of(known: Table) -> StructType:
    """Return a registered table's schema, each field with its sentence."""
    ddl = ", ".join(f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'}" for c in known.columns)
    struct = StructType.fromDDL(ddl)
    assert isinstance(struct, StructType)  # noqa: S101 - fromDDL is annotated as any type
    for field, column in zip(struct.fields, known.columns, strict=True):
        field.metadata = {"comment": column.comment}
    return struct


def conform(df: DataFrame, known: Table) -> DataFrame:
    """Return `df` with the registered columns, in order, cast to their types.

    Raises:
        TableError: a column is missing or unknown.
    """
    wanted = [c.name for c in known.columns]
    missing, unknown = sorted(set(wanted) - set(df.columns)), sorted(set(df.columns) - set(wanted))
    if missing or unknown:
        raise TableError(
            f"{known.name}: columns must be those of the registry; missing {missing or 'none'}, unknown "
            f"{unknown or 'none'}. Change the job, or jobs/lake/{known.layer}.py together with its readers."
        )
    return df.select(*[F.col(f"`{c.name}`").cast(c.type).alias(c.name) for c in known.columns])


def drift(schema: StructType, known: Table) -> list[str]:
    """Return what of a source table's columns is not as registered, a clause a column; more columns are no drift."""
    there = {field.name: field.dataType for field in schema.fields}
    clauses = []
    for field in struct_of(known).fields:
        kind = there.get(field.name)
        if kind is None:
            clauses.append(f"{field.name} is missing")
        # of whole numbers a wider one takes a narrower one's place
        elif kind != field.dataType and not all(isinstance(one, IntegralType) for one in (kind, field.dataType)):
            clauses.append(f"{field.name} is {kind.simpleString()}, not {field.dataType.simpleString()}")
    return clauses


def nullable(struct: StructType) -> StructType:
    """Return the schema with every field nullable."""
    return StructType([StructField(f.name, f.dataType, True) for f in struct.fields])


def checksum(df: DataFrame) -> tuple[int, str]:
    """Return rows and an order-independent digest of all columns: equal contents, equal digest."""
    columns = [_text(df, name) for name in sorted(df.columns)]
    row = df.select(F.xxhash64(*columns).cast("decimal(38,0)").alias("h"))
    found = row.agg(F.count(F.lit(1)).alias("n"), F.sum("h").alias("s")).first()
    return (int(found["n"]), str(found["s"] or 0)) if found else (0, "0")


def _text(df: DataFrame, name: str) -> Any:
    kind = df.schema[name].dataType
    # xxhash64 takes no maps; their entries in key order say the same
    if isinstance(kind, MapType):
        return F.array_sort(F.map_entries(F.col(f"`{name}`"))).cast("string")
    return F.col(f"`{name}`").cast("string") if isinstance(kind, ArrayType) else F.col(f"`{name}`")

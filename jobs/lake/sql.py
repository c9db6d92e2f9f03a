"""One query of a person: it may only read, and of the lake's tables only those it names are opened.

Whether a query reads is told by the plan that Spark's own parser makes of it, by a list of what may stand in one:
whatever is not on it (INSERT, DELETE, MERGE, DROP, SET, CALL, OPTIMIZE, a script, …) is refused before anything runs.
"""

import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, TimestampType

from jobs.common.errors import ConfigError
from jobs.lake.catalog import Names, register_named
from jobs.lake.delta import Lake

_QUERY = frozenset({
    "Aggregate", "AsOfJoin", "Deduplicate", "Distinct", "Except", "Filter", "Generate", "GlobalLimit", "Intersect",
    "Join", "LateralJoin", "LocalLimit", "LocalRelation", "Offset", "OneRowRelation", "PipeOperator", "Pivot",
    "Project", "Range", "RebalancePartitions", "RelationTimeTravel", "Repartition", "RepartitionByExpression", "Sample",
    "Sort", "SubqueryAlias", "Tail", "TimeTravel", "Transpose", "Union", "Unpivot", "UnpivotTransformer",
    "UnresolvedDataFrame", "UnresolvedGenerate", "UnresolvedHaving", "UnresolvedHint", "UnresolvedInlineTable",
    "UnresolvedRelation", "UnresolvedSubqueryColumnAliases", "UnresolvedTVFAliases",
    "UnresolvedTableValuedFunction", "UnresolvedWith", "Window", "WithWindowDefinition",
})  # fmt: skip
"""Nodes of a plan that reads, as Spark's parser makes them."""
_TELLS = re.compile(r"(?:Show|Describe)\w*")
"""Commands that only tell what there is."""
_RUNS_CODE = frozenset({"reflect", "java_method", "try_reflect"})
"""Functions that call any method of Java's."""
_NAMED = frozenset({"UnresolvedRelation", "UnresolvedTable", "UnresolvedView", "UnresolvedTableOrView"})
"""Nodes that name a table."""


def ask(lake: Lake, query: str) -> DataFrame:
    """Return what a query asks for; nothing of it has run, unless it is SHOW or DESCRIBE.

    Raises:
        ConfigError: it is no query, names no table that there is, or would change something.
    """
    with Refusals():
        plan = parsed(lake.spark, query)
        require_reading(plan, query)
        register_named(lake, named(plan))
        return lake.spark.sql(query)


class Refusals:
    """Turn what Spark says of a query into the error a person can act on."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Re-raise Spark's own errors of a query as ConfigError; what Spark itself does not expect stays as it is."""
        # UnknownException: whatever Java raises without an error class
        if not isinstance(error, PySparkException) or type(error).__name__ == "UnknownException":
            return
        first = str(error).strip().split("\n", 1)[0]
        said = re.sub(r"^\[[\w.]+\]\s*|\s*SQLSTATE: \w+", "", first)
        raise ConfigError(f"Spark refuses the query: {said} `pinlake tables` lists tables and columns.") from error


def parsed(spark: SparkSession, query: str) -> Any:
    """Return the plan that the session's parser, Delta's statements included, makes of a text."""
    session: Any = spark._jsparkSession
    return session.sessionState().sqlParser().parsePlan(query)


def require_reading(plan: Any, query: str) -> None:
    """Raise ConfigError unless running the plan changes nothing."""
    root = _kind(plan)
    if root == "ExplainCommand":
        require_reading(plan.logicalPlan(), query)
        return
    if _TELLS.fullmatch(root):
        return
    for node in _nodes(plan):
        if _kind(node) not in _QUERY:
            raise ConfigError(
                f"`pinlake sql` only reads: SELECT, SHOW, DESCRIBE and EXPLAIN, one statement a call. This one is or "
                f"holds {_kind(node)}. Nothing was run; tables are written by jobs, `pinlake run --help`."
            )
    # their names in the text are only a reason to look: what decides is what the plan calls
    if any(name in query.lower() for name in _RUNS_CODE) and _calls(plan) & _RUNS_CODE:
        raise ConfigError("`pinlake sql` only reads: a function that runs Java code may do anything. Nothing was run.")


def named(plan: Any) -> Names:
    """Return the tables that a plan names, as their parts; all are wanted where it asks which there are."""
    if _kind(plan) == "ExplainCommand":
        return named(plan.logicalPlan())
    if _kind(plan) == "DescribeQueryCommand":
        return named(plan.plan())
    found: set[tuple[str, ...]] = set()
    for node in _nodes(plan):
        if _kind(node) in _NAMED:
            found.add(tuple(_each(node.multipartIdentifier())))
    every = re.match(r"Show(?:Tables|TableExtended|Views|Namespaces)", _kind(plan)) is not None
    return Names(frozenset(found), every)


def _kind(node: Any) -> str:
    return str(node.getClass().getSimpleName()).removesuffix("$")


def _each(sequence: Any) -> Iterator[Any]:
    """Return the items of a Scala sequence."""
    each = sequence.iterator()
    while each.hasNext():
        yield each.next()


def _nodes(plan: Any) -> Iterator[Any]:
    """Return every node of a plan, those of its subqueries and common tables too."""
    yield plan
    if _kind(plan) in {"RelationTimeTravel", "TimeTravel"}:  # they keep what they are about to themselves
        yield from _nodes(plan.relation())
    for some in (plan.children(), plan.innerChildren(), plan.subqueries()):
        for node in _each(some):
            yield from _nodes(node)


def _calls(plan: Any) -> set[str]:
    """Return the functions that a plan calls."""
    found: set[str] = set()
    for node in _nodes(plan):
        waiting = list(_each(node.expressions()))
        while waiting:
            expression = waiting.pop()
            if _kind(expression) == "UnresolvedFunction":
                found.add(list(_each(expression.nameParts()))[-1].lower())
            waiting += _each(expression.children())
    return found


def answer(frame: DataFrame, limit: int) -> list[tuple[Any, ...]]:
    """Return the first rows of a query, a value for each column in its place: two columns may have one name.

    Instants come with their zone. Structs are Rows, which name their fields.

    Raises:
        ConfigError: a value cannot be computed, or is none that Python has.
    """
    with Refusals():
        try:
            rows = frame.limit(limit).collect()  # bounded: --limit
        except (OverflowError, TypeError, ValueError) as error:
            raise ConfigError(
                f"A value of the answer cannot be shown ({error}): cast its column to string in the query."
            ) from error
    kinds = [field.dataType for field in frame.schema.fields]
    return [tuple(_zoned(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in rows]


def fields_of(frame: DataFrame) -> list[str]:
    """Return the names of a frame's columns, in order."""
    return [field.name for field in frame.schema.fields]


def require_names(kind: DataType, where: str = "the answer") -> None:
    """Raise ConfigError if two columns, or two fields of a struct, have one name: an object would lose one of them."""
    if isinstance(kind, ArrayType):
        require_names(kind.elementType, where)
    if isinstance(kind, MapType):
        require_names(kind.keyType, where)
        require_names(kind.valueType, where)
    if not isinstance(kind, StructType):
        return
    names = [field.name for field in kind.fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"--json: {where} has {names.count(twice[0])} columns called {twice[0]}. Name them apart: AS …."
        )
    for field in kind.fields:
        require_names(field.dataType, field.name)


def _zoned(value: Any, kind: DataType) -> Any:
    """Return a value whose instants tell their zone: Spark hands them over in the machine's."""
    if value is None or not _has_instants(kind):
        return value
    if isinstance(kind, TimestampType):
        return value.astimezone(UTC)
    if isinstance(kind, ArrayType):
        return [_zoned(one, kind.elementType) for one in value]
    if isinstance(kind, MapType):
        return {_zoned(key, kind.keyType): _zoned(one, kind.valueType) for key, one in value.items()}
    if isinstance(kind, StructType):
        made = [_zoned(one, field.dataType) for one, field in zip(value, kind.fields, strict=True)]
        return Row(*kind.names)(*made)
    return value


def _has_instants(kind: DataType) -> bool:
    return "timestamp" in kind.simpleString().replace("timestamp_ntz", "")

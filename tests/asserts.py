"""Assertions that several tests share."""

from typing import Any

CROSS = ("CartesianProduct", "BroadcastNestedLoopJoin")


def plan_of(df: Any) -> str:
    """Return the physical plan of a frame as text."""
    return df._jdf.queryExecution().executedPlan().toString()


def assert_no_cross_join(df: Any) -> None:
    """Fail if the plan joins every row with every row: it would not survive real data."""
    plan = plan_of(df)
    found = [name for name in CROSS if name in plan]
    assert not found, f"{', '.join(found)} in the plan:\n{plan}"


def assert_no_cross_join_ran(spark: Any) -> None:
    """Fail if any query that the session still remembers joined every row with every row."""
    store = spark._jsparkSession.sharedState().statusStore()
    queries = store.executionsList()
    plans = [queries.apply(number).physicalPlanDescription() for number in range(queries.size())]
    assert len(plans) > 100, "Spark kept the flow's plans"
    crossed = [plan for plan in plans if any(name in plan for name in CROSS)]
    assert not crossed, crossed[0][:3000]


def assert_columns(df: Any, name: str) -> None:
    """Fail unless a frame has exactly the columns that a job must return for table `name`."""
    from jobs.schema.tables import table

    known = table(name)
    added = {"as_of", known.sub_partition}
    wanted = {column.name for column in known.columns} - added
    assert set(df.columns) == wanted, f"{name}: {sorted(set(df.columns) ^ wanted)}"

"""What every DAG file must be, wherever it runs. No scheduler, no Spark."""

import os
import re
import subprocess
import sys
import time

import pytest

from jobs.flow import FLOW
from jobs.reconcile.database import Address
from jobs.schema.job import Job
from tests.dags.conftest import DAGS

FILES = sorted(file.name for file in DAGS.glob("*.py"))
TERMINAL = {"pinlake.generation"}
"""Assets that no DAG waits for: what online services read."""


@pytest.fixture(scope="module")
def dags():
    """All DAGs, by id."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS))
    assert not bag.import_errors
    return bag.dags


def tasks_of(dags):
    return [task for dag in dags.values() for task in dag.tasks]


def submits(dags):
    return [task for task in tasks_of(dags) if task.task_type == "JobSubmit"]


def test_each_file_has_its_dag(dags):
    assert sorted(dags) == [f"pinlake_{file.removesuffix('.py')}" for file in FILES]


def test_every_job_of_the_flow_is_one_task(dags):
    named = sorted(task.what for task in submits(dags))
    assert named == sorted([*(job.name for job in FLOW), "horizon", "maintain"])


def test_tasks_come_after_those_whose_tables_they_read(dags):
    dag = dags["pinlake_recommend"]
    assert "features.pin_stats" in dag.get_task("candidates.trending").get_flat_relative_ids(upstream=True)
    assert dag.get_task("ranking.ranked").upstream_task_ids >= {
        "candidates.collaborative",
        "candidates.content",
        "candidates.trending",
        "candidates.fresh",
        "ranking.ranker",
    }
    assert all("horizon" in t.get_flat_relative_ids(upstream=True) for t in dag.tasks if t.task_id != "horizon")


@pytest.mark.parametrize("name", ["pinlake_ingest", "pinlake_recommend", "pinlake_publish", "pinlake_maintenance"])
def test_a_dag_says_whose_it_is_when_it_is_late_and_how_it_retries(dags, name):
    dag = dags[name]
    assert re.fullmatch(r"pinlake_[a-z]+", dag.dag_id)
    assert dag.doc_md
    assert "pinlake" in dag.tags
    assert dag.deadline
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    for task in dag.tasks:
        assert task.owner == "data-platform"
        assert task.retries == 2
        assert task.retry_policy is not None
        assert task.doc_md


def test_sessions_share_one_pool(dags):
    assert {task.pool for task in submits(dags)} == {"pinlake_spark"}


def test_a_task_says_table_grain_checks_and_command(dags):
    doc = dags["pinlake_recommend"].get_task("ranking.home_feed").doc_md
    for part in (
        "`gold.home_feed`",
        "one row per user and position",
        "duplicate_count",
        "pinlake run ranking.home_feed",
    ):
        assert part in doc


def test_every_asset_that_is_written_is_waited_for_or_ends_here(dags):
    from airflow.sdk import Asset

    wrote = {asset.name for task in tasks_of(dags) for asset in task.outlets}
    read = {one.name for task in tasks_of(dags) for one in task.inlets if isinstance(one, Asset)}
    assert not {name for name in wrote - read - TERMINAL if name.startswith("pinlake.")}
    # a table that no job reads is for analysts: say which these are
    assert {name for name in wrote - read if name.startswith("gold.")} == {
        "gold.feed_drops",
        "gold.related_evaluations",
    }
    assert read <= wrote


def stored(dag):
    """Return a DAG as the scheduler sees it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def waited(dag):
    """Return the names of the assets that start a DAG."""
    return {key.name for key, _ in stored(dag).timetable.asset_condition.iter_assets()}


def written_by(dag):
    return {asset.name for task in dag.tasks for asset in task.outlets}


def test_a_dag_starts_when_the_one_before_has_made_what_it_reads(dags):
    assert waited(dags["pinlake_recommend"]) == {"pinlake.day"}
    assert "pinlake.day" in written_by(dags["pinlake_ingest"])
    assert "gold.home_feed" in waited(dags["pinlake_publish"])
    assert waited(dags["pinlake_publish"]) <= written_by(dags["pinlake_recommend"])


def test_recommend_can_be_backfilled(dags):
    assert stored(dags["pinlake_recommend"]).timetable.periodic, "Airflow refuses to backfill what is not periodic"


def test_a_job_added_to_the_flow_appears(monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    new = Job(name="features.extra", summary="Tests.", function="x:y", reads=("gold.interactions",))
    monkeypatch.setattr("jobs.flow.FLOW", (*FLOW, new))
    dag = DagBag(str(DAGS / "recommend.py")).dags["pinlake_recommend"]
    assert dag.get_task("features.extra").upstream_task_ids == {"features.interactions"}


@pytest.mark.parametrize("name", FILES)
def test_parsing_is_quick_and_asks_neither_the_database_nor_connections(name, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import BaseHook
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def refuse(*_, **__):
        pytest.fail("a connection was looked up while parsing")

    queries = []
    monkeypatch.setattr(BaseHook, "get_connection", refuse)
    event.listen(Engine, "before_cursor_execute", lambda *args: queries.append(args[2]))
    began = time.monotonic()
    bag = DagBag(str(DAGS / name))
    assert not bag.import_errors
    assert time.monotonic() - began < 1.0
    assert len(queries) <= 1, queries


def test_importing_a_dag_imports_no_heavy_library():
    heavy = ("pyspark", "great_expectations", "faiss", "implicit", "pandas")
    code = f"import sys; sys.path.insert(0, {str(DAGS)!r}); import ingest, recommend, publish, maintenance; "
    code += f"print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_exit_codes_decide_about_retries():
    from airflow.sdk import RetryAction
    from pinlake_dags.failures import RETRIES, failure

    def decided(code):
        return RETRIES.evaluate(failure("a.job", code), 1, 3).action

    hopeless = (2, 3, 4, 5, 6, 9, 10)
    assert {code: decided(code) for code in hopeless} == dict.fromkeys(hopeless, RetryAction.FAIL)
    assert {code: decided(code) for code in (1, 7, 8, 137, None)} == dict.fromkeys(
        (1, 7, 8, 137, None), RetryAction.RETRY
    )


def test_a_connection_names_a_source_to_reconcile_with(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TIDB", "mysql://reader:pw-reader@127.0.0.1:4001")
    found = Address.parse("airflow:tidb", "PINLAKE_SOURCE_PASSWORD")
    assert (found.host, found.port, found.user, found.password) == ("127.0.0.1", 4001, "reader", "pw-reader")
    assert "pw-reader" not in repr(found)

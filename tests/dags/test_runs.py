"""Each DAG run to its end in one process with real spark-submits, and one by a real scheduler, on a small lake."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from urllib.parse import quote

import pytest

from tests.cluster import free_port
from tests.commands import Place, small_world
from tests.dags.conftest import DAGS, ROOT

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(2400)]


PAST = "2026-10-31"
"""A day that no DAG has run for."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small world and nothing else; its variables hold for the module's tasks."""
    folder = tmp_path_factory.mktemp("dags")
    made = Place(folder / "place", small_world(folder))
    before = dict(os.environ)
    os.environ.update({key: value for key, value in made.env.items() if key.startswith("PINLAKE_")})
    yield made
    for key in set(os.environ) - set(before):
        del os.environ[key]


@pytest.fixture(scope="module")
def dags(place):
    """All DAGs, with Airflow's database made."""
    subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True)
    subprocess.run(["airflow", "pools", "set", "pinlake_spark", "1", "tests"], check=True, capture_output=True)
    subprocess.run(["airflow", "dags", "reserialize"], check=True, capture_output=True)
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS)).dags


@pytest.mark.parametrize("name", ["ingest", "recommend", "publish", "maintenance"])
def test_a_dag_runs_green(dags, place, name):
    dag = dags[f"pinlake_{name}"]
    # Airflow 3.3.2 ends a test run by looking a deadline up by its whole definition instead of its id: StatementError
    dag.deadline = None
    run = dag.test()
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    if name == "publish":
        assert place.served().startswith("g20261101-")


@pytest.fixture(scope="module")
def scheduler(place, tmp_path_factory):
    """`make airflow`, with a home of its own, on the module's lake."""
    home, port = tmp_path_factory.mktemp("airflow") / "home", free_port()
    env = {name: value for name, value in place.env.items() if not name.startswith("AIRFLOW__")}
    env |= {"AIRFLOW_HOME": str(home), "AIRFLOW_PORT": str(port)}
    # only the runs that a test asks for: the schedules' own would take the pool's one slot in between
    env["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "True"
    made = Scheduler(home, port, env)
    made.make("start")
    yield made
    made.make("stop")


@pytest.mark.nightly
def test_a_backfill_makes_what_the_day_itself_would_have(scheduler, place, tmp_path):
    alone = Place(tmp_path, place.world)
    shutil.copytree(place.lake, alone.lake)
    dag = "pinlake_recommend"
    scheduler.airflow("backfill", "create", "--dag-id", dag, "--from-date", PAST, "--to-date", PAST)
    runs = scheduler.call("GET", f"/api/v2/dags/{dag}/dagRuns?run_type=backfill")["dag_runs"]
    scheduler.unpause(dag)
    assert [run["logical_date"][:10] for run in runs] == [PAST]
    assert scheduler.state(dag, runs[0]["dag_run_id"], 1500) == "success"
    alone.run("flow", "--as-of", PAST)
    assert place.tables() == alone.tables()


def test_a_click_on_ingest_runs_to_green_and_its_events_tell_what_it_made(scheduler):
    scheduler.unpause("pinlake_ingest")
    run = scheduler.call("POST", "/api/v2/dags/pinlake_ingest/dagRuns", {"logical_date": None})["dag_run_id"]
    assert scheduler.state("pinlake_ingest", run, 600) == "success"
    events = scheduler.call("GET", "/api/v2/assets/events?limit=100")["asset_events"]
    told = {event["name"]: event["extra"] for event in events}
    assert told["silver.app_pins"]["rows"] > 0
    assert told["silver.app_pins"]["version"] >= 0
    assert told["pinlake.day"]["as_of"] == "2026-11-01"


def test_stopped_nothing_of_airflow_is_left(scheduler):
    scheduler.make("stop")
    left = subprocess.run(["pgrep", "-f", str(scheduler.home)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


class Scheduler:
    """Airflow as `make airflow` starts it, and its REST API."""

    def __init__(self, home, port, env):
        self.home, self.base, self.env, self.token = home, f"http://127.0.0.1:{port}", env, None

    def make(self, what):
        """Start or stop it."""
        subprocess.run(["bash", str(ROOT / ".ci" / "airflow.sh"), what], env=self.env, check=True, timeout=300)

    def airflow(self, *command):
        """Run an Airflow command beside it."""
        subprocess.run(["airflow", *command], env=self.env, check=True, capture_output=True, cwd=self.home)

    def call(self, method, path, body=None):
        """Return what the REST API answers."""
        if self.token is None and path != "/auth/token":
            self.token = self.call("GET", "/auth/token")["access_token"]
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def unpause(self, dag):
        """Let a DAG's runs go on, but for the one that its schedule makes at once."""
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        until, own = time.monotonic() + 60, []
        while not own and time.monotonic() < until:
            own = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?run_type=scheduled")["dag_runs"]
            time.sleep(1)
        for run in own:
            self.call("PATCH", f"/api/v2/dags/{dag}/dagRuns/{quote(run['dag_run_id'])}", {"state": "failed"})

    def state(self, dag, run, seconds):
        """Return how a run ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}")["state"]
            if state in {"success", "failed"}:
                return state
            time.sleep(2)
        return "never ended"

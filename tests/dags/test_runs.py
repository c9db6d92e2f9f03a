"""Each DAG run to its end in one process with real spark-submits, and one by a real scheduler, on a small lake."""

import json
import os
import subprocess
import time
import urllib.request

import pytest

from tests.cluster import free_port
from tests.commands import Place, small_world
from tests.dags.conftest import DAGS, ROOT

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(2400)]


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
    run = dags[f"pinlake_{name}"].test()
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    if name == "publish":
        assert place.served().startswith("g20261101-")


def test_a_scheduler_runs_a_click_to_green_and_stops_without_a_trace(place, tmp_path):
    port = free_port()
    env = place.env | {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW_PORT": str(port)}
    for name in [name for name in env if name.startswith("AIRFLOW__")]:
        del env[name]
    script = str(ROOT / ".ci" / "airflow.sh")
    subprocess.run(["bash", script, "start"], env=env, check=True, timeout=300)
    try:
        api = Api(f"http://127.0.0.1:{port}")
        run = api.call("POST", "/api/v2/dags/pinlake_ingest/dagRuns", {"logical_date": None})["dag_run_id"]
        assert api.state("pinlake_ingest", run, 600) == "success"
        events = api.call("GET", "/api/v2/assets/events?limit=100")["asset_events"]
        told = {event["name"]: event["extra"] for event in events}
        assert told["silver.app_pins"]["rows"] > 0
        assert told["silver.app_pins"]["version"] >= 0
        assert told["pinlake.day"]["as_of"] == "2026-11-01"
    finally:
        subprocess.run(["bash", script, "stop"], env=env, check=True, timeout=120)
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "home")], capture_output=True, text=True, check=False)
    assert left.stdout == ""


class Api:
    """Airflow's REST API."""

    def __init__(self, base):
        self.base, self.token = base, None
        self.token = self.call("GET", "/auth/token")["access_token"]

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def state(self, dag, run, seconds):
        """Return how a run ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run.replace('+', '%2B')}")["state"]
            if state in {"success", "failed"}:
                return state
            time.sleep(2)
        return "never ended"

"""A Spark standalone cluster of real processes on this machine: a master and workers, on free ports of loopback."""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"


@contextmanager
def standalone_cluster(folder: Path, workers: int = 2, cores: int = 1, memory: str = "2g"):
    """Give the URL of a master that `workers` workers have joined; all are stopped at the end."""
    port = free_port()
    with ExitStack() as running:
        at = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(free_port())]
        log = running.enter_context(_daemon(folder / "master.log", MASTER, *at))
        url = f"spark://127.0.0.1:{port}"
        _wait(log, "started at")
        for number in range(workers):
            size = ["--cores", str(cores), "--memory", memory, "--work-dir", str(folder / f"worker-{number}")]
            at = ["--host", "127.0.0.1", "--webui-port", str(free_port())]
            joined = running.enter_context(_daemon(folder / f"worker-{number}.log", WORKER, *size, *at, url))
            _wait(joined, "Successfully registered with master")
        yield url


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _daemon(log: Path, name: str, *args: str):
    import pyspark

    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), name, *args]
    env = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", "PYSPARK_PYTHON": sys.executable}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, start_new_session=True)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)


def _wait(log: Path, sentence: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while sentence not in log.read_text():
        if time.monotonic() > until:
            raise TimeoutError(f"{log.name} never said {sentence!r}:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)

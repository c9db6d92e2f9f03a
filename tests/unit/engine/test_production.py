"""Production runs without the command line."""

import subprocess
import sys

ENTRY = """
import sys
import jobs.engine.spark_submit, jobs.engine.scheduler, jobs.engine.sources, jobs.engine.runner
print(sorted({name.split(".")[0] for name in sys.modules} & {"typer", "rich", "click"}))
print([name for name in sys.modules if name.startswith("jobs.cli")])
"""


def test_the_entry_point_of_spark_submit_loads_no_command_line():
    done = subprocess.run([sys.executable, "-c", ENTRY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_its_usage_names_what_it_runs():
    done = subprocess.run(
        [sys.executable, "-m", "jobs.engine.spark_submit", "--help"], capture_output=True, text=True, check=True
    )
    assert "horizon or maintain" in done.stdout

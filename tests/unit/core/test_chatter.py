"""What a JVM says at every start does not come to a person; what else it says does."""

import subprocess
import sys

CODE = """
import os, subprocess, sys, time
from jobs.spark.chatter import without_chatter
child = "import sys; [sys.stderr.write(line + chr(10)) for line in sys.argv[1:]]"
said = ["WARNING: Using incubator modules: jdk.incubator.vector", 'Setting default log level to "WARN".', "ERROR real"]
with without_chatter():
    subprocess.run([sys.executable, "-c", child, *said], check=True)
time.sleep(0.2)
os.write(2, b"ours\\n")
"""


def test_only_what_is_always_said_is_left_out():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["ERROR real", "ours"]

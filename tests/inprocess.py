"""`pinlake …` called in the tests' own process: starting one costs most commands more than what they do.

A test whose subject is the process (signals, pipes, what is imported) starts one instead.
"""

import sys
from dataclasses import dataclass

import pytest

from jobs.common import redaction


@dataclass(frozen=True)
class Said:
    """What a command wrote, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def pinlake(capfd, monkeypatch):
    """Return a function that runs one command line, with the environment and the folder that the test has set."""
    from jobs.cli.app import main

    monkeypatch.setattr(redaction, "_known", set())  # a process begins without secrets, and takes its own with it

    def run(*command):
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["pinlake", *map(str, command)])
        with pytest.raises(SystemExit) as end:
            main()
        told = capfd.readouterr()
        return Said(end.value.code or 0, told.out, told.err)

    return run

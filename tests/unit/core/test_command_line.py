"""The command line as a person meets it: help, options behind the command, pipes, names and limits; no Spark."""

import json
import os
import subprocess
import sys

import pytest

from jobs.serving.rocks import RocksStore
from tests.feeds import serve

LINES = {
    "world": ["world", "--help"],
    "embed": ["embed", "--help"],
    "config": ["config", "ingest.embeddings"],
    "set": ["feed", "1", "--set", "publish.pointer_seconds=1", "--length", "2"],
    "json": ["feed", "1", "--json", "--length", "1"],
    "lake": ["config", "platform.lake", "--lake", "/behind"],
    "zero": ["feed", "1", "--length", "0"],
    "below": ["related", "1", "--length", "-3"],
    "last": ["runs", "--last", "0"],
    "limit": ["sql", "select 1", "--limit", "-1"],
    "job": ["runs", "--job", "features.pin_statz"],
    "run": ["run", "features.pin_statz"],
    "back": ["rollback"],
    "key": ["config", "rankingg"],
    "name": ["feed", "1", "--set", "ranking.feed_lenght=3"],
}


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """Where commands work: a store with one generation, no lake."""
    folder = tmp_path_factory.mktemp("commands")
    serve(RocksStore(folder / "store"), "g1", {1: list(range(10, 30))})
    places = {"PUBLISH__PATH": folder / "store", "PLATFORM__LAKE": folder / "lake", "PLATFORM__WORK": folder / "work"}
    return os.environ | {f"PINLAKE_{k}": str(v) for k, v in places.items()} | {"PINLAKE_PORT": "tcp://10.0.0.1:80"}


@pytest.fixture
def said(env, pinlake, monkeypatch):
    """Return a function that runs one of LINES and returns what it says and its exit code."""
    for name in env:
        monkeypatch.setenv(name, env[name])

    def run(name):
        done = pinlake(*LINES[name])
        return f"{done.stdout}{done.stderr}exit code {done.returncode}"

    return run


def test_help_keeps_what_stands_in_brackets(said):
    assert "[simulator.users]" in said("world")
    assert "[platform.sources]" in said("world")
    assert "[all]" in said("embed")


def test_keys_of_settings_are_whole_in_a_pipe(said):
    assert "ingest.embeddings.backend " in said("config")
    assert "…" not in said("config").replace("://…", "")


def test_global_options_may_stand_behind_the_command(said):
    assert "Feed of user 1" in said("set")
    assert "… and 18 more" in said("set")
    assert "/behind" in said("lake")


def test_json_is_as_long_as_asked(said):
    found = json.loads(said("json").rpartition("exit code")[0])
    assert [item["position"] for item in found["items"]] == [1]


@pytest.mark.parametrize("name", ["zero", "below", "last", "limit"])
def test_limits_are_at_least_one(said, name):
    assert "greater than or equal to 1" in said(name)
    assert "exit code 2" in said(name)


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("job", "Did you mean features.pin_stats?", 2),
        ("run", "Did you mean features.pin_stats?", 2),
        ("key", "Did you mean ranking", 2),
        ("name", "Did you mean ranking.feed_length?", 2),
        ("back", "no previous generation, g1 is the only one", 7),
    ],
)
def test_what_cannot_be_meant_says_what_there_is(said, name, words, code):
    assert words in said(name)
    assert f"exit code {code}" in said(name)
    assert "Traceback" not in said(name)


CLOSED = """
import json, os, sys
from jobs.cli.app import main
for command in json.loads(sys.argv[1]):
    unread, pipe = os.pipe()
    os.close(unread)
    if not os.fork():
        os.dup2(pipe, 1)
        sys.argv = ["pinlake", *command]
        main()
        break
    os.close(pipe)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)  # what is left in the buffer a fork would have too
"""


def test_a_pipe_that_is_closed_ends_without_a_trace(env):
    """Each command in a process of its own, forked off one that has imported the command line."""
    told = json.dumps([("config", "--json"), ("feed", "1"), ("world", "--help")])
    done = subprocess.run([sys.executable, "-c", CLOSED, told], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    codes = [int(line) for line in done.stdout.split()]
    assert len(codes) == 3
    assert set(codes) <= {0, 141}

"""The code digest of a job: which edits make its result stale."""

import shutil

import pytest

from jobs.engine.code_closure import ROOT, _source, job_digest, job_files
from jobs.flow import FLOW, job

RELATED = {"related.pairs", "related.pins", "related.evaluations"}


@pytest.fixture
def tree(tmp_path):
    """A copy of the source files of jobs/."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs", ignore=shutil.ignore_patterns("__pycache__", "*.html"))
    return tmp_path


@pytest.fixture
def stale_after(tree):
    """Return a function that edits files and returns the jobs whose digest changed."""

    def edit(*patterns):
        before = {one.name: job_digest(one, tree) for one in FLOW}
        files = [file for pattern in patterns for file in sorted(tree.glob(pattern))]
        assert files, f"no file matches {patterns}"
        for file in files:
            file.write_text(file.read_text() + "\n# edited\n")
        _source.cache_clear()
        return {one.name for one in FLOW if job_digest(one, tree) != before[one.name]}

    yield edit
    _source.cache_clear()


@pytest.mark.parametrize("room", ["report", "simulator", "cli", "benchmarks", "reconcile", "settings"])
def test_an_edit_of_a_room_that_no_job_imports_leaves_every_job_up_to_date(stale_after, room):
    assert stale_after(f"jobs/{room}/**/*.py") == set()


def test_an_edit_of_related_pins_makes_them_and_their_evaluation_stale(stale_after):
    assert stale_after("jobs/related/**/*.py") == RELATED


def test_an_edit_of_the_schedule_leaves_every_job_up_to_date(stale_after):
    assert stale_after("jobs/engine/spark_submit.py", "jobs/flow.py") == set()


@pytest.mark.parametrize("file", ["jobs/history/as_of.py", "jobs/lake/table_frames.py", "jobs/engine/runner.py"])
def test_an_edit_of_what_reads_or_writes_every_table_makes_every_job_stale(stale_after, file):
    assert stale_after(file) == {one.name for one in FLOW}


def test_imports_inside_functions_count_and_those_for_type_checking_do_not(tree):
    (tree / "jobs" / "related" / "extra.py").write_text("WEIGHT = 1\n")
    (tree / "jobs" / "related" / "typed.py").write_text("WEIGHT = 1\n")
    file = tree / "jobs" / "features" / "pins.py"
    file.write_text(
        f"{file.read_text()}\n\nif TYPE_CHECKING:\n    from jobs.related import typed\n\n\n"
        "def late():\n    from jobs.related import extra\n"
    )
    names = {path.name for path in job_files(job("features.pin_stats"), tree)}
    assert "extra.py" in names
    assert "typed.py" not in names


def test_the_files_of_a_job_are_its_module_and_all_that_it_imports():
    files = {str(path.relative_to(ROOT)) for path in job_files(job("features.pin_stats"))}
    assert {"jobs/features/pins.py", "jobs/features/__init__.py", "jobs/lake/delta.py"} <= files
    assert not any(name.startswith(("jobs/ranking/", "jobs/settings/", "jobs/cli/")) for name in files)

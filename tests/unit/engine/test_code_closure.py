"""The code digest of a job: which edits make its result stale."""

import shutil
from contextlib import contextmanager

import pytest

from jobs.engine.code_closure import ROOT, _source, job_digest, job_files
from jobs.flow import FLOW, job

RELATED = {"related.pairs", "related.pins", "related.evaluations"}


def digests(tree):
    return {one.name: job_digest(one, tree) for one in FLOW}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the source files of jobs/, and the digests of all jobs there."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "jobs", tree / "jobs", ignore=shutil.ignore_patterns("__pycache__", "*.html"))
    return tree, digests(tree)


@contextmanager
def written(texts):
    """Write files, and put back what they held or take away those that are new."""
    before = {file: file.read_text() if file.exists() else None for file in texts}
    for file, text in texts.items():
        file.write_text(text)
    _source.cache_clear()
    try:
        yield
    finally:
        for file, text in before.items():
            file.unlink() if text is None else file.write_text(text)
        _source.cache_clear()


@pytest.fixture
def stale_after(copied):
    """Return a function that edits files and returns the jobs whose digest changed."""
    tree, before = copied

    def edit(*patterns):
        files = [file for pattern in patterns for file in sorted(tree.glob(pattern))]
        assert files, f"no file matches {patterns}"
        with written({file: file.read_text() + "\n# edited\n" for file in files}):
            return {name for name, digest in digests(tree).items() if digest != before[name]}

    return edit


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


def test_imports_inside_functions_count_and_those_for_type_checking_do_not(copied):
    jobs = copied[0] / "jobs"
    file = jobs / "features" / "pins.py"
    text = (
        f"{file.read_text()}\n\nif TYPE_CHECKING:\n    from jobs.related import typed\n\n\n"
        "def late():\n    from jobs.related import extra\n"
    )
    new = dict.fromkeys((jobs / "related" / "extra.py", jobs / "related" / "typed.py"), "WEIGHT = 1\n")
    with written(new | {file: text}):
        names = {path.name for path in job_files(job("features.pin_stats"), copied[0])}
    assert "extra.py" in names
    assert "typed.py" not in names


def test_the_files_of_a_job_are_its_module_and_all_that_it_imports():
    files = {str(path.relative_to(ROOT)) for path in job_files(job("features.pin_stats"))}
    assert {"jobs/features/pins.py", "jobs/features/__init__.py", "jobs/lake/delta.py"} <= files
    assert not any(name.startswith(("jobs/ranking/", "jobs/settings/", "jobs/cli/")) for name in files)

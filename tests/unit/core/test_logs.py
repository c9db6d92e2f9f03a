import json
import logging
import threading
from datetime import date

import pytest

from jobs.common import logs, redaction

log = logging.getLogger("jobs.test")


@pytest.fixture
def file(tmp_path):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield logs.start(tmp_path, "WARNING")
    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_names_run_job_and_cut(file):
    log.info("before")
    with logs.about("run-1", "features.pin_stats", date(2026, 11, 1)):
        log.info("committed %d rows", 3)
    first, second = lines(file)
    assert (first["run"], first["job"], first["as_of"]) == ("", "", "")
    assert (second["run"], second["job"], second["as_of"]) == ("run-1", "features.pin_stats", "2026-11-01")
    assert (second["level"], second["logger"], second["message"]) == ("INFO", "jobs.test", "committed 3 rows")
    assert second["time"].endswith("+00:00")


def test_jobs_of_one_session_do_not_mix_their_lines(file):
    at, done = threading.Barrier(2), []

    def work(job):
        with logs.about(f"run-{job}", job, None):
            at.wait(5)
            log.info("from %s", job)
            done.append(job)

    threads = [threading.Thread(target=work, args=(job,)) for job in ("a", "b")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(done) == 2
    assert {(line["job"], line["message"]) for line in lines(file)} == {("a", "from a"), ("b", "from b")}


def test_secrets_stay_out_of_lines_and_traces(file, monkeypatch, capsys):
    monkeypatch.setattr(redaction, "_known", {"hunter2-planted"})
    try:
        raise ValueError("hunter2-planted in a trace")
    except ValueError:
        log.exception("password=%s", "another-one")
    (line,) = lines(file)
    assert "trace" in line
    shown = json.dumps(line) + capsys.readouterr().err
    assert "hunter2-planted" not in shown
    assert "another-one" not in shown


def test_old_files_are_removed(tmp_path, file, monkeypatch):
    monkeypatch.setattr(logs, "KEPT", 3)
    for number in range(5):
        (tmp_path / f"pinlake-2026110{number}T000000-1.jsonl").write_text("")
    log.info("this one is kept")
    logs.start(tmp_path, "WARNING")
    assert len(list(tmp_path.glob("*.jsonl"))) == 2, "and the new file makes three"

"""What a person and a scheduler see of an ingest run, and the code that it ends with."""

import pytest

from jobs.engine.attention import Attention, attention
from jobs.engine.scheduler import has_source

BLOCKED = {"app.t": "app.t is blocked at 5: a reason"}


@pytest.mark.parametrize(
    ("counts", "detail", "code", "strict"),
    [
        ({}, None, None, None),
        ({"quarantined": 7}, {"blocked": {}}, None, None),
        ({}, {"drifted": {"app.pins": ["title is missing"]}}, None, None),
        ({}, {"blocked": BLOCKED}, 10, 10),
        ({}, {"awaited": ["app/t/7/CDC000002.json"]}, None, 10),
        ({"unknown_files": 1}, {"unknown_paths": {"app/notes.txt": "unknown_path: ?"}}, None, 10),
        ({"unknown_files": 0}, {"unknown_paths": {"app/notes.txt": "unknown_path: ?"}}, None, None),
        ({}, {"other_topics": ["clicks"]}, None, 10),
    ],
)
def test_what_is_blocked_ends_a_run_with_its_own_code_and_the_rest_a_strict_one(counts, detail, code, strict):
    found = attention(counts, detail)
    ended = [error.exit_code if error else None for error in (found.error(False), found.error(True))]
    assert ended == [code, strict]


def test_sentences_name_what_they_are_of_and_long_lists_are_cut():
    found = attention({"unknown_files": 9}, {"blocked": BLOCKED, "unknown_paths": {f"f{n}": "?" for n in range(9)}})
    assert found.blocked == (BLOCKED["app.t"],)
    assert found.waiting == ("f0, f1, f2, f3, f4 and 4 more: 9 files are of no known kind: `pinlake quarantine list`.",)
    assert attention({}, {"awaited": ["a"]}).waiting[0].startswith("a: 1 file is not there")
    both = found + Attention(blocked=("x",), notes=("y",))
    assert (both.blocked, both.notes) == ((BLOCKED["app.t"], "x"), ("y",))
    assert "2 tables or topics are blocked" in str(both.error(False))


def test_only_what_was_asked_for_has_a_line():
    named = {"ticdc": "s3://cdc", "dumpling": None, "kafka": []}
    jobs = ("ingest.cdc", "ingest.kafka", "ingest.images", "ingest.embeddings")
    assert [has_source(job, named) for job in jobs] == [True, False, False, False]
    more = {"kafka": ["kafka://b/t"], "model": "m.onnx"}
    assert [has_source(job, more) for job in jobs] == [
        False,
        True,
        False,
        True,
    ]

import json

import pytest

from jobs.common import redaction
from jobs.common.redaction import know, masked, redacted
from jobs.settings.ingest import TableRules

PLANTED = "hunter2-planted"


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(redaction, "_known", set())


@pytest.mark.parametrize(
    "text",
    [
        f"s3://bucket/cdc?access-key={PLANTED}&secret-access-key={PLANTED}&region=eu",
        f"redis://user:{PLANTED}@cache:6379/0",
        f"spark.hadoop.fs.s3a.secret.key={PLANTED}",
        f'{{"password": "{PLANTED}", "host": "h"}}',
        f"TOKEN: {PLANTED}",
    ],
)
def test_what_is_named_a_secret_is_covered(text):
    said = redacted(text)
    assert PLANTED not in said
    assert redaction.MASK in said


def test_what_is_no_secret_stays():
    text = "gold.home_feed: 3 rows, key user_id, version 7 at file:///data/lake; --as-of 2026-11-01"
    assert redacted(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Redis at h:1 wants another password: set PINLAKE_PUBLISH__PASSWORD in the environment.",
        "mysql://user@host:4000 (password: PINLAKE_SOURCE_PASSWORD) or airflow:CONNECTION.",
        "the secret: give it as PINLAKE_INGEST__MASK_SECRET",
        "Token: none is needed here",
        "app.password_resets: 3,211 of 5,000 rows cannot be read",
    ],
)
def test_our_own_words_stay(text):
    assert redacted(text) == text


@pytest.mark.parametrize("text", ["password: letmein", "password: letmein\nnext: line", "password=letmein for you"])
def test_a_word_may_be_a_secret(text):
    assert "letmein" not in redacted(text)


def test_rules_of_a_table_are_shown_whatever_it_is_called():
    rules = TableRules(exclude=True)
    assert masked("ingest.tables", {"app.tokens": rules}) == {"app.tokens": rules}


def test_a_secret_that_is_a_word_is_not_covered_within_others():
    know(["store"])
    assert redacted("restored the store") == "restored the ***"


def test_a_known_value_is_covered_wherever_it_stands():
    know([PLANTED, "", "abc"])
    assert redacted(f"could not open {PLANTED}/x, abc") == "could not open ***/x, abc"


def test_of_a_secret_that_begins_as_another_does_nothing_is_left():
    know([PLANTED, f"{PLANTED}-2"])
    assert redacted(f"{PLANTED}-2, {PLANTED}") == "***, ***"


def test_a_map_of_properties_is_masked_entry_by_entry():
    shown = masked("platform.spark.conf", {"spark.hadoop.fs.s3a.secret.key": PLANTED, "spark.ui.port": "4041"})
    assert shown == {"spark.hadoop.fs.s3a.secret.key": "***", "spark.ui.port": "4041"}
    assert masked("publish.password", "") == ""


def test_the_command_line_shows_no_planted_secret(pinlake, monkeypatch, tmp_path):
    """Configuration, errors with the settings' values in them, logs: planted in each way a person would."""
    conf = json.dumps({"spark.hadoop.fs.s3a.secret.key": PLANTED, "spark.app.note": f"uses {PLANTED}"})
    monkeypatch.setenv("PINLAKE_PLATFORM__SPARK__CONF", conf)
    monkeypatch.setenv("PINLAKE_PUBLISH__PASSWORD", PLANTED + "-2")
    monkeypatch.setenv("PINLAKE_PLATFORM__WORK", str(tmp_path))
    monkeypatch.setenv("PINLAKE_PLATFORM__LAKE", str(tmp_path / "lake"))
    said = ""
    for command in (
        ["config"],
        ["config", "--json"],
        ["runs"],
        ["ingest", "--ticdc", f"/nowhere/x?secret-access-key={PLANTED}-3"],
        ["--debug", "ingest", "--kafka", f"s3a://key:{PLANTED}-4@bucket/x y"],
        ["--set", f"publish.password={PLANTED}-5", "config", "publish"],
    ):
        done = pinlake(*command)
        said += done.stdout + done.stderr
    said += "".join(file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file())
    assert "publish.password" in said
    assert "/nowhere/" in said
    assert PLANTED not in said

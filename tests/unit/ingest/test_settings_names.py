"""Names of ingest.tables that the sources do not have."""

import logging

import pytest

from jobs.common.errors import ConfigError
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.tables.schema_history import Version
from jobs.ingest.tidb.tables.table_names import check_names
from jobs.settings.ingest import Ingest

THERE = {("app", "users"), ("app", "pins")}
VERSIONS = {("app", "users"): [Version(1, (SourceColumn("id", "INT"), SourceColumn("email", "VARCHAR")), ("id",))]}


def check(**tables):
    given = {name.replace("__", "."): rules for name, rules in tables.items()}
    check_names(Ingest(tables=given), THERE, VERSIONS)


@pytest.mark.parametrize(
    ("name", "rules", "words"),
    [
        ("app.user", {"mask": {"email": "hash"}}, r"ingest\.tables\.app\.user: .*Did you mean app\.users\?"),
        ("app.Users", {"exclude": True}, r"Did you mean app\.users\?"),
        ("app.users", {"mask": {"emial": "null"}}, r"users\.mask: .*'emial'.*Did you mean email\?"),
        ("app.users", {"mask": {"Email": "null"}}, r"Did you mean email\?"),
        ("app.users", {"keys": ("uid",)}, r"users\.keys: .*'uid'.*There are: email, id"),
    ],
)
def test_a_slip_of_a_name_stops_before_anything_is_read(name, rules, words):
    with pytest.raises(ConfigError, match=words):
        check(**{name: rules})


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("app.boards", {"exclude": True}),  # not there yet
        ("shop.users", {"mask": {"email": "hash"}}),  # of other sources
        ("app.user", {"timezone": "UTC"}),
        ("app.users", {"mask": {"phone": "null"}}),  # named ahead of ADD COLUMN
    ],
)
def test_what_may_still_come_is_said_and_goes_on(name, rules, caplog):
    with caplog.at_level(logging.WARNING):
        check(**{name: rules})
    assert f"ingest.tables.{name}" in caplog.text


def test_names_that_are_there_and_topics_are_fine(caplog):
    check(**{"app.users": {"mask": {"email": "null"}, "keys": ("id",)}, "pin_events": {"quarantine": {"rows": 1}}})
    assert not caplog.text

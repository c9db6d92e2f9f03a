"""What silver has of a table, worked out in plain Python from rows of the ledger: for tests without a JVM."""

import json

from jobs.history.conversions import convert


def rows_of(table, ledger, checkpoint):
    """Return key -> column -> text of a `SourceTable` as of the checkpoint."""
    mine = [row for row in ledger if is_mine(table, row) and row["_commit_ts"] <= table.limit(checkpoint)]
    newest = {}
    for row in sorted(mine, key=lambda row: (row["_commit_ts"], row["_op_rank"])):
        newest[tuple(json.loads(row["key"]))] = row
    kept = {key: row for key, row in newest.items() if row["op"] != "D" and not _is_gone(table, row)}
    return {key: {column.name: _text(column, row) for column in table.columns} for key, row in kept.items()}


def is_mine(table, row):
    """Return whether a row of the ledger is the table's, and not from before its last truncation."""
    at, floor = row["_commit_ts"], max(table.truncated_at, default=0)
    here = any(s.table == row["table"] and s.start <= at and (s.end is None or at < s.end) for s in table.segments)
    return here and at >= floor


def _is_gone(table, row):
    """Return whether a row went with a partition; those of the histories go by ranges of one integer."""
    value = dict(row["after"])

    def below(bound, number):
        return bound is not None and (bound[0] is None or number < int(bound[0]))

    return any(
        row["_commit_ts"] < one.at and below(high, number) and not below(low, number)
        for one in table.dropped_partitions
        for number in [int(value[one.columns[0][0]])]
        for low, high in one.ranges
    )


def _text(column, row):
    value, at = dict(row["after"]), row["_commit_ts"]
    name = [name for start, name in column.names if start <= at][-1]
    known = name in value and (column.since is None or at >= column.since)
    text = value[name] if known else column.default
    for version, steps in column.casts:
        if at < version and text is not None:
            text = convert(text, json.loads(json.dumps(steps)))
            assert text is not None, f"{column.name} holds a value that does not fit"
    return text

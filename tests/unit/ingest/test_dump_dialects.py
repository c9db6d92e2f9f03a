"""Every way Dumpling writes CSV is inferred from the files and read, or the tables are blocked; never a wrong value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.common.errors import SourceError
from jobs.ingest.loading.stream import BAD, CHANGE, FILE, Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.dumpling.export import dialect_of, read_export
from jobs.ingest.tidb.dumpling.options import Sample, detect
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.sources import join
from jobs.settings.ingest import Dumpling, Ingest

COLUMNS = (
    SourceColumn("id", "BIGINT", nullable=False), SourceColumn("name", "VARCHAR", length=50),
    SourceColumn("n", "INT"), SourceColumn("day", "DATE"),
)  # fmt: skip
ROWS = RowSpec("app", "t", 5, COLUMNS, ("id",))
CREATE = "CREATE TABLE `t` (`id` bigint NOT NULL, `name` varchar(50), `n` int, `day` date, PRIMARY KEY (`id`))"
METADATA = (
    "Started dump at: x\nSHOW MASTER STATUS:\n\tLog: tidb-binlog\n\tPos: 460000000001000000\nFinished dump at: y\n"
)
DIALECTS = [
    Dialect(escape_backslash=escape, separator=separator, quote=quote)
    for quote in ('"', "'", "", "@@")
    for separator in (",", "|", "|+|", "||", "\t", "^|^", "::", "\x01")
    for escape in (True, False)
    if len(quote) == 1 or escape
]


def text(value, dialect):
    """Write one text as Dumpling does (tidb, dumpling/export/sql_type.go)."""
    if dialect.escape_backslash:
        first = (dialect.quote or dialect.separator)[0]
        codes = {"\0": "0", "\r": "r", "\n": "n", "\\": "\\", first: first}
        value = "".join("\\" + codes[char] if char in codes else char for char in value)
    else:
        value = value.replace(dialect.quote, dialect.quote * 2)
    return dialect.quote + value + dialect.quote


def written(rows, dialect):
    lines = [[text(column.name, dialect) for column in COLUMNS]] if dialect.header else []
    for number, name, n, day in rows:
        fields = [str(number), None if name is None else text(name, dialect), n, day and text(day, dialect)]
        lines.append([dialect.null if field is None else field for field in fields])
    return "".join(dialect.separator.join(line) + "\r\n" for line in lines).encode()


def read(content, dialect, rows=ROWS):
    task = Task("dumpling", "/", "f.csv", 1, "app.t", DumpSpec(rows, 5, dialect))
    found = [row for batch in read_dump(task, content) for row in batch.to_pylist()]
    (end,) = [row for row in found if row["kind"] == FILE]
    good, bad = ([row for row in found if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert end["rows"] == len(good) + len(bad)
    return [tuple(dict(row["after"]).values()) for row in good], bad


ODD = [
    "a",
    "",
    "x,y|+|z||\t^|^::",
    "\\N",
    "NULL",
    'say "hi"',
    "it's @@ @",
    "C:\\new\\table",
    "line\r\nend\n",
    "\\",
    "é",
    None,
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=repr)
def test_every_dialect_is_found_out_and_says_the_same(dialect):
    rows = [(str(at), name, str(at) if at % 3 else None, "2026-01-02") for at, name in enumerate(ODD)]
    content = written(rows, dialect)
    assert detect([Sample(COLUMNS, content)], Dumpling()) == dialect
    assert read(content, dialect) == (rows, [])


@given(
    st.lists(
        st.tuples(st.none() | st.text(st.sampled_from("ab\\N\"'|+,@\r\n\0 0nr"), max_size=6), st.booleans()), max_size=6
    ),
    st.sampled_from(DIALECTS),
)
def test_what_was_written_is_read_or_set_aside(values, dialect):
    rows = [(str(at), name, "7" if flag else None, None) for at, (name, flag) in enumerate(values)]
    assert read(written(rows, dialect), dialect) == (rows, [])


def test_texts_without_quotes_are_not_taken_for_null_nor_null_for_a_text():
    plain = b"id,name,n,day\r\n1,a,2,2026-01-02\r\n"
    assert detect([Sample(COLUMNS, plain)], Dumpling()) == Dialect(quote="")
    assert detect([Sample(COLUMNS, plain.split(b"\r\n", 1)[1])], Dumpling()) == Dialect(quote="", header=False)
    null = b'"id","name","n","day"\r\n1,NULL,2,"2026-01-02"\r\n2,"NULL",NULL,NULL\r\n'
    dialect = detect([Sample(COLUMNS, null)], Dumpling())
    assert dialect == Dialect(null="NULL")
    assert [row[1] for row in read(null, dialect)[0]] == [None, "NULL"]
    with pytest.raises(SourceError, match=r"ingest\.dump\.null"):
        detect([Sample(COLUMNS, b"1,a,NULL,x\r\n2,b,3,y\r\n")], Dumpling())
    with pytest.raises(SourceError, match="no backslashes"):
        detect([Sample(COLUMNS, plain)], Dumpling(quote="", escape_backslash=False))


@pytest.mark.parametrize(
    ("line", "dialect"),
    [
        (b'2,NULL,3,"2026-01-02"', Dialect()), (b'2,"a",3,2026-01-02', Dialect()),
        (b'2,"C:\\windows",3,\\N', Dialect()), (b"2,C:\\windows,3,\\N", Dialect(quote="")),
    ],
)  # fmt: skip
def test_a_record_of_another_dialect_is_set_aside_and_says_which_settings(line, dialect):
    rows = [(str(number), "x", "1", None) for number in range(1, 16) if number != 2]
    good, bad = read(written(rows, dialect).replace(b"\r\n3", b"\r\n" + line + b"\r\n3", 1), dialect)
    assert good == rows
    assert [(row["reason"], row["row_no"], row["raw"]) for row in bad] == [("wrong_dialect", 2, line)]
    assert "ingest.dump." in bad[0]["detail"]


def write(root, files):
    for name, content in {"metadata": METADATA, "app.t-schema.sql": CREATE, **files}.items():
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def test_the_separators_that_pingcap_names_are_read_from_an_export(tmp_path):
    root = write(
        tmp_path, {"app.t.000000000.csv": b"id|+|name|+|n|+|day\r\n1|+|a\\|+|b|+|2|+|\\N\r\n2|+|\\\\N|+|\\N|+|\\N\r\n"}
    )
    export = read_export(root)
    dialect = dialect_of(export, Dumpling())
    assert (dialect.separator, dialect.quote, export.blocked) == ("|+|", "", {})
    (item,) = join(None, export, Ingest()).items
    good, bad = read((tmp_path / "app.t.000000000.csv").read_bytes(), item.task.spec.dialect)
    assert (good, bad) == ([("1", "a|+|b", "2", None), ("2", "\\N", None, None)], [])


def test_a_table_that_no_dialect_fits_is_blocked_and_the_others_go_on(tmp_path):
    files = {
        "app.t.000000000.csv": written([(str(n), "x", "1", None) for n in range(9)], Dialect()),
        "app.u-schema.sql": CREATE.replace("`t`", "`u`"), "app.u.000000000.csv": b"1~2~3\r\n4~5~6\r\n",
    }  # fmt: skip
    sources = join(None, read_export(write(tmp_path, files)), Ingest())
    assert [item.task.table for item in sources.items] == ["app.t"]
    assert sources.blocked_files == ["app.u.000000000.csv"]
    assert "records of its files do not have its 4 columns" in sources.tables["app.u"].blocked_reason
    (tmp_path / "app.t.000000000.csv").unlink()
    sources = join(None, read_export(str(tmp_path)), Ingest())
    assert sources.items == []
    assert "fit no dialect" in sources.tables["app.u"].blocked_reason


def test_a_file_of_another_dialect_is_set_aside_whole():
    content = written([(str(number), "x", "1", None) for number in range(9)], Dialect()).replace(b'"x"', b"NULL")
    good, (bad,) = read(content, Dialect())
    assert (good, bad["reason"], bad["row_no"], bad["raw"]) == ([], "wrong_dialect", None, content)
    assert "9 of 9 rows" in bad["detail"]

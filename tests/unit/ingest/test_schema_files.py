"""Schema files: checksum and version must be those of the name; types are TiDB's."""

import json

import pytest

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.defaults import implicit_default
from jobs.ingest.tidb.ddl.source_column import SourceColumn, base_type
from jobs.ingest.tidb.ticdc.object_paths import SchemaPath, classify
from jobs.ingest.tidb.ticdc.schema_files import checksum, parse_schema_file


def _goldens(folder):
    return sorted(folder.rglob("schema_*.json"))


def test_checksums_of_goldens_and_of_real_feeds_are_reproduced(shared):
    roots = [shared / "fixtures/ticdc/storage", *sorted((shared / "fixtures/ticdc-real").glob("*c*"))]
    checked = 0
    for root in filter(lambda p: p.is_dir() and p.name != "expected", roots):
        for path in _goldens(root):
            named = classify(path.relative_to(root).as_posix())
            assert isinstance(named, SchemaPath)
            assert parse_schema_file(path.name, named, path.read_bytes()).version == named.version
            checked += 1
    assert checked > 20


def _body(**changes):
    column = {"ColumnName": "id", "ColumnType": "BIGINT UNSIGNED", "ColumnNullable": "false", "ColumnIsPk": "true"}
    color = {"ColumnName": "c", "ColumnType": "ENUM", "ColumnElems": ["<red>", "blue & grey"]}
    body = {"Table": "t", "Schema": "s", "Version": 1, "TableVersion": 470650142688280577, "Query": "", "Type": 0}
    return body | {"TableColumns": [column, color], "TableColumnsTotal": 2} | changes


def _parse(body, version=470650142688280577):
    named = SchemaPath("s", "t", version, checksum(_body()))
    return parse_schema_file("s/t/meta/x.json", named, json.dumps(body).encode())


def test_a_version_above_two_to_the_53_keeps_every_digit():
    parsed = _parse(_body())
    assert parsed.version == 470650142688280577
    assert parsed.key == ("id",)
    assert [c.spark for c in parsed.columns] == ["decimal(20,0)", "string"]
    assert parsed.columns[1].members == ("<red>", "blue & grey")


@pytest.mark.parametrize(
    "body",
    [
        _body(TableColumnsTotal=3),
        _body(TableVersion=470650142688280576),
        _body(Table="other"),
    ],
)
def test_a_file_that_differs_from_its_name_is_not_trusted(body):
    with pytest.raises(SourceError, match=r"x\.json.*altered or half written"):
        _parse(body)


def test_what_is_no_schema_file_is_named():
    named = SchemaPath("s", "t", 1, 2)
    for content in (b"", b"{", b"[]", b'{"Table": "t"}', b"\xff\xfe"):
        with pytest.raises(SourceError, match="not a TiCDC schema file"):
            parse_schema_file("x.json", named, content)


def test_query_and_type_do_not_count_in_the_checksum():
    assert checksum(_body()) == checksum(_body(Query="ALTER TABLE t ADD INDEX (id)", Type=7, TableVersion=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INT UNSIGNED", ("INT", True)),
        ("bit unsigned", ("BIT", True)),
        ("YEAR UNSIGNED", ("YEAR", True)),
        ("integer", ("INT", False)),
        ("int unsigned zerofill", ("INT", True)),
    ],
)
def test_type_names_are_made_plain(text, expected):
    assert base_type(text, "x") == expected


def test_an_unknown_type_names_the_column():
    with pytest.raises(SourceError, match=r"app\.t, column shape: type 'GEOMETRY' is not known"):
        base_type("GEOMETRY", "app.t, column shape")


@pytest.mark.parametrize(
    ("column", "spark"),
    [
        (SourceColumn("c", "TINYINT", True), "smallint"),
        (SourceColumn("c", "INT", True), "bigint"),
        (SourceColumn("c", "BIGINT"), "bigint"),
        (SourceColumn("c", "DECIMAL", length=20, scale=4), "decimal(20,4)"),
        (SourceColumn("c", "DECIMAL", length=65, scale=30), "string"),
        (SourceColumn("c", "BIT", True, 64), "decimal(20,0)"),
        (SourceColumn("c", "BIT", True, 8), "bigint"),
        (SourceColumn("c", "DATETIME"), "timestamp_ntz"),
        (SourceColumn("c", "TIMESTAMP"), "timestamp"),
        (SourceColumn("c", "TIME"), "string"),
        (SourceColumn("c", "YEAR"), "int"),
        (SourceColumn("c", "FLOAT"), "float"),
        (SourceColumn("c", "VARBINARY"), "binary"),
    ],
)
def test_each_type_has_a_spark_type_that_holds_all_its_values(column, spark):
    assert column.spark == spark


def test_a_not_null_column_without_default_fills_older_rows_with_mysqls_zero():
    assert implicit_default(SourceColumn("c", "INT", nullable=False)) == "0"
    assert implicit_default(SourceColumn("c", "VARCHAR", nullable=False)) == ""
    assert implicit_default(SourceColumn("c", "ENUM", nullable=False, members=("a", "b"))) == "a"
    assert implicit_default(SourceColumn("c", "INT")) is None

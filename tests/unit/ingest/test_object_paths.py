"""What a path of a storage sink says, against the cases of TiCDC's own tests and our rules."""

import json

import pytest

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ticdc.object_paths import (
    Data,
    Folder,
    Index,
    Metadata,
    SchemaPath,
    Temporary,
    Unknown,
    classify,
    index_number,
)


def _cases(shared):
    lines = (shared / "fixtures/ticdc/storage/path_cases.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_data_paths_of_ticdcs_own_tests_are_read(shared):
    cases = [c for c in _cases(shared) if c["kind"] == "data"]
    assert len(cases) >= 8
    for case in cases:
        found = classify(case["path"], case["date_separator"])
        by_id = case.get("use_table_id_as_path", False)
        folder = Folder(
            "" if by_id else case["schema"],
            case["table"],
            case["table_version"],
            case.get("partition", 0),
            case.get("date", ""),
            case["dispatcher"],
            case["table_id"] if by_id else 0,
        )
        assert found == Data(folder, case["index"], case["path"].rsplit(".", 1)[1])
        assert classify(case["path"]) == found, "auto finds the separator by itself"


def test_schema_file_names_are_told_from_others_as_ticdc_does(shared):
    for case in _cases(shared):
        if case["kind"] == "is_schema_file" and not case["path"].startswith("meta/schema"):
            is_schema = isinstance(classify(case["path"]), SchemaPath)
            assert is_schema == case["valid"], case["path"]


def test_data_file_names_are_told_from_others_as_ticdc_does(shared):
    for case in _cases(shared):
        if case["kind"] == "data_file_name":
            found = classify(f"s/t/5/{case['path']}")
            assert isinstance(found, Data) == case["valid"], case["path"]


def test_index_files_that_ticdc_refuses_are_unknown(shared):
    for case in _cases(shared):
        if case["kind"] == "index":
            assert isinstance(classify(case["path"], case["date_separator"]), Unknown), case["path"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata", Metadata()),
        ("geo-x/tag map/7/meta/CDC.index", Index(Folder("geo-x", "tag map", 7))),
        ("a/b/7/2026/meta/CDC_18250176885466902010799749307735073471.index",
         Index(Folder("a", "b", 7, 0, "2026", "18250176885466902010799749307735073471"))),
        ("a/b/7/131/2026-08/CDC000001.csv", Data(Folder("a", "b", 7, 131, "2026-08"), 1, "csv")),
        ("a/meta/schema_3_0000000004.json", SchemaPath("a", "", 3, 4)),
        ("12345/123456/2026-08/CDC000001.json", Data(Folder("", "", 123456, 0, "2026-08", None, 12345), 1, "json")),
        ("12345/123456/meta/CDC.index", Index(Folder("", "", 123456, table_id=12345))),
        ("12345/meta/schema_3_0000000004.json", SchemaPath("12345", "", 3, 4)),
        ("a/b/7/CDC000001.json.tmp.0c9a-41", Temporary()),
        ("a/b/7/notes.txt", Unknown("unknown_path")),
        ("a/b/CDC000001.json", Unknown("unknown_path")),
        ("CDC000001.json", Unknown("unknown_path")),
    ],
)  # fmt: skip
def test_a_path_says_what_the_object_is(path, expected):
    assert classify(path) == expected


def test_layouts_that_cannot_be_read_are_refused_by_name():
    with pytest.raises(SourceError, match=r"before v6\.5\.3"):
        classify("app/users/441349361156227074/schema.json")


def test_an_index_names_the_greatest_number():
    assert index_number("CDC00000000000000000012.json\n") == 12
    assert index_number("CDC_77_000003.json\n") == 3
    assert index_number("") is None

"""What commands print of data: all of it, as it is, for people and for programs."""

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from jobs.cli import grid
from jobs.cli.context import app, escaped

ODD = ["[red]sale[/red] now", "a [/b] c", "[DIY] lamp", "\\[x]", "x["]


def printed(columns, rows, **console):
    """Return what a table is printed as; a pipe of 80 columns unless told otherwise."""
    file = io.StringIO()
    grid.print_grid(Console(file=file, **({"width": 80} | console)), columns, rows)
    return file.getvalue()


@pytest.mark.parametrize("text", ODD)
def test_signs_of_markup_in_data_are_data(text):
    assert text in printed([text], [[text]]).split("\n", 3)[3]
    assert text in printed([text], [[text]]).split("\n", 2)[1]
    out = io.StringIO()
    Console(file=out, width=80).print(f"[bold]in[/] {escaped(text)} ([dim]1 s[/])", highlight=False)
    assert out.getvalue() == f"in {text} (1 s)\n"


def test_two_columns_of_one_name_have_a_value_each():
    lines = printed(["user", "pin", "pin", "category"], [(1, 1875, 1876, "nature")]).splitlines()
    assert lines[1].replace("┃", " ").split() == ["user", "pin", "pin", "category"]
    assert lines[3].replace("│", " ").split() == ["1", "1875", "1876", "nature"]


def test_long_values_are_whole_in_a_pipe_and_folded_on_a_terminal():
    long = "x" * 300
    assert long in printed(["a", "b"], [(long, 1), (long, 2)])
    folded = printed(["a"], [(long,)], width=40, force_terminal=True, color_system=None)
    assert folded.count("x") == 300
    assert max(map(len, folded.splitlines())) <= 40


def test_what_a_terminal_would_obey_is_shown():
    assert "\\x1b[31m" in printed(["a"], [["\x1b[31m"]])
    assert "\x1b" not in printed(["\x1b[0m"], [["\x1b]0;title\x07"]])


def test_null_is_told_from_the_empty_text_and_a_text_of_ones_own_stays():
    shown = printed(["a", "b", "c", "d"], [(None, "", b"\0\xff", Text("=", style="bold"))])
    assert "NULL" in shown
    assert "2 bytes" in shown
    assert "=" in shown


class _Row(tuple):
    __fields__ = ("k", "l")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        ([1.5, float("inf")], [1.5, None]),
        (bytearray(b"\x00\xff"), "AP8="),
        (Decimal("1.10"), "1.10"),
        (10**30, 10**30),
        (True, True),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, 6), "2026-01-02T03:04:05.000006"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (_Row((1, None)), {"k": 1, "l": None}),
        ([_Row((1, [_Row((2, 3))]))], [{"k": 1, "l": [{"k": 2, "l": 3}]}]),
        ({1: "a", None: "b", 1.5: "c"}, {"1": "a", "null": "b", "1.5": "c"}),
        ({(1, 2): "a"}, [{"key": [1, 2], "value": "a"}]),
        ({_Row((1, 2)): float("nan")}, [{"key": {"k": 1, "l": 2}, "value": None}]),
    ],
)
def test_json_holds_every_value_and_is_json(value, wanted, capsys):
    grid.write_json({"x": value})

    def never(word):
        raise AssertionError(word)

    assert json.loads(capsys.readouterr().out, parse_constant=never) == {"x": wanted}


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_below_one_is_a_fault_of_use(limit):
    import jobs.cli.run  # noqa: F401 - registers the command

    found = CliRunner().invoke(app, ["sql", "select 1", "--limit", limit])
    assert (found.exit_code, "--limit" in found.output) == (2, True)


def test_json_of_half_a_character_can_be_written(capsys):
    grid.write_json(["\ud83d", "é"])
    assert json.loads(capsys.readouterr().out) == ["\ud83d", "é"]

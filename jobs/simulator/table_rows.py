"""A block of a text table as columns of texts, every line accounted for."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.common.errors import SourceError

BLANKS, DOUBLE = " ", "\x1f"
"""What blanks, however many, and two colons are brought to."""


@dataclass(frozen=True)
class Form:
    """How rows are written."""

    delimiter: str
    width: int
    used: Sequence[int]
    """Numbers of the columns that are wanted."""


def rows_of(file: Path, block: bytes, line: int, form: Form) -> tuple[Any, Callable[[int], str]]:
    """Return a block's rows as texts, and what says where a row stands.

    Args:
        file: for messages.
        block: whole lines.
        line: number of the first.
        form: how they are written.

    Raises:
        SourceError: a line has another number of fields, or a quote that is not closed in it.
    """
    import pyarrow.csv as pc

    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    names = [str(at) for at in range(form.width)]
    text = plain(_valid(block), form.delimiter)
    lines = text.split(b"\n")
    parse = pc.ParseOptions(delimiter=single(form.delimiter), invalid_row_handler=refuse)
    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False,
        include_columns=[str(at) for at in form.used],
    )  # fmt: skip
    read = pc.ReadOptions(column_names=names, block_size=max(len(text) + 1, 1 << 16), use_threads=False)
    try:
        table = pc.read_csv(io.BytesIO(text), read, parse, convert)
    except pa.ArrowInvalid as error:
        if not wrong:
            raise SourceError(f"{file}, lines from {line} on, cannot be read: {str(error)[:200]}.") from error
        at = line + text[: max(0, text.find(wrong[0].text.encode()))].count(b"\n")
        raise SourceError(odd_line(file, at, wrong[0].actual_columns, wrong[0].expected_columns)) from None
    if len(table) != sum(map(bool, lines)):
        odd = (at for at, one in enumerate(lines) if one.count(b'"') % 2)
        raise SourceError(
            f"{file} line {line + next(odd, 0)} has a quote that is not closed in it: fields that hold line ends are "
            "not read. Leave such a column out, or write it without quotes."
        )
    return table, lambda row: f"line {_line_of(lines, row) + line}"


def _valid(block: bytes) -> bytes:
    """Return a block as UTF-8: other bytes are no part of a number, and only have to be shown."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def _line_of(lines: list[bytes], row: int) -> int:
    full = (at for at, one in enumerate(lines) if one)
    return next(at for place, at in enumerate(full) if place == row)


def odd_line(file: Path, line: int, got: int, usual: int) -> str:
    """Return what is wrong with a line of another number of fields."""
    return (
        f"{file} line {line} has {got} fields, others have {usual}: correct it, or say --layout lists where a line is "
        "a user and the items saved."
    )


def single(delimiter: str) -> str:
    """Return the one character that parts fields in what `plain` returns."""
    return DOUBLE if delimiter == "::" else delimiter


def plain(block: bytes, delimiter: str) -> bytes:
    """Return lines whose fields are parted by one byte."""
    if delimiter == "::":
        return block.replace(b"::", DOUBLE.encode())
    if delimiter == BLANKS:
        return re.sub(rb"(?m)^ +| +$", b"", re.sub(rb"[ \t]+", b" ", block))
    return block

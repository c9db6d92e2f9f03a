r"""Rows as lines of CSV, texts byte for byte: Spark's own writer trims them, and writes NULL and the text \N alike.

In: batches of string columns. Out: one column of lines. Texts stand in quotes, an inner quote is doubled, nothing else
is escaped: blanks, tabs and line ends stand as they are. Numbers and NULL stand without quotes, NULL as \N; an empty
text is "", the text \N is "\N". Dumpling writes the same with --escape-backslash=false.
"""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

NULL = "\\N"


def csv_lines(
    names: Sequence[str], is_text: Sequence[bool], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the lines of one file, its header first.

    Args:
        names: of the columns.
        is_text: of each column, whether its values stand in quotes.
        batches: string columns.
    """
    yield _batch(pa.array([header(names)], pa.string()))
    for batch in batches:
        fields = [_field(column, text) for column, text in zip(batch.columns, is_text, strict=True)]
        yield _batch(pc.binary_join_element_wise(*fields, ","))


def header(names: Sequence[str]) -> str:
    """Return the line of the columns' names."""
    return ",".join('"' + name.replace('"', '""') + '"' for name in names)


def _field(values: pa.Array, is_text: bool) -> pa.Array:
    texts = pc.cast(values, pa.string())
    if is_text:
        texts = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.fill_null(texts, NULL)


def _batch(lines: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([lines], names=["value"])

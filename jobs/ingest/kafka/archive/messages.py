"""Reading archive files on the executors: messages byte for byte, each with its place and, where it is kept, offset.

In: a file's bytes. Out: batches of bronze.kafka. Nothing is judged here: what a message says is silver's matter. What
cannot be read of a file is one bad row, with what comes after it: formats that lost their thread have no next message.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa

from jobs.ingest.kafka.archive import segments, sequence, typed_records
from jobs.ingest.kafka.archive.insert_field import placed
from jobs.ingest.kafka.archive.layouts import Archived
from jobs.ingest.kafka.archive.message import Broken, Message
from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import BATCH_ROWS, CHANGE, KAFKA_FIELDS, RejectedRows, Task, arrow_schema, batch, ending

SCHEMA = arrow_schema(KAFKA_FIELDS)


def _lines(content: bytes) -> Iterator[Message]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line and line != b"\r":
            yield Message(line.removesuffix(b"\r"), number)


_READERS: dict[str, Callable[[bytes], Iterator[Message]]] = {
    "lines": _lines,
    "sequence": sequence.messages,
    "avro": typed_records.avro,
    "parquet": typed_records.parquet,
    "segment": segments.messages,
}


def read_messages(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one archive file; empty lines are no messages.

    Args:
        task: the file; its spec is an `Archived`.
        content: its bytes, decompressed.
    """
    archived: Archived = task.spec
    # Secor's sequence files have no extension of their own
    form = "sequence" if archived.format == "lines" and sequence.is_one(content) else archived.format
    found, bad = 0, RejectedRows()
    messages = _READERS[form](content)
    keys, headers = (_side(task, path, bad) for path in (archived.keys, archived.headers))
    if archived.inserted is not None:
        messages = placed(messages, archived.inserted)
    while some := list(_until_broken(messages, bad)):
        yield _batch(task, some, found, keys, headers)
        found += len(some)
    yield from ending(SCHEMA, task, found + len(bad), bad)


def _until_broken(messages: Iterator[Message], bad: RejectedRows) -> Iterator[Message]:
    """Yield the next messages of a batch; what cannot be read is noted and ends the file."""
    try:
        yield from islice(messages, BATCH_ROWS)
    except Broken as error:
        bad.add(error.row_no, error.reason, str(error), error.raw)


def _side(task: Task, path: str | None, bad: RejectedRows) -> list[Message] | None:
    """Return the rows of a side file, None where there is none."""
    if path is None:
        return None
    archived: Archived = task.spec
    try:
        return list(_READERS[archived.format](read(task.root, path)))
    except (OSError, Broken) as error:
        bad.add(None, "bad_side_file", f"{path}: {error}", None)
        return None


def _batch(
    task: Task, some: list[Message], before: int, keys: list[Message] | None, headers: list[Message] | None
) -> pa.RecordBatch:
    archived: Archived = task.spec
    first = archived.first_offset if archived.format in {"lines", "avro", "parquet"} else None
    offsets = [m.offset if first is None or m.offset is not None else first + m.row_no - 1 for m in some]
    places = range(before, before + len(some))
    columns = {
        "value": pa.array([m.value for m in some], pa.binary()),
        "row_no": [m.row_no for m in some],
        "layout": pa.repeat(archived.layout, len(some)),
        "partition": [archived.partition if m.partition is None else m.partition for m in some],
        "offset": offsets,
        "offset_quality": [_quality(m, first) for m in some],
        "key": [m.key for m in some] if keys is None else [_at(keys, place) for place in places],
        "ts": [m.ts for m in some],
        "headers": [m.headers for m in some] if headers is None else [_text(_at(headers, place)) for place in places],
    }
    return batch(SCHEMA, task, CHANGE, len(some), columns)


def _quality(message: Message, first: int | None) -> str:
    return "exact" if message.offset is not None else "none" if first is None else "inferred"


def _at(side: list[Message], place: int) -> bytes | None:
    return side[place].value if place < len(side) else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")

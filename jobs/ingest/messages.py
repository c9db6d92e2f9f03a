"""Reading archive files on the executors: one message a line, byte for byte, with its place and offset.

In: a file's bytes. Out: batches of bronze.kafka. Nothing is judged here: what a message says is silver's matter.
"""

from collections.abc import Iterator

import pyarrow as pa

from jobs.ingest.archives import Archived
from jobs.ingest.stream import BATCH_ROWS, CHANGE, KAFKA_FIELDS, Bad, Task, arrow_schema, batch, ending

SCHEMA = arrow_schema(KAFKA_FIELDS)


def read_messages(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one archive file; empty lines are no messages.

    Args:
        task: the file; its spec is an `Archived`.
        content: its bytes, decompressed.
    """
    lines = content.split(b"\n")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line and line != b"\r"]
    for start in range(0, len(numbered), BATCH_ROWS):
        yield _batch(task, numbered[start : start + BATCH_ROWS])
    yield from ending(SCHEMA, task, len(numbered), Bad())


def _batch(task: Task, lines: list[tuple[int, bytes]]) -> pa.RecordBatch:
    archived: Archived = task.spec
    first = archived.first_offset
    columns = {
        "value": [line.removesuffix(b"\r") for _, line in lines],
        "row_no": [number for number, _ in lines],
        "layout": pa.repeat(archived.layout, len(lines)),
        "partition": [archived.partition] * len(lines),
        "offset": [None if first is None else first + number - 1 for number, _ in lines],
        "offset_quality": pa.repeat("none" if first is None else "inferred", len(lines)),
    }
    return batch(SCHEMA, task, CHANGE, len(lines), columns)

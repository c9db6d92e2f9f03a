"""Reads a file that is too large for a task's memory in blocks of whole records.

In: a file, its reader and its splitter. Out: the reader's batches, with rows numbered through the file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.loading.storage import open_stream
from jobs.ingest.loading.stream import FILE, Task

Reader = Callable[[Task, bytes], Iterator[pa.RecordBatch]]


@dataclass
class BlockSplitter:
    """How files of one kind are split."""

    end: Callable[[bytes], int]
    """Returns where the last whole record ends, 0 where none does."""
    lines: bool = False
    """Whether rows are numbered by lines, else by records."""
    header: Callable[[bytes], bytes] = field(default=lambda _: b"")
    """Returns of the first block what each later one needs before it."""
    close: Callable[[bytes], bytes] = field(default=lambda block: block)
    """Returns a block that ends as a file does."""


def read_in_blocks(task: Task, reader: Reader, splitter: BlockSplitter, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file, `size` bytes of it in memory at a time; OSError if it cannot be read."""
    head, waiting, before = b"", b"", 0
    with open_stream(task.root, task.path) as stream:
        ended = False
        while not ended:
            chunk = stream.read(size)
            ended, waiting = not chunk, waiting + chunk
            at = len(waiting) if ended else splitter.end(waiting)
            if not waiting.strip() or not at:
                continue
            block, waiting = waiting[:at], waiting[at:]
            found = 0
            for batch in reader(task, head + (block if ended else splitter.close(block))):
                found += _found(batch)
                yield _numbered(batch, before)
            before += block.count(b"\n") if splitter.lines else found
            head = splitter.header(head + block) or head


def _found(batch: pa.RecordBatch) -> int:
    return batch.column("rows")[0].as_py() if batch.column("kind")[0].as_py() == FILE else 0


def _numbered(batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
    at = batch.schema.get_field_index("row_no")
    return batch.set_column(at, batch.schema.field(at), pc.add(batch.column(at), before)) if before else batch

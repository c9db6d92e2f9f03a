"""Neighbours from files to files: numpy matrices in, Parquet or CSV out, written atomically."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.common.errors import ConfigError
from jobs.knn.join import Block, Join
from jobs.knn.source import Quarantine

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("neighbour", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
    ]
)
QUARANTINE = pa.schema([("id", pa.int64()), ("row", pa.int64()), ("reason", pa.string())])
ROW_GROUP = 1 << 20


def quarantine_of(out: Path) -> Path:
    """Return where the rows that could not be searched are written: beside `out`."""
    return out.with_name(f"{out.stem}.quarantine{out.suffix or '.parquet'}")


FORMATS = {"": "Parquet", ".parquet": "Parquet", ".pq": "Parquet", ".csv": "CSV"}
"""What a file of neighbours is written as, by the end of its name."""


def require_place(out: Path, inputs: Sequence[Path] = ()) -> None:
    """Fail before the work where its result could not be written, or would replace what it is made of.

    Args:
        out: the file to write.
        inputs: those that are read.

    Raises:
        ConfigError: no folder to write into, an unknown format, or a file that is read.
    """
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError(f"--out must be a file in a folder that exists, got {out}: make the folder first.")
    for path in (out, quarantine_of(out)):
        same = next((one for one in inputs if one.exists() and path.exists() and path.samefile(one)), None)
        if same is not None:
            raise ConfigError(f"--out must not replace what is read, and {out} would write {path}, which is {same}.")
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"--out must end in .parquet or .csv, the formats that are written, got {out}.")


def write_neighbours(join: Join, out: Path) -> None:
    """Write the neighbours, a block at a time, and beside them what was left out.

    Columns id, neighbour, score, rank from 1, by (id, rank). The file takes its name once it is whole; the rows in
    quarantine have a file if there are any, and one of an earlier run goes.
    """
    with appearing(out) as file, _writer(out, file) as write:
        for block in join.blocks():
            write(table_of(block))
        _write_quarantine(join.quarantine, quarantine_of(out))


@contextmanager
def _writer(out: Path, file: IO[bytes]) -> Iterator[Callable[[pa.Table], None]]:
    if FORMATS[out.suffix.lower()] == "CSV":
        from pyarrow.csv import CSVWriter, WriteOptions

        with CSVWriter(file, SCHEMA, write_options=WriteOptions(quoting_style="none")) as lines:
            yield lines.write_table
        return
    # random ids and scores have no dictionary worth making; those of `id` and `rank` are short
    options = {"use_dictionary": ["id", "rank"], "compression": "zstd", "compression_level": 1}
    with pq.ParquetWriter(file, SCHEMA, **options) as groups:
        yield lambda table: groups.write_table(table, row_group_size=ROW_GROUP)


def table_of(block: Block) -> pa.Table:
    """Return the rows of a block."""
    first = np.cumsum(block.counts) - block.counts
    rank = np.arange(1, len(block.neighbours) + 1) - np.repeat(first, block.counts)
    columns = (np.repeat(block.ids, block.counts), block.neighbours, block.scores, rank.astype(np.int32))
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)


def _write_quarantine(quarantine: Quarantine, path: Path) -> None:
    if not len(quarantine.rows):
        path.unlink(missing_ok=True)
        return
    with appearing(path) as file:
        columns = [quarantine.ids, quarantine.rows, quarantine.reasons]
        table = pa.Table.from_arrays([pa.array(c) for c in columns], schema=QUARANTINE)
        if FORMATS[path.suffix.lower()] == "CSV":
            from pyarrow.csv import write_csv

            write_csv(table, file)
        else:
            pq.write_table(table, file)


@contextmanager
def appearing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that has its name once the body has ended well, and is gone if it has not."""
    with NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            yield file
            file.flush()
            part.chmod(0o644)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

"""The ops tables: what the platform did, judged, refused and served."""

from jobs.schema.columns import RUN_ID, Column
from jobs.schema.table import AsOf, Table


def _ops(name: str, comment: str, grain: str, keys: str, *columns: Column) -> Table:
    return Table(
        name=f"ops.{name}",
        comment=comment,
        grain=grain,
        keys=tuple(keys.split()),
        columns=columns,
        time=AsOf.LOG,
    )


AWAITED = "awaited"
"""Status of a source file that an index names and that is not there."""
_AT = Column("at", "timestamp", "When the row was written, UTC.", nullable=False)
_PATH = Column("path", "string", "Path of the file below the source's root.", nullable=False)

RUNS = _ops(
    "runs",
    "Every run of every job.",
    "one row per run",
    "run_id",
    RUN_ID,
    Column("job", "string", "Name of the job, as in the flow.", nullable=False),
    Column("as_of", "date", "As-of date of the run."),
    Column("status", "string", "ok or failed.", nullable=False),
    Column("started_at", "timestamp", "UTC.", nullable=False),
    Column("seconds", "double", "Wall time of the run."),
    Column("output", "string", "Table written; null for a job that writes none."),
    Column("output_version", "bigint", "Delta version of the commit."),
    Column("rows", "bigint", "Rows written."),
    Column("bytes", "bigint", "Bytes of the files written."),
    Column("peak_mb", "double", "Peak resident memory of driver, JVM and Python workers while the run lasted."),
    Column("inputs", "map<string,bigint>", "Delta version read of each input table."),
    Column(
        "counts",
        "map<string,bigint>",
        "What the job counted: read, applied, superseded, quarantined and the like.",
    ),
    Column("settings", "map<string,string>", "Settings that a table's job read, values as JSON: no other one matters."),
    Column("config_hash", "string", "Digest of those settings; of all but the platform's where none are recorded."),
    Column("code_hash", "string", "Digest of the code that the job imports and of the suite of its table."),
    Column("error", "string", "First line of the failure; null where the run was good."),
)
CHECKS = _ops(
    "checks",
    "Every expectation judged, with what was measured.",
    "one row per run, suite and expectation",
    "run_id suite expectation column",
    RUN_ID,
    Column("suite", "string", "Suite judged, named as its table.", nullable=False),
    Column("as_of", "date", "As-of date of the run."),
    Column("expectation", "string", "Great Expectations' type of the check.", nullable=False),
    Column("column", "string", "Metric judged, such as pin_id.null_count."),
    Column("severity", "string", "critical, warning or info."),
    Column("success", "boolean", "Whether the expectation held.", nullable=False),
    Column("observed", "string", "Value measured."),
    Column("expected", "string", "Bounds of the expectation, as JSON."),
    _AT,
)
QUARANTINE = _ops(
    "quarantine",
    "Input that could not be used, with its bytes, place and reason. Nothing is dropped silently.",
    "one row per bad row or file",
    "source path row_no reason",
    Column("source", "string", "ticdc, dumpling or kafka.", nullable=False),
    Column("table", "string", "Source table or topic, where it could be told."),
    _PATH,
    Column("row_no", "bigint", "Place of the row in its file, from 1; null for a whole file."),
    Column("reason", "string", "Class of the fault, such as bad_json or unknown_column.", nullable=False),
    Column("detail", "string", "What exactly was wrong."),
    Column("raw", "binary", "The bytes as they came, truncated to one MiB."),
    RUN_ID,
    _AT,
)
SOURCE_FILES = _ops(
    "source_files",
    "Files taken in, and epochs of topics on brokers: each is read once. Same path with another size is an alarm. "
    "Newest row per file counts.",
    "one row per source file, batch and status",
    "source path batch status",
    Column("source", "string", "ticdc, dumpling or kafka.", nullable=False),
    _PATH,
    Column("size", "bigint", "Bytes."),
    Column("etag", "string", "Etag or modification time, where the store has one; of brokers, stream and epoch."),
    Column("rows", "bigint", "Rows found, bad ones included."),
    Column("quarantined", "bigint", "Rows quarantined."),
    Column(
        "status",
        "string",
        "planned before its rows are committed, committed after; awaited: an index names the file, which is not there; "
        "covered: a later snapshot stands in for a file that is lost.",
        nullable=False,
    ),
    Column("batch", "bigint", "Number of the commit that took it in; rises by one.", nullable=False),
    RUN_ID,
    _AT,
)
CHECKPOINTS = _ops(
    "checkpoints",
    "How far each source table has been applied. Newest row per table counts.",
    "one row per source table and run",
    "table run_id",
    Column("table", "string", "schema.table, or kafka:topic.", nullable=False),
    Column(
        "checkpoint_ts",
        "bigint",
        "TSO up to which every change is in silver; events: TSO of the newest event.",
    ),
    Column(
        "complete_ts",
        "bigint",
        "TSO up to which no change can be missing, where a file is awaited that may hold changes below the checkpoint; "
        "null elsewhere.",
    ),
    Column("batch", "bigint", "Newest bronze batch that is in silver."),
    Column("start_ts", "bigint", "TSO of the snapshot the table began with; no state before it can be told."),
    Column("keys", "array<string>", "Key columns of the table."),
    Column(
        "status", "string", "live, blocked, no_silver (its silver table is another's), failed or gone.", nullable=False
    ),
    Column("blocked_reason", "string", "Why the table is blocked, or that it is gone; null where it goes on."),
    Column("files", "bigint", "Files read by this run."),
    Column("applied", "bigint", "Rows of silver that this run changed."),
    Column("superseded", "bigint", "Changes that this run found older than what silver has, or repeated."),
    Column("pending", "bigint", "Changes in bronze that wait: above the checkpoint, or the table is blocked."),
    Column("quarantined", "bigint", "Rows that this run could not use."),
    RUN_ID,
    _AT,
)
GENERATIONS = _ops(
    "generations",
    "Every generation built, with its fate. Newest row per generation counts.",
    "one row per generation and status",
    "generation status at",
    Column("generation", "string", "Name: as-of and content digest.", nullable=False),
    Column("as_of", "date", "As-of date of the generation."),
    Column("status", "string", "loaded, served, refused, rolled_back or pruned.", nullable=False),
    Column("store", "string", "Store it was loaded into."),
    Column("manifest", "string", "Manifest as JSON: inputs, counts, checksums, config and code hash."),
    RUN_ID,
    _AT,
)

SNAPSHOTS = _ops(
    "snapshots",
    "Snapshots taken of single tables while the feed ran. Newest row per table counts.",
    "one row per source table, snapshot and status",
    "table tso status",
    Column("table", "string", "schema.table.", nullable=False),
    Column("tso", "bigint", "TSO that the snapshot was taken at: it holds every commit up to it.", nullable=False),
    Column("root", "string", "Where the export lies, or lay."),
    Column("create", "string", "The table's CREATE TABLE in the export."),
    Column("status", "string", "begun, or loaded when all its rows are in bronze.", nullable=False),
    RUN_ID,
    _AT,
)

OPS = (RUNS, CHECKS, QUARANTINE, SOURCE_FILES, CHECKPOINTS, GENERATIONS, SNAPSHOTS)

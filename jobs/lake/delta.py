"""Opening, reading and writing Delta tables by their registered names."""

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from jobs.common.errors import ConcurrentRunError, TableError
from jobs.common.locks import locked
from jobs.lake import delta_rs as direct
from jobs.lake.conflicts import LOST, CommitErrors
from jobs.lake.table_frames import assert_in_partition, frame_of_files, literal, nullable, stored_bytes, struct_of
from jobs.lake.transaction_log import LOOK_BACK, Commit, Log
from jobs.schema.names import needs_mapping, quoted
from jobs.schema.tables import TABLES, table

if TYPE_CHECKING:
    from delta.tables import DeltaTable


MAPPING = "delta.columnMapping.mode"
PHYSICAL = "delta.columnMapping.physicalName"
"""Key of a mapped column's metadata: its name in the files."""


class Lake:
    """The Delta tables below one root. The only way stages open a table."""

    def __init__(self, spark: SparkSession, root: str, cache_mb: int = 0, collect_mb: int = 0) -> None:
        """Nothing is opened yet.

        Args:
            spark: the session.
            root: folder or URI of the tables.
            cache_mb: tables with at most so many MiB of files are read once a session; 0 for none.
            collect_mb: checkpointed results of at most so many MiB are committed by the driver; 0 for none.
        """
        self.spark = spark
        self.root = root.rstrip("/")
        self._keep_bytes = cache_mb << 20
        self.collect_bytes = collect_mb << 20
        self._newest: dict[tuple[str, int], int] = {}
        self._once: dict[Hashable, DataFrame] = {}
        self._once_lock = Lock()
        self._making: defaultdict[Hashable, Lock] = defaultdict(Lock)
        self._local = direct.local_path(self.root) is not None

    def path(self, name: str) -> str:
        """Return the folder of a table; names need not be registered (silver tables of any schema)."""
        return f"{self.root}/{name.replace('.', '/', 1)}"

    def exists(self, name: str) -> bool:
        """Return whether the table has ever been written."""
        if self._local:
            return direct.exists(self.path(name))
        from delta.tables import DeltaTable

        return bool(DeltaTable.isDeltaTable(self.spark, self.path(name)))

    def delta(self, name: str) -> "DeltaTable":
        """Return Delta's own handle, for MERGE and maintenance."""
        from delta.tables import DeltaTable

        return DeltaTable.forPath(self.spark, self.path(name))

    def version(self, name: str) -> int:
        """Return the newest version of a table; TableError if it does not exist."""
        if not self._local:
            self._require(name)
            return self._log(name).version()
        version = direct.version(self.path(name))
        if version < 0:
            raise self._missing(name)
        return version

    def changed(self, name: str, version: int, column: str) -> frozenset[str] | None:
        """Return the values of a partition column whose rows a version changed; None where that cannot be told."""
        return self._log(name).changed(version, column)

    def schema(self, name: str) -> StructType:
        """Return a table's columns, by its log alone; TableError if it does not exist."""
        self._require(name)
        if self._local:
            return StructType.fromJson(json.loads(direct.schema_json(self.path(name))))
        return self._log(name).schema()

    def newest_note(self, name: str) -> dict[str, Any]:
        """Return the note of a table's newest commit; empty if it has none, or the lake is not in a local folder."""
        text = direct.newest_note(self.path(name)) if self._local and self.exists(name) else None
        try:
            note = json.loads(text or "{}")
        except ValueError:  # a commit by another program
            return {}
        return note if isinstance(note, dict) else {}

    def files(self, name: str, column: str) -> DataFrame:
        """Return a table's files as its log tells of them: bytes, rows, least and greatest value of a column, typed."""
        field = self.schema(name)[column]
        self._log(name).version()  # looks the newest version up, whose files are then told
        found = self._log(name).files((field.metadata or {}).get(PHYSICAL, column))
        return found.withColumns({end: F.col(end).try_cast(field.dataType) for end in ("least", "greatest")})

    def bytes(self, name: str) -> int:
        """Return the size of a table's files at its newest version."""
        if self._local:
            return direct.table_bytes(self.path(name))
        log = self._log(name)
        log.version()
        return log.bytes()

    def _log(self, name: str) -> Log:
        return Log(self.spark, self.path(name))

    def _require(self, name: str) -> None:
        if not self.exists(name):
            raise self._missing(name)

    def _missing(self, name: str) -> TableError:
        return TableError(f"Table {name} does not exist in {self.root}: run the job that writes it first.")

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """Return a table that is wanted whole, at `version` or newest.

        A small table (`cache_mb`) is read once a session for each version and kept in the executors' blocks: replaying
        its log and planning the scan cost more than its rows. Where a part of the rows or columns is wanted, or the
        table has just changed, use `scan`.

        Raises:
            TableError: the table has not been written.
        """
        if version is None and self._keep_bytes:
            version = self.version(name)
        if version is None or ((name, version) not in self._once and self.bytes(name) > self._keep_bytes):
            return self.scan(name, version)
        return self.once((name, version), lambda: self.scan(name, version))

    def scan(self, name: str, version: int | None = None) -> DataFrame:
        """Return a table at `version` or newest: a query opens the files that its conditions leave, and no others.

        The files of a small table (`cache_mb`) are named to Spark, where they hold its rows as they are: Delta runs
        two to four queries over its log for each scan, which cost more than the rows.

        Raises:
            TableError: the table has not been written.
        """
        plain = direct.plain_files(self.path(name), version, self._keep_bytes) if self._reads_files(name) else None
        if plain is not None:
            return frame_of_files(self.spark, self.path(name), *plain)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        try:
            return reader.load(self.path(name))
        except AnalysisException as error:
            raise self._missing(name) from error

    def _reads_files(self, name: str) -> bool:
        return self._local and self._keep_bytes > 0 and self.exists(name)

    def newest_change(self, name: str, version: int) -> int:
        """Return the greatest _commit_ts of a silver table at a version, -1 if it is empty."""
        if (name, version) not in self._newest:
            row = self.read(name, version).agg(F.max("_commit_ts").alias("ts")).first()
            self._newest[name, version] = int(row["ts"]) if row and row["ts"] is not None else -1
        return self._newest[name, version]

    def once(self, key: Hashable, make: Callable[[], DataFrame]) -> DataFrame:
        """Return what `make` makes, computed once a session and kept on the executors' disks.

        A past state is read by several jobs; rebuilding it for each costs more in planning than in work.
        """
        with self._once_lock:
            mine = self._making[key]
        with mine:  # a lock a key: making one frame may ask for another
            if key not in self._once:
                self._once[key] = make().localCheckpoint()
            return self._once[key]

    def ensure(self, name: str) -> None:
        """Create a registered table, empty, with its comments and protocol, unless it is there."""
        if self.exists(name):
            return
        known = table(name)
        if self.delta_rs_ok(name):
            with CommitErrors(name):
                direct.create(self.path(name), known, struct_of(known).json())
            return
        try:
            self.create(name, struct_of(known), comment=known.comment, partition=known.partition, low=known.portable)
        except Exception:
            if not self.exists(name):
                raise
            # DELTA_PROTOCOL_CHANGED: another thread or run created it first; on an object store no lock prevents that

    def delta_rs_ok(self, name: str) -> bool:
        """Return whether delta-rs can work on the table in Spark's place."""
        return self._local and name in TABLES and table(name).portable

    def create(
        self,
        name: str,
        schema: StructType,
        *,
        comment: str,
        partition: Iterable[str] = (),
        cluster: Iterable[str] = (),
        low: bool = False,
    ) -> None:
        """Create an empty table with comments; no-op if it is there.

        Args:
            name: table.
            schema: its columns.
            comment: what it holds.
            partition: columns that it is partitioned by,
            cluster: or that OPTIMIZE lays its files out by.
            low: whether every reader must be able to read it.
        """
        from delta.tables import DeltaTable

        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(name)).comment(comment)
        builder = builder.addColumns(schema).partitionedBy(*partition)
        # gold and ops stay on a protocol that every reader supports (docs/adr/0003)
        builder = builder.property("delta.enableDeletionVectors", str(not low).lower())
        if not low:
            builder = builder.property("delta.enableChangeDataFeed", "true")
        if needs_mapping(schema.names):
            builder = builder.property(MAPPING, "name")
        builder = builder.clusterBy(*cluster) if cluster else builder
        with self.commit_lock(name):
            if self._local:
                direct.clear_unfinished(self.path(name))
            builder.execute()

    def append(self, name: str, df: DataFrame, txn: tuple[str, int] | None = None, note: Any = None) -> Commit:
        """Append rows in one commit.

        Args:
            name: table, created first if it is registered.
            df: the rows.
            txn: application and version; Delta skips a repetition, and the commit returned is then without rows.
            note: written into the commit, for people and for lineage.
        """
        self.ensure(name) if name in TABLES else None
        return self._write(name, df, {}, txn, note) or Commit(self.version(name), 0, 0)

    def rewrite(self, name: str, df: DataFrame) -> None:
        """Replace a table's rows and schema in one commit; earlier versions stay readable."""
        self.allow_names(name, df.columns)
        writer = df.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        with self.commit_lock(name):
            writer.save(self.path(name))

    def add_columns(self, name: str, fields: list[StructField]) -> None:
        """Add columns at the end, null in the rows there are; their metadata comes along."""
        none = self.spark.createDataFrame([], StructType(fields))
        with self.commit_lock(name):
            none.write.format("delta").mode("append").option("mergeSchema", "true").save(self.path(name))

    def allow_names(self, name: str, columns: list[str]) -> None:
        """Turn column mapping on where a table's next columns have names that Delta writes in no other way."""
        if not needs_mapping(columns) or needs_mapping(self.schema(name).names):
            return
        with self.commit_lock(name):
            self.spark.sql(f"ALTER TABLE delta.{quoted(self.path(name))} SET TBLPROPERTIES ('{MAPPING}' = 'name')")

    def replace(self, name: str, df: DataFrame, partition: Mapping[str, Any], note: Any = None) -> Commit:
        """Replace one partition by `df` in one commit; every row of `df` must belong to it.

        Where the partition is not there yet, rows are appended: that needs no replay of the log, and took a quarter of
        the time. The partition's own transaction number then makes Delta let only one of two runs through. A small
        result that is checkpointed (`collect_mb`) is appended by delta-rs: Spark plans six queries for a commit.

        Raises:
            ConcurrentRunError: another run wrote the partition meanwhile; nothing of this one was kept.
        """
        self.ensure(name)
        if self._absent(name, partition):
            txn = (f"pinlake:{name}:{':'.join(str(value) for value in partition.values())}", 1)
            if 0 < (stored_bytes(df) or 0) <= self.collect_bytes:
                return self._append_small(name, df, partition, txn, note)
            done = self._write(name, assert_in_partition(df, name, partition), {}, txn, note)
            if done is not None:
                return done
            if not self._absent(name, partition):
                raise ConcurrentRunError(f"{name} {dict(partition)}: {LOST}")
        where = " AND ".join(f"{key} = {literal(value)}" for key, value in partition.items())
        done = self._write(name, df, {"replaceWhere": where}, None, note)
        if done is not None:
            return done
        if self.scan(name).where(where).isEmpty():  # nothing in place of nothing: Delta makes no commit of that
            return Commit(self.version(name), 0, 0)
        raise ConcurrentRunError(f"{name} {dict(partition)}: more than {LOOK_BACK} commits were made meanwhile.")

    def _append_small(
        self, name: str, df: DataFrame, partition: Mapping[str, Any], txn: tuple[str, int], note: Any
    ) -> Commit:
        """Append a partition that is not there yet by delta-rs, in one commit and without a Spark write."""
        rows = df.toArrow()  # bounded: by collect_mb
        for key, value in partition.items():
            if rows[key].unique().to_pylist() not in ([value], []):
                raise TableError(f"{name}: a row does not belong to the partition {dict(partition)} that is written")
        write_id, text = self._noted(note)
        with self.commit_lock(name):
            if not self._absent(name, partition):
                raise ConcurrentRunError(f"{name} {dict(partition)}: {LOST}")
            direct.append_table(self.path(name), rows, text, txn)
        done = direct.commit_of(self.path(name), write_id, LOOK_BACK)
        if done is None:
            raise ConcurrentRunError(f"{name} {dict(partition)}: more than {LOOK_BACK} commits were made meanwhile.")
        return Commit(*done)

    def _absent(self, name: str, partition: Mapping[str, Any]) -> bool:
        return self.delta_rs_ok(name) and not direct.has_partition(self.path(name), partition)

    def append_rows(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Append a few rows made on the driver."""
        if not rows:
            return
        if self.delta_rs_ok(name):
            self.ensure(name)
            with CommitErrors(name):
                direct.append(self.path(name), rows)
            return
        struct = struct_of(table(name))
        ordered = [tuple(row.get(f.name) for f in struct.fields) for row in rows]
        self.append(name, self.spark.createDataFrame(ordered, nullable(struct)).coalesce(1))

    def rows(self, name: str, *columns: str) -> list[dict[str, Any]]:
        """Return all rows of a small table (ops) on the driver; none if it has not been written.

        Maps come as lists of pairs.
        """
        if not self.exists(name):
            return []
        if self.delta_rs_ok(name):
            return direct.read(self.path(name), columns).to_pylist()
        return self.read(name).select(*columns).toArrow().to_pylist()  # bounded: as the caller knows of the table

    @staticmethod
    def _noted(note: Any) -> tuple[str, str]:
        """Return an id for a commit, and the text of its user metadata: the note and that id."""
        write_id = uuid.uuid4().hex
        return write_id, json.dumps({**(note or {}), "write_id": write_id}, sort_keys=True, default=str)

    def _write(
        self, name: str, df: DataFrame, options: Mapping[str, str], txn: tuple[str, int] | None, note: Any
    ) -> Commit | None:
        """Write in one commit and return it, None where Delta found that `txn` had been committed before."""
        write_id, told = self._noted(note)
        mode = "overwrite" if "replaceWhere" in options else "append"
        writer = df.write.format("delta").mode(mode).options(**options).option("userMetadata", told)
        if txn is not None:
            writer = writer.option("txnAppId", txn[0]).option("txnVersion", txn[1])
        with self.commit_lock(name):
            writer.save(self.path(name))
        return self._log(name).commit_of(write_id)

    @contextmanager
    def commit_lock(self, name: str) -> Iterator[None]:
        """Hold a table's commits of other processes off: on a local folder Delta tells only those of its own JVM apart.

        On an object store Delta's own log store sees to it. Every commit by Spark goes through here.

        Raises:
            ConcurrentRunError, MissingDependencyError: what the commit of the body ran into.
        """
        with CommitErrors(name), self._held(f"commit.{name}", None):
            yield

    def lease(self, what: str, busy: str) -> AbstractContextManager[None]:
        """Hold off every other process that asks for the same on this lake; ConcurrentRunError(busy) if one has it.

        Local lakes only, and gone with its holder. Elsewhere the first commit wins.
        """
        return self._held(f"run.{what}", busy)

    def _held(self, name: str, busy: str | None) -> AbstractContextManager[None]:
        folder = direct.local_path(self.root)
        return nullcontext() if folder is None else locked(folder / "_locks" / name, busy)

"""Kafka topics straight from brokers into bronze, each message once.

A topic is a stream of Spark's with `availableNow`: what is there when it starts is read in epochs of
`ingest.brokers.max_offsets`, then it ends. How far it came is kept in the lake, below `_streams`, by ids of cluster and
topic. Spark repeats an epoch whose end it has not noted, with the same offsets; Delta takes an epoch once (transaction
stream:<query>, <epoch>), and the manifest tells under which batch: killed anywhere, run again. Rows that a killed run
had committed are carried by the next one, as archives' are.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from pyspark.errors import StreamingQueryException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import SourceError
from jobs.engine.context import ActionContext
from jobs.ingest.kafka.broker.address import Address
from jobs.ingest.kafka.broker.cluster import Topic, load_connector, topics
from jobs.ingest.kafka.broker.lost_offsets import Reached, note_lost, reached, refuse_lost
from jobs.ingest.kafka.broker.properties import consumer_properties
from jobs.ingest.loading.batches import LoadResult
from jobs.ingest.loading.manifest import COMMITTED, PLANNED, Count, Item, Manifest, note
from jobs.ingest.loading.storage import StoredFile
from jobs.ingest.loading.stream import Task
from jobs.schema.bronze_silver import KAFKA
from jobs.settings.ingest import Brokers

SOURCE = "broker"
"""What ops.source_files calls these: archives' files, which are `kafka`, vanish; a topic's epochs do not."""


def take_from_brokers(work: ActionContext, manifest: Manifest, sources: list[Address], taken: LoadResult) -> None:
    """Read all that topics hold now and bronze does not.

    Args:
        work: lake, settings, run id.
        manifest: the epochs known; its newest batch is brought up to date.
        sources: brokers and topics.
        taken: what the run took in so far; what comes is added.

    Raises:
        SourceError: brokers cannot be reached or refuse, a topic is not there, or offsets are lost.
        MissingDependencyError: the connector's jars are not there.
    """
    if not sources:
        return
    settings = work.context.settings
    load_connector(work.spark, Path(work.options.get("work") or settings.platform.work))
    for source in sources:
        properties = consumer_properties(settings.ingest.brokers, source.servers)
        for topic in topics(work.spark, properties, source.topics, settings.ingest.brokers.timeout):
            work.progress(f"{topic.name} from {source.servers}")
            _Stream(work, manifest, topic, properties, taken).read()


@dataclass
class _Stream:
    """One topic's stream in one run."""

    work: ActionContext
    manifest: Manifest
    topic: Topic
    properties: dict[str, str]
    taken: LoadResult

    def read(self) -> None:
        """Read all there is now."""
        checkpoint = f"{self.work.lake.root}/_streams/{self.topic.stream}"
        at = reached(self.work, checkpoint, self.topic.name)
        if self._settings.fail_on_data_loss:
            refuse_lost(self.topic, at)
        note_lost(self.work, self.topic, at.lost(self.topic))
        self.work.lake.ensure(KAFKA.name)
        self._run(checkpoint)

    @property
    def _settings(self) -> Brokers:
        return self.work.context.settings.ingest.brokers

    def _run(self, checkpoint: str) -> None:
        at = reached(self.work, checkpoint, self.topic.name)
        while True:
            try:
                self._query(checkpoint)
            except StreamingQueryException as error:
                before, at = at, reached(self.work, checkpoint, self.topic.name)
                if at == before:
                    self._refuse_lost_meanwhile(at)
                    raise self._failed(error) from error
                # Spark 4.1 fails over its own metrics once it has repeated an epoch and noted that (SPARK-55271)
            else:
                return

    def _query(self, checkpoint: str) -> None:
        """Read to the end of what was there at the start; an epoch's own failure comes as it was raised."""
        query_id: Future[str] = Future()
        failures: list[Exception] = []

        def epoch(messages: DataFrame, number: int) -> None:
            try:
                self._epoch(messages, query_id.result(60), number)
            except Exception as error:  # comes back as text otherwise
                failures.append(error)
                raise

        writer = self._messages().writeStream.foreachBatch(epoch).trigger(availableNow=True)
        query = writer.option("checkpointLocation", checkpoint).start()
        query_id.set_result(str(query.id))
        try:
            query.awaitTermination()
        except StreamingQueryException:
            if not failures:
                raise
            self._refuse_lost_meanwhile(reached(self.work, checkpoint, self.topic.name))
            raise failures[0] from None

    def _messages(self) -> DataFrame:
        options = {f"kafka.{name}": value for name, value in self.properties.items()}
        options |= {"subscribe": self.topic.name, "startingOffsets": "earliest", "includeHeaders": "true"}
        options |= {"maxOffsetsPerTrigger": str(self._settings.max_offsets), "groupIdPrefix": "pinlake"}
        # what is lost was said, or refused, before: see lost.py
        options["failOnDataLoss"] = str(self._settings.fail_on_data_loss).lower()
        return self.work.spark.readStream.format("kafka").options(**options).load()

    def _epoch(self, messages: DataFrame, query_id: str, number: int) -> None:
        mark = f"{query_id}/{number}"
        known = self.manifest.marked(SOURCE, self.topic.path, mark)
        if known is not None and known.status == COMMITTED:
            return
        if known is not None and (there := self._arrived(known.batch)):
            note(
                self.work, [self._item(mark)], {self.topic.path: Count(there, 0)}, COMMITTED, known.run_id, known.batch
            )
            return
        self.manifest.last += 1
        batch = self.manifest.last
        note(self.work, [self._item(mark)], {}, PLANNED, self.work.run_id, batch)
        rows = bronze_rows(messages, self.topic.path, self.work.run_id, batch)
        done = self.work.lake.append(KAFKA.name, rows, txn=(f"stream:{query_id}", number), note={"batch": batch})
        count = {self.topic.path: Count(done.rows, 0)}
        note(self.work, [self._item(mark)], count, COMMITTED, self.work.run_id, batch)
        self.taken.read += done.rows
        self.taken.batches.append(batch)
        self.work.progress(f"{self.topic.name}: {self.taken.read:,} messages")

    def _arrived(self, batch: int) -> int:
        """Return how many messages of a batch a killed run had committed."""
        mine = (F.col("topic") == self.topic.name) & (F.col("batch") == batch)
        return self.work.lake.scan(KAFKA.name).where(mine).count()

    def _item(self, mark: str) -> Item:
        task = Task(SOURCE, self.topic.path, self.topic.path, 0, self.topic.name)
        return Item(StoredFile(self.topic.path, 0, mark), task)

    def _refuse_lost_meanwhile(self, at: Reached) -> None:
        """Say so if messages were deleted while they were read: of that failure Spark keeps no sentence."""
        (now,) = topics(self.work.spark, self.properties, (self.topic.name,), self._settings.timeout)
        refuse_lost(now, Reached({**self.topic.begins, **at.offsets}))

    def _failed(self, error: StreamingQueryException) -> SourceError:
        # the first line is that of the query; the last cause has the sentence
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        return SourceError(
            f"{self.topic.path} on {self.properties['bootstrap.servers']} could not be read to its end: "
            f"{' '.join(said)[:600]} What was committed stays; run again. If messages were deleted meanwhile, "
            "ingest.brokers.fail_on_data_loss: false goes on without them."
        )


def bronze_rows(messages: DataFrame, place: str, run_id: str, batch: int) -> DataFrame:
    """Return what Spark reads of a topic as rows of bronze.kafka.

    Args:
        messages: columns of the connector, headers included.
        place: the topic's object; a partition's is below it.
        run_id: of the run that brings them.
        batch: their number.
    """
    columns = {
        "layout": F.lit("broker"),
        "ts": F.unix_millis("timestamp"),
        "headers": F.when(F.size("headers") > 0, F.to_json(F.transform("headers", _header))),
        "offset_quality": F.lit("exact"),
        "path": F.concat(F.lit(f"{place}/"), F.col("partition").cast("string")),
        "row_no": F.col("offset"),
        "run_id": F.lit(run_id),
        "batch": F.lit(batch).cast("bigint"),
    }
    return messages.withColumns(columns).select(*[column.name for column in KAFKA.columns])


def _header(header: Column) -> Column:
    """Return name and value of a header, as readers of segments write them: text, else base64."""
    value = header["value"]
    text = F.when(F.is_valid_utf8(value.cast("string")), value.cast("string"))
    return F.array(header["key"], F.coalesce(text, F.concat(F.lit("base64:"), F.base64(value))))

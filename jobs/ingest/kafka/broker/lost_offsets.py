"""Offsets that the brokers no longer have although the lake has not read them: retention was faster than ingest."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from jobs.common.errors import SourceError
from jobs.engine.context import ActionContext
from jobs.ingest.kafka.archive.gaps import Gap
from jobs.ingest.kafka.broker.cluster import Topic
from jobs.schema.ops import QUARANTINE

REASON = "lost_offsets"


@dataclass(frozen=True)
class Reached:
    """How far a stream has come."""

    offsets: dict[int, int]
    """Partition -> the next offset to read."""

    def lost(self, topic: Topic) -> list[Gap]:
        """Return what was to be read and is gone."""
        return [
            Gap(topic.name, number, begun, topic.begins[number] - 1)
            for number, begun in sorted(self.offsets.items())
            if number in topic.begins and begun < topic.begins[number]
        ]

    def rewound(self, topic: Topic) -> list[tuple[int, int, int]]:
        """Return partition, offset reached, and end, where the brokers have less than was read: they took back some."""
        return [
            (number, begun, topic.ends[number])
            for number, begun in sorted(self.offsets.items())
            if number in topic.ends and begun > topic.ends[number]
        ]


def reached(work: ActionContext, checkpoint: str, topic: str) -> Reached:
    """Return how far the stream with this checkpoint has come; nothing if it has not begun.

    Spark writes `offsets/N` before batch N and `commits/N` after it; a batch without the latter is read again.
    """
    jvm: Any = work.spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(checkpoint)
    system = path.getFileSystem(work.spark._jsparkSession.sessionState().newHadoopConf())
    done = jvm.org.apache.hadoop.fs.Path(path, "commits")
    if not system.exists(done):
        return Reached({})
    names = [str(file.getPath().getName()) for file in system.listStatus(done)]
    last = max((int(name) for name in names if name.isdigit()), default=None)
    if last is None:
        return Reached({})
    stream = system.open(jvm.org.apache.hadoop.fs.Path(path, f"offsets/{last}"))
    try:
        text = str(jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()
    told = json.loads(text.strip().rsplit("\n", 1)[-1]).get(topic, {})
    return Reached({int(number): int(offset) for number, offset in told.items()})


def refuse_lost(topic: Topic, at: Reached) -> None:
    """Raise SourceError if messages that were to be read are gone."""
    places = [str(gap) for gap in at.lost(topic)]
    places += [
        f"{topic.name}, partition {number}: read up to offset {begun - 1}, but it ends before {end}"
        for number, begun, end in at.rewound(topic)
    ]
    if places:
        raise SourceError(
            f"{topic.path}: the brokers no longer have messages that were not read yet: {'; '.join(places)}. Nothing "
            "was read. If an archive has them, ingest it. Then go on without them, which writes them down as lost: "
            "`pinlake --set ingest.brokers.fail_on_data_loss=false ingest …`. Let retention be longer than "
            "the worst lag of ingest."
        )


def note_lost(work: ActionContext, topic: Topic, gaps: list[Gap]) -> None:
    """Write into quarantine what is lost, once each: before it is passed, so that a killed run has told of it."""
    known: set[tuple[str, int]] = set()
    if gaps and work.lake.exists(QUARANTINE.name):
        told = work.lake.scan(QUARANTINE.name).where((F.col("reason") == REASON) & (F.col("table") == topic.name))
        known = {(row["path"], row["row_no"]) for row in told.collect()}  # bounded: a row a loss
    rows = []
    for gap in gaps:
        if (f"{topic.path}/{gap.partition}", gap.first) in known:
            continue
        work.progress(str(gap))
        row: dict[str, Any] = {"source": "kafka", "table": topic.name, "path": f"{topic.path}/{gap.partition}"}
        row |= {"row_no": gap.first, "reason": REASON, "detail": f"{gap}: deleted by the brokers before they were read"}
        rows.append(row | {"run_id": work.run_id, "at": datetime.now(UTC)})
    work.lake.append_rows(QUARANTINE.name, rows)

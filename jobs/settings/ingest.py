"""Settings of ingest: where the sources are, and their properties that files do not record."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from jobs.common.errors import ConfigError
from jobs.settings.base import Section, Texts


class Dumpling(Section):
    """How the snapshot was exported and its CSV written. Null values are detected from its files."""

    snapshot_ts: int | None = Field(None, gt=0)
    """TSO of the export (--snapshot), if its metadata file lacks it."""
    escape_backslash: bool | None = None
    """Whether text is escaped by backslash; false if quotes are doubled (--escape-backslash=false)."""
    binary: Literal["raw", "hex", "base64"] | None = None
    """Encoding of binary columns; hex and base64 are written by --csv-output-dialect."""
    separator: str | None = Field(None, min_length=1, max_length=16)
    """Field separator (--csv-separator)."""
    quote: str | None = Field(None, max_length=16)
    """Quote character (--csv-delimiter); empty: nothing is quoted."""
    null: str | None = None
    """Unquoted text that stands for NULL (--csv-null-value)."""
    header: bool | None = None
    """Whether each file begins with a header line (--no-header)."""


class ErrorThreshold(Section):
    """Unreadable rows a table may have; it is blocked if both limits are exceeded.

    A file without a single readable row blocks its table, whatever its size, unless `ratio` is 1.
    """

    rows: int = Field(1000, ge=0)
    """Number of unreadable rows."""
    ratio: float = Field(0.1, ge=0, le=1)
    """Unreadable rows as a share of all rows read."""


Mask = Annotated[Literal["hash", "null"], BeforeValidator(lambda value: "null" if value is None else value)]
"""How a value is masked; YAML reads a plain null as None."""


class TableRules(Section):
    """Rules of one source table."""

    keys: Texts = ()
    """Key columns, if neither the schema files nor a CREATE TABLE state them."""
    keyless: Literal["refuse", "append"] = "refuse"
    """What to do with a table without a key: refuse blocks it, append ingests each insert as a row."""
    generated: Texts = ()
    """Generated columns that silver omits, whether rows have them or not."""
    exclude: bool = False
    """Do not ingest the table."""
    quarantine: ErrorThreshold | None = None
    """Overrides ingest.quarantine."""
    timezone: str | None = None
    """Time zone of its TIMESTAMP values; overrides ingest.timezone."""
    mask: dict[str, Mask] = Field(default_factory=dict)
    """Personal columns masked before anything is written: column -> hash or null."""
    cluster: Texts = ()
    """Columns that new silver tables are clustered by (liquid clustering): those that analysts filter by."""


class Brokers(Section):
    """How Kafka brokers are read."""

    max_offsets: int = Field(1_000_000, ge=1)
    """Messages of a topic per commit."""
    fail_on_data_loss: bool = True
    """Fail when the brokers deleted messages before they were read; false records the gap in ops.quarantine."""
    timeout: int = Field(30, ge=1)
    """Seconds to wait for the brokers' first answer."""
    properties: dict[str, str] = Field(default_factory=dict)
    """Kafka consumer properties, such as security.protocol and sasl.mechanism; no secrets."""
    secrets: SecretStr = SecretStr("")
    """Secret consumer properties, such as sasl.jaas.config, as a JSON object; only from the environment."""


class InsertField(Section):
    """Fields that Kafka Connect's transform InsertField added to each message, if the connector uses it."""

    offset: str | None = None
    """Field with the Kafka offset (offset.field); makes offsets exact under every partitioner."""
    partition: str | None = None
    """Field with the Kafka partition (partition.field)."""
    timestamp: str | None = None
    """Field with the Kafka timestamp, milliseconds (timestamp.field)."""


class TopicRules(Section):
    """Format of a Kafka topic's messages."""

    table: str | None = None
    """Event table for the messages, such as pin_events; by default the one with the topic's name."""
    format: Literal["json", "avro", "confluent"] = "json"
    """json; avro, a datum without header; confluent, a datum after a zero byte and its schema id."""
    avro: str | None = None
    """Avro schema of the messages, a file below conf/schemas; required by format avro."""
    avro_ids: dict[int, str] = Field(default_factory=dict)
    """Schema id -> Avro schema file below conf/schemas; required by format confluent."""
    type_field: str | None = None
    """Field that holds the event type."""
    types: Texts = ()
    """Known event types; messages of other types are quarantined. Empty: all are known."""
    ts_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    """Unit of a numeric ts since 1970; auto derives it from the magnitude, for times since 2001-09-09."""
    insert_field: InsertField = InsertField()
    """Fields that Kafka Connect added to the messages."""

    @model_validator(mode="after")
    def _whole(self) -> "TopicRules":
        if self.format == "avro" and not self.avro:
            raise ValueError("format avro needs avro, the file of the schema below conf/schemas")
        if self.format == "confluent" and not self.avro_ids:
            raise ValueError("format confluent needs avro_ids, a file below conf/schemas for each id of a schema")
        if self.types and not self.type_field:
            raise ValueError("types need type_field, the field that has the type")
        return self


_PIN_EVENTS = TopicRules(type_field="kind", types=("impression", "closeup", "click", "save", "hide", "report"))


class Images(Section):
    """Pins' images: where they are, and limits of reading them."""

    path: str = "images/{start}/{signature}.jpg"
    """Path of an image below platform.sources; {signature} is the image_signature, {start} its first two characters."""
    max_images: int = Field(2_000_000, ge=1)
    """Images read per run; the rest waits for the next run."""
    max_file_mb: int = Field(32, ge=1)
    """Largest image file in MiB; larger ones are quarantined."""
    max_megapixels: int = Field(50, ge=1)
    """Largest image in megapixels; larger ones are quarantined. Decoding takes about 8 bytes per pixel."""
    retry_hours: int = Field(20, ge=0)
    """Hours until a missing image file is looked for again."""


Channel = Annotated[float, Field(allow_inf_nan=True)]
"""A value for red, green or blue; NaN is allowed here because `off_scale` reports it with a hint."""
Triple = tuple[float, float, float]
MOST_STD = 2.0
"""Largest std of a channel: values from 0 to 1 have a standard deviation of at most 0.5, and 1 leaves them."""


def off_scale(what: str, values: tuple[float, ...]) -> str:
    """Return why a mean or std of red, green, blue is invalid for values from 0 to 1; empty if it is valid.

    Args:
        what: "mean" or "std".
        values: of red, green, blue.
    """
    most = 1.0 if what == "mean" else MOST_STD
    if all(0 <= value <= most for value in values) and (what == "mean" or min(values) > 0):
        return ""  # false for NaN
    hint = ": they are of values from 0 to 255, divide them by 255" if max(values) > most else ""
    rule = "from 0 to 1" if what == "mean" else f"above 0 and at most {MOST_STD:g}"
    return f"must be three numbers {rule}, for pixels from 0 to 1, got {', '.join(f'{v:g}' for v in values)}{hint}"


class Embeddings(Section):
    """Embeddings computed from pins' images by an ONNX model, if upstream delivers none."""

    model: str = ""
    """Path or URI of the ONNX model with its weights; empty: no embeddings are computed."""
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """Expected SHA-256 of the model file; empty: not checked."""
    name: str = Field("", pattern="^[^@]*$")
    """Model name in silver.pin_embeddings, followed by digests; empty: the file's name."""
    output: str = ""
    """Model output that holds the embedding; empty: the only output."""
    size: tuple[int, int] | None = None
    """Height and width images are resized to; null: the size of the model's input."""
    mean: tuple[Channel, Channel, Channel] | None = None
    """Mean of red, green, blue (0 to 1) to subtract; null: from the model's metadata, else 0."""
    std: tuple[Channel, Channel, Channel] | None = None
    """Standard deviation of red, green, blue (above 0) to divide by; null: from the model's metadata, else 1."""
    fit: Literal["crop", "stretch"] = "crop"
    """How an image is fitted to the input's shape: crop its centre, or stretch the whole image."""
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    """Interpolation of resizing; use the one that the model was trained with."""
    backend: Literal["auto", "cpu", "required_gpu"] = "auto"
    """Device of the model: auto uses CUDA if it works, required_gpu fails without it."""
    batch: int = Field(32, ge=1, le=1024)
    """Images per model call."""
    threads: int = Field(1, ge=1)
    """Cores per Spark task for the model."""
    max_images: int = Field(1_000_000, ge=1)
    """Images embedded per run; the rest waits for the next run."""

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _on_scale(cls, value: Any, info: ValidationInfo) -> Any:
        what = str(info.field_name)
        try:
            channels = () if isinstance(value, str) else tuple(map(float, value or ()))
        except (TypeError, ValueError):
            return value  # of another type: the field's own validation reports it
        if channels and (fault := off_scale(what, channels)):
            raise ConfigError(f"ingest.embeddings.{what} (--{what}) {fault}.")
        return value


class Ingest(Section):
    """Source files to bronze and silver."""

    ticdc: str = "ticdc"
    """Folder of the TiCDC storage sink, below platform.sources."""
    dumpling: str = "dumpling"
    """Folder of the Dumpling export, below platform.sources."""
    kafka: Texts = ("kafka/secor", "kafka/connect/topics")
    """Kafka sources: archive folders below platform.sources, or kafka://HOST:PORT/TOPIC,TOPIC for brokers."""
    images: Images = Images()
    """Pins' images: where they are, and limits of reading them."""
    embeddings: Embeddings = Embeddings()
    """Embeddings computed from pins' images."""
    topic_folder: int | None = Field(None, ge=1)
    """Level of the topic folder in a Secor archive, from 1 below its root; null: detected by the topics' names."""
    brokers: Brokers = Brokers()
    """How brokers are read."""
    feed_start: int | None = Field(None, ge=0)
    """commit_ts at which the changefeed was created (--start-ts); null: from its first schema file."""
    timezone: str = "UTC"
    """Time zone of TIMESTAMP values: the TiCDC server's --tz and Dumpling's time_zone."""
    batch_mb: int = Field(2048, ge=1)
    """MiB of source files per bronze commit; limits the scratch space of a run."""
    task_mb: int = Field(64, ge=1)
    """MiB of source files per task; a file is read by one task."""
    block_mb: int = Field(256, ge=1)
    """MiB of a larger file held in memory at a time."""
    mask_secret: SecretStr = SecretStr("")
    """Secret of the hashes of masked values; only from the environment."""
    parallel_tables: int = Field(2, ge=1)
    """Silver tables merged at the same time."""
    quarantine: ErrorThreshold = ErrorThreshold()
    """Unreadable rows a table may have before it is blocked."""
    dump: Dumpling = Dumpling()
    """How the snapshot's CSV was written."""
    tables: dict[str, TableRules] = Field(default_factory=dict)
    """Rules of single tables, by schema.table or topic."""
    topics: dict[str, TopicRules] = Field(default_factory=lambda: {"pin_events": _PIN_EVENTS})
    """Formats of single topics."""

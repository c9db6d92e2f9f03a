"""Settings of the ingest stage: where the sources are and what their files cannot say of themselves."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from jobs.common.errors import ConfigError
from jobs.settings.base import Section


class Dumpling(Section):
    """How the snapshot was taken and its CSV written. What is not said here is found out from its files."""

    snapshot_ts: int | None = Field(None, gt=0)
    """TSO that the export was taken at (--snapshot), where its metadata does not say."""
    escape_backslash: bool | None = None
    """Whether text escapes by backslash; false where quotes are doubled (--escape-backslash=false)."""
    binary: Literal["raw", "hex", "base64"] | None = None
    """How binary columns are written; hex and base64 come from --csv-output-dialect."""
    separator: str | None = Field(None, min_length=1, max_length=16)
    """Text between fields (--csv-separator)."""
    quote: str | None = Field(None, max_length=16)
    """Text around each text (--csv-delimiter); empty: nothing is quoted."""
    null: str | None = None
    """Unquoted text that means NULL (--csv-null-value)."""
    header: bool | None = None
    """Whether each file begins with the column names (--no-header)."""


class ErrorThreshold(Section):
    """How many rows of a table may be unreadable: with more of them, by both measures, the table is held.

    A file of which nothing can be read holds its table however small it is, unless `ratio` is 1.
    """

    rows: int = Field(1000, ge=0)
    """Unreadable rows."""
    ratio: float = Field(0.1, ge=0, le=1)
    """Unreadable rows among all that were read."""


class TableRules(Section):
    """What a source table needs besides its schema files."""

    keys: tuple[str, ...] = ()
    """Key columns, where neither the schema files nor a CREATE TABLE name them."""
    keyless: Literal["refuse", "append"] = "refuse"
    """What to do where it has no key at all: refuse holds it; append takes each insert as a row, nothing else."""
    generated: tuple[str, ...] = ()
    """Generated columns that silver leaves out, whether rows have them or not."""
    exclude: bool = False
    """Whether to leave the table out."""
    quarantine: ErrorThreshold | None = None
    """Instead of ingest.quarantine."""
    timezone: str | None = None
    """Zone of its TIMESTAMP values, instead of the feed's."""
    mask: dict[str, Literal["hash", "null"]] = Field(default_factory=dict)
    """Personal columns that are covered before anything is written: column -> hash or null."""
    cluster: tuple[str, ...] = ()
    """Columns that silver's files are laid out by: those that analysts filter by. For tables made from now on."""


class Brokers(Section):
    """How Kafka brokers are read."""

    max_offsets: int = Field(1_000_000, ge=1)
    """Messages of a topic that come in by one commit."""
    fail_on_data_loss: bool = True
    """Fail when the brokers deleted messages before they were read; false records the gap in ops.quarantine."""
    timeout: int = Field(30, ge=1)
    """Seconds to wait for the brokers' first answer."""
    properties: dict[str, str] = Field(default_factory=dict)
    """Kafka consumer properties, such as security.protocol and sasl.mechanism; none that is secret."""
    secrets: SecretStr = SecretStr("")
    """Secret consumer properties, such as sasl.jaas.config, as a JSON object; from the environment only."""


class InsertField(Section):
    """Fields that Kafka Connect's InsertField put into each message, where the connector was told to."""

    offset: str | None = None
    """Field with the Kafka offset (offset.field): offsets are then exact under every partitioner."""
    partition: str | None = None
    """Field with the Kafka partition (partition.field)."""
    timestamp: str | None = None
    """Field with the Kafka timestamp, milliseconds (timestamp.field)."""


class TopicRules(Section):
    """What the messages of a Kafka topic are."""

    table: str | None = None
    """Event table they go to, such as pin_events; the one of the topic's name unless told."""
    format: Literal["json", "avro", "confluent"] = "json"
    """json; avro, a datum alone; confluent, a datum after a zero byte and its schema's id."""
    avro: str | None = None
    """File below conf/schemas with the Avro schema that the messages were written by; for format avro."""
    avro_ids: dict[int, str] = Field(default_factory=dict)
    """Id of a schema -> its file below conf/schemas; for format confluent."""
    type_field: str | None = None
    """Field with the type of the event."""
    types: tuple[str, ...] = ()
    """Types that are known; messages of another one go to quarantine. Empty: all."""
    ts_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    """What a number in ts counts since 1970: auto tells by its magnitude, from 2001-09-09 on; else named here."""
    insert_field: InsertField = InsertField()
    """Fields that Kafka Connect put into the messages."""

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
    """Where pins' images are, and what of them is read."""

    path: str = "images/{start}/{signature}.jpg"
    """Path of an image below platform.sources: {signature} is the pin's image_signature, {start} its first two."""
    max_images: int = Field(2_000_000, ge=1)
    """Images read in one run; the others wait for the next."""
    max_file_mb: int = Field(32, ge=1)
    """Bytes of a file; a larger one goes to quarantine."""
    max_megapixels: int = Field(50, ge=1)
    """Pixels of an image; a larger one goes to quarantine. A pixel takes some eight bytes while it is decoded."""
    retry_hours: int = Field(20, ge=0)
    """Hours before an image whose file was missing is looked for again."""


Channel = Annotated[float, Field(allow_inf_nan=True)]
"""A number for red, green or blue; `off_scale` says better than a type what is wrong with NaN."""
Triple = tuple[float, float, float]
MOST_STD = 2.0
"""What values from 0 to 1 are divided by at most: their standard deviation is 0.5 at most, 1 leaves them."""


def off_scale(what: str, values: tuple[float, ...]) -> str:
    """Return why a mean or std of red, green, blue cannot be one of values from 0 to 1; empty where it can.

    Args:
        what: "mean" or "std".
        values: of red, green, blue.
    """
    most = 1.0 if what == "mean" else MOST_STD
    if all(0 <= value <= most for value in values) and (what == "mean" or min(values) > 0):
        return ""  # not so for NaN
    hint = ": they are of values from 0 to 255, divide them by 255" if max(values) > most else ""
    rule = "from 0 to 1" if what == "mean" else f"above 0 and at most {MOST_STD:g}"
    return f"must be three numbers {rule}, for pixels from 0 to 1, got {', '.join(f'{v:g}' for v in values)}{hint}"


class Embeddings(Section):
    """How embeddings are computed from pins' images, for those who get none from upstream."""

    model: str = ""
    """ONNX file of the model, path or URI, weights inside; empty: no embeddings are computed here."""
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """SHA-256 that the file must have; empty takes it as it is."""
    name: str = Field("", pattern="^[^@]*$")
    """Name of the model in silver.pin_embeddings, digests come behind it; empty: the file's name."""
    output: str = ""
    """Output of the model that is the embedding; empty takes the only one there is."""
    size: tuple[int, int] | None = None
    """Height and width that images are brought to; null: those of the model's input."""
    mean: tuple[Channel, Channel, Channel] | None = None
    """Mean of red, green, blue (0 to 1) that is taken away; null: what the model's metadata says, else 0."""
    std: tuple[Channel, Channel, Channel] | None = None
    """What red, green, blue (0 to 1) are divided by, above 0; null: what the model's metadata says, else 1."""
    fit: Literal["crop", "stretch"] = "crop"
    """How an image of another shape is brought to it: its middle, or the whole of it out of shape."""
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    """How pixels are made smaller: as the model's training did."""
    backend: Literal["auto", "cpu", "required_gpu"] = "auto"
    """Where the model runs: auto takes CUDA where it works, required_gpu fails without it."""
    batch: int = Field(32, ge=1, le=1024)
    """Images that the model is given at once."""
    threads: int = Field(1, ge=1)
    """Cores that the model uses in one task of Spark."""
    max_images: int = Field(1_000_000, ge=1)
    """Images embedded in one run; the others wait for the next."""

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _on_scale(cls, value: Any, info: ValidationInfo) -> Any:
        what = str(info.field_name)
        try:
            given = tuple(map(float, value or ()))
        except (TypeError, ValueError):
            return value  # of another type, which its own rule says
        if given and (fault := off_scale(what, given)):
            raise ConfigError(f"ingest.embeddings.{what} (--{what}) {fault}.")
        return value


class Ingest(Section):
    """Outside world to bronze and silver."""

    ticdc: str = "ticdc"
    """Folder of the TiCDC storage sink, below platform.sources."""
    dumpling: str = "dumpling"
    """Folder of the Dumpling export, below platform.sources."""
    kafka: tuple[str, ...] = ("kafka/secor", "kafka/connect/topics")
    """Kafka sources: folders of archives below platform.sources, or kafka://HOST:PORT/TOPIC,TOPIC for brokers."""
    images: Images = Images()
    """Where pins' images are, and what of them is read."""
    embeddings: Embeddings = Embeddings()
    """How embeddings are computed from pins' images."""
    topic_folder: int | None = Field(None, ge=1)
    """Which folder of a Secor archive is the topic, from 1 below its root; found by the topics' names unless told."""
    brokers: Brokers = Brokers()
    """How brokers are read."""
    feed_start: int | None = Field(None, ge=0)
    """commit_ts that the changefeed was created with (--start-ts); null: as its first schema file shows."""
    timezone: str = "UTC"
    """Zone that TIMESTAMP values are written in: the TiCDC server's --tz and Dumpling's time_zone."""
    batch_mb: int = Field(2048, ge=1)
    """Bytes of source files taken into bronze in one commit; bounds the scratch space a run needs."""
    task_mb: int = Field(64, ge=1)
    """Bytes of source files one task reads; a file is read by one task."""
    block_mb: int = Field(256, ge=1)
    """Bytes of a larger file that are in memory at a time."""
    mask_secret: SecretStr = SecretStr("")
    """Secret of the hashes that stand for masked values; from the environment only."""
    parallel_tables: int = Field(2, ge=1)
    """Silver tables merged at the same time."""
    quarantine: ErrorThreshold = ErrorThreshold()
    """How many rows of a table may be unreadable before it is held."""
    dump: Dumpling = Dumpling()
    """How the snapshot's CSV was written."""
    tables: dict[str, TableRules] = Field(default_factory=dict)
    """What single tables need, by schema.table, or by topic."""
    topics: dict[str, TopicRules] = Field(default_factory=lambda: {"pin_events": _PIN_EVENTS})
    """What the messages of single topics are."""

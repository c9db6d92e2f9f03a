"""Bronze and silver: what arrived, and the current state made from it.

Silver tables of TiDB are made from whatever schema files the source holds; the ones here are those later jobs need.
A column listed here must be in the source; further columns are welcome.
"""

from jobs.schema.columns import (
    BOARD_ID,
    COMMIT_TS,
    DELETED,
    DS,
    EVENT_ID,
    OP_RANK,
    PIN_ID,
    RUN_ID,
    TS,
    USER_ID,
    Column,
)
from jobs.schema.images import IMAGE_EMBEDDINGS, IMAGE_FEATURES
from jobs.schema.table import AsOf, Table

PATH = Column(
    "path",
    "string",
    "Path of the file below the source's root; of brokers, kafka://cluster/topic/partition.",
    nullable=False,
)
ROW_NO = Column(
    "row_no", "bigint", "Place of the row in its file, from 1; of a broker's message, its offset.", nullable=False
)
BATCH = Column("batch", "bigint", "Number of the commit that brought the row; joins ops.source_files.", nullable=False)

LEDGER = Table(
    name="bronze.ledger",
    comment="Every change TiDB sent, as it arrived, with its place. Append-only; silver can be rebuilt from it.",
    grain="one row per row of a source file; an update that changes the key is two: its delete and its insert",
    keys=("table", "path", "row_no", "op"),
    partition=("table",),
    time=AsOf.LOG,
    columns=(
        Column("table", "string", "Source table, schema.table as TiDB names it.", nullable=False),
        Column("op", "string", "S snapshot row, I insert, U update, D delete.", nullable=False),
        COMMIT_TS,
        OP_RANK,
        Column("key", "string", "Primary key values as a JSON array of strings, in column order.", nullable=False),
        Column(
            "before",
            "map<string,string>",
            "Row before an update or delete, values as text; null if not sent.",
        ),
        Column("after", "map<string,string>", "Row after the change, values as text; null for a delete."),
        Column("table_version", "bigint", "Version (TSO) of the schema the row was written under."),
        PATH,
        ROW_NO,
        BATCH,
        RUN_ID,
    ),
)
KAFKA = Table(
    name="bronze.kafka",
    comment="Every Kafka message found in an archive or read from brokers, as it arrived, with its place. Append-only.",
    grain="one row per message and place it was found at",
    keys=("topic", "path", "row_no"),
    partition=("topic",),
    time=AsOf.LOG,
    columns=(
        Column(
            "layout",
            "string",
            "secor, connect, aiven or segment: who wrote the file; broker: read from brokers.",
            nullable=False,
        ),
        Column("topic", "string", "Kafka topic.", nullable=False),
        Column("partition", "int", "Kafka partition."),
        Column("offset", "bigint", "Kafka offset; null where the archive does not keep it."),
        Column("offset_quality", "string", "exact, inferred or none: how far the offset can be trusted."),
        Column("value", "binary", "Message body, byte for byte; as JSON where the archive has typed records."),
        Column("key", "binary", "Kafka key, where the archive keeps it."),
        Column("ts", "bigint", "Kafka timestamp in milliseconds since 1970, where the archive keeps it."),
        Column("headers", "string", "Kafka headers as JSON, where the archive keeps them."),
        PATH,
        ROW_NO,
        BATCH,
        RUN_ID,
    ),
)


def _app(name: str, comment: str, keys: str, personal: str, *columns: Column) -> Table:
    return Table(
        name=f"silver.app_{name}",
        comment=comment,
        grain=f"one row per {keys.replace(' ', ' and ')}, tombstones included",
        keys=tuple(keys.split()),
        columns=(*columns, COMMIT_TS, OP_RANK, DELETED),
        time=AsOf.STATE,
        source=f"app.{name}",
        optional=name in {"board_follows", "user_follows", "blocks"},
        personal=tuple(personal.split()),
    )


def _id(comment: str) -> Column:
    return Column("id", "bigint", comment, nullable=False)


_CREATED = Column("created_at", "timestamp", "When the row was created, UTC.")

USERS = _app(
    "users",
    "Accounts.",
    "id",
    "username email",
    _id("User."),
    Column("username", "string", "Name shown."),
    Column("email", "string", "Address for notices."),
    Column("country", "string", "ISO 3166 two-letter code."),
    Column("status", "string", "active, suspended or deactivated."),
    _CREATED,
)
BOARDS = _app(
    "boards",
    "Boards; privacy rules hang on them.",
    "id",
    "name",
    _id("Board."),
    Column("owner_id", "bigint", "User who owns it."),
    Column("name", "string", "Name the owner gave."),
    Column("privacy", "string", "public, protected (by link only) or secret (owner and collaborators only)."),
    Column("category", "string", "Category the owner chose."),
    Column("collaborators", "string", "JSON array of user ids who may save to it."),
    _CREATED,
)
PINS = _app(
    "pins",
    "Pins as made by their creators.",
    "id",
    "",
    _id("Pin."),
    Column("creator_id", "bigint", "User who made it."),
    Column("board_id", "bigint", "Board it was made on; its privacy is the pin's."),
    Column("image_signature", "string", "Hex digest naming the image file."),
    Column("title", "string", "Title."),
    Column("link", "string", "Page the pin leads to."),
    Column("category", "string", "Category the creator chose."),
    Column("color", "string", "Dominant color."),
    Column("style", "string", "Style bucket."),
    _CREATED,
)
BOARD_PINS = _app(
    "board_pins",
    "Saves: a pin on a board, put there by a user.",
    "board_id pin_id",
    "",
    Column("board_id", "bigint", "Board saved to.", nullable=False),
    Column("pin_id", "bigint", "Pin saved.", nullable=False),
    Column("user_id", "bigint", "User who saved."),
    Column("saved_at", "timestamp", "When, UTC."),
)
BOARD_FOLLOWS = _app(
    "board_follows",
    "Who follows which board.",
    "user_id board_id",
    "",
    Column("user_id", "bigint", "Follower.", nullable=False),
    Column("board_id", "bigint", "Board followed.", nullable=False),
    _CREATED,
)
USER_FOLLOWS = _app(
    "user_follows",
    "Who follows whom.",
    "user_id followee_id",
    "",
    Column("user_id", "bigint", "Follower.", nullable=False),
    Column("followee_id", "bigint", "User followed.", nullable=False),
    _CREATED,
)
BLOCKS = _app(
    "blocks",
    "Who blocks whom; works both ways.",
    "user_id blocked_id",
    "",
    Column("user_id", "bigint", "User who blocks.", nullable=False),
    Column("blocked_id", "bigint", "User blocked.", nullable=False),
    _CREATED,
)

PIN_EVENTS = Table(
    name="silver.pin_events",
    comment="What users saw and did, from Kafka topic pin_events, duplicates removed.",
    grain="one row per event_id",
    keys=("event_id",),
    partition=("ds",),
    time=AsOf.EVENTS,
    optional=True,
    columns=(
        EVENT_ID,
        Column("kind", "string", "impression, closeup, click, save, hide or report.", nullable=False),
        USER_ID,
        PIN_ID,
        BOARD_ID.means("Board saved to, for a save."),
        Column("surface", "string", "home_feed, related_pins, search or board."),
        Column("position", "int", "Place in the list, from 1."),
        Column("request_id", "string", "Page request that showed the pin; joins impressions to what followed."),
        Column("generation", "string", "Generation of the list that was shown; null where none was."),
        Column("arm", "string", "Experiment arm the user was in."),
        Column("propensity", "double", "Probability that the policy showed this pin at this place."),
        TS,
        DS,
    ),
)
SEARCHES = Table(
    name="silver.searches",
    comment="What users typed, from Kafka topic searches, duplicates removed.",
    grain="one row per event_id",
    keys=("event_id",),
    partition=("ds",),
    time=AsOf.EVENTS,
    optional=True,
    personal=("query",),
    columns=(EVENT_ID, USER_ID, Column("query", "string", "Text typed."), TS, DS),
)
PIN_EMBEDDINGS = Table(
    name="silver.pin_embeddings",
    comment="Embedding of each pin, from Kafka topic pin_embeddings or computed from its image, one row a version.",
    grain="one row per pin, model and ts",
    keys=("pin_id", "model", "ts"),
    partition=("ds",),
    time=AsOf.LATEST,
    optional=True,
    columns=(
        PIN_ID,
        Column("model", "string", "Embedding model and version; vectors of two models never mix.", nullable=False),
        Column("dim", "int", "Number of values.", nullable=False),
        Column("embedding", "binary", "Unit-length vector, little-endian float16, dim values.", nullable=False),
        TS,
        DS,
    ),
)

BRONZE = (LEDGER, KAFKA)
SILVER = (
    USERS,
    BOARDS,
    PINS,
    BOARD_PINS,
    BOARD_FOLLOWS,
    USER_FOLLOWS,
    BLOCKS,
    PIN_EVENTS,
    SEARCHES,
    PIN_EMBEDDINGS,
    IMAGE_FEATURES,
    IMAGE_EMBEDDINGS,
)

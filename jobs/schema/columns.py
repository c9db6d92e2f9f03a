"""The vocabulary: a column that several tables share is named, typed and described here, once."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Column:
    """One column of a table.

    `type` is a Spark SQL type; `comment` is one sentence, written into the Delta table.
    """

    name: str
    type: str
    comment: str
    nullable: bool = True

    def required(self) -> "Column":
        """Return this column, refusing nulls."""
        return replace(self, nullable=False)

    def means(self, comment: str) -> "Column":
        """Return this column under a sentence that fits one table better."""
        return replace(self, comment=comment)


# Who and what.
USER_ID = Column("user_id", "bigint", "User, TiDB app.users.id.", nullable=False)
PIN_ID = Column("pin_id", "bigint", "Pin, TiDB app.pins.id.", nullable=False)
BOARD_ID = Column("board_id", "bigint", "Board, TiDB app.boards.id.")
CREATOR_ID = Column("creator_id", "bigint", "User who made the pin.")
CATEGORY = Column("category", "string", "Category the creator chose, such as 'garden'.")
COLOR = Column("color", "string", "Dominant color of the pin's image, one of a dozen names.")
STYLE = Column("style", "string", "Visual style bucket of the pin's image.")
IMAGE_SIGNATURE = Column(
    "image_signature", "string", "Hex digest that names the pin's image file; equal images share it."
)
CREATED_AT = Column("created_at", "timestamp", "When the source row was created, UTC.")

# When.
AS_OF = Column("as_of", "date", "As-of date: nothing from 00:00 UTC of this day on was used.", nullable=False)
TS = Column("ts", "timestamp", "When it happened, UTC.", nullable=False)
DS = Column("ds", "date", "UTC day of ts; the partition.", nullable=False)
RUN_ID = Column("run_id", "string", "Run that wrote the row; joins ops.runs.", nullable=False)
EVENT_ID = Column("event_id", "string", "Unique id the client gave the event; duplicates share it.", nullable=False)

# Recommendation.
SOURCE = Column("source", "string", "Candidate source: collaborative, content, trending or fresh.", nullable=False)
SCORE = Column("score", "float", "Higher is better; comparable only within one source or model.", nullable=False)
RANK = Column("rank", "int", "Place by score within the grain, from 1.", nullable=False)
POSITION = Column("position", "int", "Place in the list as shown, from 1.", nullable=False)
ARM = Column("arm", "string", "Experiment arm of the user, by hash; see ranking.arms in conf.")
REASON = Column("reason", "string", "Why the pin is here: save, taste, trending, fresh or follow.")
REASON_ID = Column("reason_id", "bigint", "Pin or user that the reason points at; null where it points at none.")

# Sequence of a change: every table that comes from TiDB carries these.
COMMIT_TS = Column(
    "_commit_ts", "bigint", "TiDB commit timestamp (TSO) of the newest change; ms since 1970 = value >> 18."
)
OP_RANK = Column("_op_rank", "int", "Order at equal _commit_ts: 0 delete, 1 insert or update, above: repaired.")
DELETED = Column("_deleted", "boolean", "True for a tombstone: the row is gone at the source.")

"""What a table is: its name, grain, keys, columns and the rules for keeping and reading it."""

from dataclasses import dataclass
from enum import StrEnum

from jobs.schema.columns import AS_OF, Column


class AsOf(StrEnum):
    """How a table answers "as of that instant"."""

    STATE = "state"
    """Current rows of a TiDB table; an earlier state is rebuilt from the ledger."""

    EVENTS = "events"
    """Append-only facts with `ts`; the past is a filter."""

    LATEST = "newest"
    """Versions of one thing with `ts`; the past is the newest row per key before the as-of date."""

    STATIC = "fact"
    """What is so at any time, such as what a file under a name that never changes holds; read whole."""

    PARTITION = "partition"
    """Rows computed for one `as_of`, kept side by side."""

    LOG = "log"
    """What happened to the platform itself; read whole."""


@dataclass(frozen=True)
class Table:
    """One table of the lake. `layer.name` is its SQL name and its folder."""

    name: str
    comment: str
    grain: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    time: AsOf
    partition: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    """Columns with personal data, for masking and erasure."""
    retention_days: int = 400
    optional: bool = False
    """A source may lack it: jobs then read no rows. Gold and event tables are read so before their first write."""
    source: str | None = None
    """Table of TiDB it is the state of, schema.table."""
    sub_partition: str | None = None
    """A second partition column that one job fills with one value (gold.candidates.source)."""

    @property
    def layer(self) -> str:
        """Return bronze, silver, gold or ops."""
        return self.name.split(".", 1)[0]

    @property
    def path(self) -> str:
        """Return the folder below the lake's root."""
        return self.name.replace(".", "/", 1)

    @property
    def portable(self) -> bool:
        """Return whether every Delta reader must be able to read it (no deletion vectors)."""
        return self.layer in {"gold", "ops"}

    def column(self, name: str) -> Column:
        """Return the column called `name`; KeyError if the table has none."""
        return next(c for c in self.columns if c.name == name)


def gold(name: str, comment: str, grain: str, keys: str, *columns: Column, sub_partition: str | None = None) -> Table:
    """Return a gold table: computed per as-of, partitioned by it."""
    partition = ("as_of", sub_partition) if sub_partition else ("as_of",)
    return Table(
        name=f"gold.{name}",
        comment=comment,
        grain=grain,
        keys=("as_of", *keys.split()),
        columns=(AS_OF, *columns),
        time=AsOf.PARTITION,
        partition=partition,
        sub_partition=sub_partition,
        optional=True,
    )

"""The registry: every table the platform knows by name."""

from jobs.common.errors import TableError
from jobs.schema.bronze_silver import BRONZE, SILVER
from jobs.schema.gold import GOLD
from jobs.schema.ops import OPS
from jobs.schema.table import Table

TABLES: dict[str, Table] = {table.name: table for table in (*BRONZE, *SILVER, *GOLD, *OPS)}


def table(name: str) -> Table:
    """Return the table registered as `name`; TableError names the nearest ones if there is none."""
    try:
        return TABLES[name]
    except KeyError:
        from difflib import get_close_matches

        near = ", ".join(get_close_matches(name, TABLES, n=3)) or ", ".join(sorted(TABLES))
        raise TableError(f"No table is registered as {name!r}. Did you mean: {near}?") from None

"""Ops and gold tables read by delta-rs: no JVM, counted and summed where they lie, never brought to memory whole."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.common.errors import TableError

if TYPE_CHECKING:
    from deltalake import DeltaTable

Rows = list[dict[str, Any]]


class Tables:
    """The tables of one lake."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def open(self, name: str, version: int | None = None) -> "DeltaTable | None":
        """Return a table, None if it has never been written.

        Args:
            name: layer.name.
            version: as it was at that Delta version; None for the newest.

        Raises:
            TableError: that version is not kept any more.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(f"{self.root}/{name.replace('.', '/', 1)}", version=version)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise _gone(name, version, error) from None

    def ask(self, sql: str, names: Mapping[str, int | None]) -> Rows:
        """Return the rows of a query by DataFusion, which streams: queries here count, sum or limit.

        Args:
            sql: names tables without their layer (home_feed, not gold.home_feed).
            names: table -> version, None for the newest. Where one has never been written, there are no rows.

        Raises:
            TableError: a version's files have been removed.
        """
        import pyarrow as pa
        from deltalake import QueryBuilder

        tables = {name: self.open(name, version) for name, version in names.items()}
        builder = QueryBuilder()
        for name, table in tables.items():
            if table is None:
                return []
            builder = builder.register(name.split(".", 1)[1], table)
        try:
            rows: Rows = pa.table(builder.execute(sql).read_all()).to_pylist()
        except Exception as error:  # noqa: BLE001 - DataFusion raises the bare class where a file has been removed
            raise _gone(", ".join(names), tuple(names.values()), error) from None
        return rows


def _gone(name: str, version: Any, error: Exception) -> TableError:
    what = str(error).strip().split("\n", 1)[0][:200]
    return TableError(
        f"{name} cannot be read at version {version}: {what}. Files of old versions are removed after a table's "
        "retention: see `pinlake report` of a newer day."
    )

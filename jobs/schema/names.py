"""Names of tables and columns: as SQL quotes them, and which a source's own name silver cannot carry.

A source's column keeps its name wherever Delta can hold it (docs/adr/0020). Names with spaces or signs need Delta's
column mapping. Names that the platform, Delta or Spark have for columns of their own are taken: such a column is
`source` and its name, so that `_deleted` is `source_deleted`. Delta's MERGE does not quote a backquote: it becomes `_`.
"""

import hashlib
import re
from collections.abc import Iterable

from jobs.schema.columns import COMMIT_TS, DELETED, OP_RANK

_OWN = {column.name for column in (COMMIT_TS, OP_RANK, DELETED)}
_TAKEN = _OWN | {"_change_type", "_commit_version", "_commit_timestamp", "_metadata"}
_INTERNAL = re.compile(r"__.*|_.*_", re.DOTALL)
"""What Delta calls columns that it adds while it merges, such as _row_id_ and __delta_internal_row_index."""
_UNMAPPED = re.compile(r"[^ ,;{}()=\s\x00-\x1f\x7f]+")
"""Names that Delta writes into files as they are (`SchemaUtils.checkFieldNames`)."""
_NO_FOLDER = re.compile(r"""[\x00-\x1f\x7f"#%'*/:<>?@\[\\\]^`{|}]|[^\S ]""")
"""Signs of a table's name that paths or Delta give a meaning of their own."""
LONGEST = 200
"""Bytes of a folder's name; file systems allow 255, and files beside it need some."""


def quoted(name: str) -> str:
    """Return a column's or table's name as Spark SQL reads it."""
    return f"`{name.replace('`', '``')}`"


def needs_mapping(names: Iterable[str]) -> bool:
    """Return whether Delta writes columns of these names only with column mapping."""
    return not all(_UNMAPPED.fullmatch(name) for name in names)


def is_taken(name: str) -> bool:
    """Return whether a column of the source cannot have this name in silver."""
    lower = name.lower()
    return lower in _TAKEN or _INTERNAL.fullmatch(lower) is not None


def silver_columns(names: Iterable[str]) -> dict[str, str]:
    """Return the name in silver of each column of a source table, in order."""
    given = list(names)
    used = {name.lower() for name in given}
    found: dict[str, str] = {}
    for name in given:
        free = name.replace("`", "_")
        free = f"source{free}" if is_taken(free) else free
        while free != name and free.lower() in used:
            free += "_"
        used.add(free.lower())
        found[name] = free
    return found


def alike(names: Iterable[str]) -> list[str]:
    """Return the names of which another differs in case only: Spark cannot tell such columns apart."""
    by_lower: dict[str, list[str]] = {}
    for name in names:
        by_lower.setdefault(name.lower(), []).append(name)
    return [name for same in by_lower.values() if len(same) > 1 for name in same]


def silver_table(full_name: str) -> str:
    """Return the name of the silver table of schema.table: the first dot parts them."""
    return f"silver.{_folder(full_name.replace('.', '_', 1))}"


def file_name(full_name: str) -> str:
    """Return a table's name as that of a file: signs of paths are percent-encoded, as Dumpling does."""
    return re.sub(r"[/\\%\x00-\x1f]", lambda sign: f"%{ord(sign[0]):02X}", full_name)


def fits_partition(full_name: str) -> bool:
    """Return whether bronze can have a partition, a folder `table=<name>`, for the table."""
    escaped = re.sub(r"""[\x00-\x1f\x7f"#%'*/:=?\[\\\]^{}]""", "%00", full_name)
    return len(f"table={escaped}".encode()) <= 255


def _folder(name: str) -> str:
    safe = _NO_FOLDER.sub("_", name)
    if len(safe.encode()) <= LONGEST:
        return safe
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{safe.encode()[: LONGEST - 9].decode(errors='ignore')}_{digest}"

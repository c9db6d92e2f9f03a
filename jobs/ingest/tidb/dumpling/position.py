"""The moment an export was taken at: the TSO in its `metadata`, or the one that a person names.

Dumpling writes the position only where its user may see it (REPLICATION CLIENT); on MySQL it is a place in the binlog,
and no TSO.
"""

import re

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import read_raw

WHAT = "Dumpling export"
_POSITION = re.compile(r"^\s*Pos:[ \t]*(\d+)\s*$", re.MULTILINE)
_LOG = re.compile(r"^\s*Log:[ \t]*(\S+)", re.MULTILINE)
_LEAST_TSO = 1 << 40
"""Places in a binlog are smaller, moments of TiDB are larger."""
_NAME_IT = (
    "Or name the TSO it was taken at: `pinlake ingest --snapshot-ts TSO`, or ingest.dump.snapshot_ts; it is the one "
    "that `dumpling --snapshot` was given, or that the changefeed starts at."
)


def position(root: str, told: int | None = None) -> int:
    """Return the TSO that the export at `root` was taken at.

    Args:
        root: folder of the export.
        told: the TSO as a person names it, None where the export must say it.

    Raises:
        SourceError: `metadata` is missing, incomplete, says nothing of the position, or something else than `told`.
    """
    try:
        text = read_raw(root, "metadata").decode("utf-8", "replace")
    except OSError as error:
        raise SourceError(f"{WHAT}: no file `metadata` in {root}; Dumpling writes it last. Export again.") from error
    if "Finished dump at" not in text:
        raise SourceError(
            f"{WHAT}: {root}/metadata must hold `Finished dump at`, Dumpling's last line; the export is not complete. "
            "Export again."
        )
    found, log = _POSITION.search(text), _LOG.search(text)
    is_tso = found is not None and (int(found[1]) >= _LEAST_TSO or log is None or log[1] == "tidb-binlog")
    if told is not None:
        if found is not None and is_tso and int(found[1]) != told:
            raise SourceError(
                f"{WHAT}: {root}/metadata says that it was taken at {found[1]}, --snapshot-ts "
                f"(ingest.dump.snapshot_ts) says {told}. Leave that out."
            )
        return told
    if found is None:
        raise SourceError(
            f"{WHAT}: {root}/metadata holds no `Pos:`, the TSO that the export was taken at. Dumpling writes it where "
            f"its user has the privilege REPLICATION CLIENT: grant it and export again. {_NAME_IT}"
        )
    if not is_tso:
        raise SourceError(
            f"{WHAT}: {root}/metadata says Pos: {found[1]} of {log[1] if log else 'its log'}, a place in MySQL's "
            f"binlog and no TSO of TiDB. {_NAME_IT}"
        )
    return int(found[1])

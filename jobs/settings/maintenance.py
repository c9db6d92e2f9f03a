"""How long what is no longer current stays."""

from pydantic import Field

from jobs.settings.base import Section


class Maintenance(Section):
    """Nightly care of the tables. How long rows stay is each table's own (`pinlake tables NAME`)."""

    keep_hours: float = Field(168.0, ge=168.0)
    """Hours that the files of old versions stay: change feeds, pinned inputs and time travel reach back so far."""
    tombstone_days: int = Field(30, ge=1)
    """Days after which rows that were deleted at the source leave silver; bronze keeps them."""
    target_mb: int = Field(128, ge=1)
    """Size in MiB that small files are joined to; files of silver have a size by the table's rows."""
    recluster_share: float = Field(0.25, gt=0, le=1)
    """Share of a silver table that a change of one key opens, above which it is written anew in its key's order."""

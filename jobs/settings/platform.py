"""Settings of the platform: folders, the Spark session, checks and table maintenance."""

from typing import Any, Literal

from pydantic import Field, field_validator

from jobs.settings.base import Section

_PARAMETERS = {
    "default": {"min_rows": 1.0},
    "generation": {"min_coverage": 0.5, "max_churn": 0.8},
}


class Spark(Section):
    """The Spark session."""

    master: str = "local[2]"
    """Spark master URL: local[N], spark://host:port, yarn or k8s://…"""
    driver_memory: str = "2g"
    """Heap of the driver; in local mode it holds the executors too."""
    shuffle_partitions: int = Field(4, ge=1)
    """Partitions after a shuffle; about two per core."""
    java_options: str = ""
    """JVM options of the driver."""
    ui: bool = False
    """Serve the Spark UI on port 4040."""
    conf: dict[str, str] = Field(default_factory=dict)
    """Further Spark properties, passed on unchanged."""


class Platform(Section):
    """Folders and the Spark session. Relative paths start at the project's root."""

    lake: str = ".pinlake/lake"
    """Root folder or URI of the Delta tables."""
    work: str = ".pinlake"
    """Working folder: jars, logs, reports, the embedded store."""
    sources: str = ".pinlake/world"
    """Source files: written by `pinlake world`, read by `pinlake flow` unless an argument names another folder."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    """Least level of pinlake's own log lines."""
    parallel_jobs: int = Field(2, ge=1)
    """Jobs of the flow that run at the same time if independent; small jobs mostly wait for I/O and planning."""
    cache_mb: int = Field(256, ge=0)
    """Largest table or result, in MiB of its files, that a session caches in Spark's block store; 0 disables it."""
    collect_mb: int = Field(64, ge=0)
    """Largest result, in MiB as Spark holds it, that the driver commits to a gold table by delta-rs; 0 disables it."""
    spark: Spark = Spark()
    """The Spark session."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else value


class Validation(Section):
    """Checks of tables."""

    parameters: dict[str, dict[str, float]] = Field(default_factory=lambda: _PARAMETERS)
    """Values of the $PARAMETERs in expectations/, by suite; `default` applies to all, a suite's own value wins.

    min_rows: fewest rows of a table that must not be empty. min_coverage: least share of active users with a feed for
    a generation to be published. max_churn: share of positions that may differ from the served generation without a
    warning.
    """
    docs_results: int = Field(8, ge=1)
    """Newest results kept per suite in Data Docs, a page each; ops.checks keeps all."""


class Maintenance(Section):
    """`pinlake maintain`: old versions, deleted rows, file sizes. Retention of rows is per table: `pinlake tables`."""

    keep_hours: float = Field(168.0, ge=168.0)
    """Hours to keep files of old table versions; limits change feeds, pinned inputs and time travel."""
    tombstone_days: int = Field(30, ge=1)
    """Days until rows deleted at the source are removed from silver; bronze keeps them."""
    target_mb: int = Field(128, ge=1)
    """Size in MiB up to which small files are compacted; silver files have a size by the table's rows."""
    recluster_share: float = Field(0.25, gt=0, le=1)
    """Share of a silver table's bytes that one key's change would open, above which it is rewritten in key order."""

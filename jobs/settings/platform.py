"""Where things are and how Spark is started."""

from typing import Any, Literal

from pydantic import Field, field_validator

from jobs.settings.base import Section


class Spark(Section):
    """The Spark session."""

    master: str = "local[2]"
    """Master URL: local[N], spark://host:port, yarn or k8s://…"""
    driver_memory: str = "2g"
    """Heap of the driver; in local mode the executors live in it too."""
    shuffle_partitions: int = Field(4, ge=1)
    """Partitions after a shuffle: about two per core."""
    java_options: str = ""
    """Options of the driver's JVM."""
    ui: bool = False
    """Whether to serve Spark's web page on port 4040."""
    conf: dict[str, str] = Field(default_factory=dict)
    """Any further Spark property, as it is."""


class Platform(Section):
    """Folders of the platform. Relative paths start at the project's root."""

    lake: str = ".pinlake/lake"
    """Root of the Delta tables."""
    work: str = ".pinlake"
    """Scratch: jars, logs, reports, the embedded store."""
    sources: str = ".pinlake/world"
    """Where `pinlake world` writes, and what `pinlake flow` ingests unless told otherwise."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    """DEBUG, INFO, WARNING or ERROR, for our own log lines."""
    parallel_jobs: int = Field(2, ge=1)
    """Jobs of the flow that run at once where neither needs the other: small jobs wait more than they work."""
    cache_mb: int = Field(256, ge=0)
    """Largest table or result, in MiB of its files, that a session reads once and keeps in Spark's blocks; 0: none."""
    collect_mb: int = Field(64, ge=0)
    """Largest result, in MiB as Spark holds it, that the driver writes into gold without a Spark job; 0: none."""
    spark: Spark = Spark()
    """The Spark session."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, given: Any) -> Any:
        return given.strip().upper() if isinstance(given, str) else given

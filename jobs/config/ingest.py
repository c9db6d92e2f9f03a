"""Settings of the ingest stage."""

from jobs.config.base import Section


class Ingest(Section):
    """Settings of the ingest stage."""

"""Settings of the validation stage."""

from jobs.config.base import Section


class Validation(Section):
    """Settings of the validation stage."""

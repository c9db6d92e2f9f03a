"""How tables are judged."""

from pydantic import Field

from jobs.settings.base import Section

_PARAMETERS = {
    "default": {"min_rows": 1.0},
    "generation": {"min_coverage": 0.5, "max_churn": 0.8},
}


class Validation(Section):
    """Checks."""

    parameters: dict[str, dict[str, float]] = Field(default_factory=lambda: _PARAMETERS)
    """Values for the $PARAMETERs of expectations/, by suite; `default` holds for all, a suite's own value wins."""
    docs_results: int = Field(8, ge=1)
    """Newest results kept per suite, and so pages per table in Data Docs; all of them stay in ops.checks."""

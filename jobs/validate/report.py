"""The result of validating one table: rows of ops.checks, and the error that stops a job."""

from dataclasses import dataclass
from typing import Any

from jobs.common.errors import ValidationFailedError


@dataclass(frozen=True)
class Check:
    """The result of one expectation."""

    suite: str
    expectation: str
    """Great Expectations' type."""
    column: str
    """Name of the metric."""
    severity: str
    success: bool
    observed: str | None
    """Value of the metric; None where there was nothing to measure."""
    expected: str
    """Bounds, as JSON."""
    notes: str = ""
    """Why it is expected."""

    def __str__(self) -> str:
        """Return the result in one line."""
        why = f" ({self.notes})" if self.notes else ""
        return f"{self.column} is {self.observed or 'null'}, expected {self.expected}{why}"


@dataclass(frozen=True)
class Report:
    """The result of one suite."""

    suite: str
    checks: tuple[Check, ...]
    worst: str | None
    """Highest severity that failed, by Great Expectations' ranking; None if all passed."""
    result: Any
    """Great Expectations' own ExpectationSuiteValidationResult."""

    @property
    def critical_failures(self) -> tuple[Check, ...]:
        """Return the critical expectations that failed."""
        return self._failed("critical")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """Return the expectations of severity warning that failed."""
        return self._failed("warning")

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per expectation for ops.checks, without run, as-of and time."""
        fields = ("suite", "expectation", "column", "severity", "success", "observed", "expected")
        return [{field: getattr(check, field) for field in fields} for check in self.checks]

    def raise_if_critical(self) -> None:
        """Stop the job if Great Expectations found a critical failure.

        Raises:
            ValidationFailedError: it names table, metric, what was observed and what was expected.
        """
        if self.worst != "critical":
            return
        failed = self.critical_failures
        more = f" {len(failed)} critical expectations failed in all, see ops.checks." if len(failed) > 1 else ""
        where = f"expectations/{self.suite.replace('.', '/', 1)}.json"
        raise ValidationFailedError(
            f"{self.suite}: {failed[0].expectation}: {failed[0]}. Nothing was committed.{more} "
            f"Look at the job's input, or at {where} if the bound is wrong."
        )

    def _failed(self, severity: str) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.success and check.severity == severity)

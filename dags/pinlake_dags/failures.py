"""What a failed job means for its task: some failures come again however often one tries."""

from datetime import timedelta

from airflow.exceptions import AirflowException
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from jobs.common import errors


class JobFailed(AirflowException):
    """A job ended badly in a way that may pass: a lost cluster, a killed process."""


class JobRefused(JobFailed):
    """A job will end the same way until somebody changes something: a setting, the data, the machine."""


class AnotherRunWon(JobFailed):
    """Another run wrote the same table first."""


HOPELESS = {
    kind.exit_code
    for kind in (
        errors.ConfigError,
        errors.SourceError,
        errors.MissingDependencyError,
        errors.ValidationFailedError,
        errors.GateRefusedError,
        errors.TableError,
        errors.Blocked,
    )
}
"""Exit codes of the command line after which trying again is of no use."""

RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=JobRefused, action=RetryAction.FAIL, reason="It would end the same way again."),
        RetryRule(
            exception=AnotherRunWon,
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=1),
            reason="Another run was at work on the same table.",
        ),
        RetryRule(
            exception=JobFailed,
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=5),
            reason="The cluster may have been lost.",
        ),
    ]
)


def failure(job: str, code: int | None) -> JobFailed:
    """Return the failure that an exit code of spark-submit stands for."""
    said = f"{job} ended with exit code {code}; its last lines above say why, `pinlake --help` lists the codes."
    if code in HOPELESS:
        return JobRefused(said)
    return AnotherRunWon(said) if code == errors.ConcurrentRunError.exit_code else JobFailed(said)

"""A task that runs one job by spark-submit and returns its result to Airflow."""

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowException
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from jobs.settings.load import load
from pinlake_dags.failures import failure

POOL = "pinlake_spark"
"""Sessions that run at once: as many slots as the machine has room for (`make airflow` gives it one)."""


class JobSubmit(SparkSubmitOperator):
    """Runs `jobs/engine/spark_submit.py WHAT` for the as-of date of the DAG run.

    The date is the parameter `as_of`, else the day of a backfill, else the day of the asset event that started the run,
    else the newest day that is complete. The task's result is the date and, by table, the version written and the
    rows, which its asset events carry too.

    Raises:
        JobRefused: trying again is of no use.
        JobFailed: it may be.
    """

    template_fields = (*SparkSubmitOperator.template_fields, "what")

    def __init__(self, *, what: str, **kwargs: Any) -> None:
        super().__init__(
            application="", pool=POOL, name=f"pinlake.{what}", conn_id="spark_default", durable=False, **kwargs
        )
        self.what = what

    def execute(self, context: Any) -> dict[str, Any]:
        """Submit, wait, read the result."""
        import jobs.engine.spark_submit
        from jobs.spark.session import submitted

        loaded = load()
        self.application = jobs.engine.spark_submit.__file__
        work = Path(loaded.path(loaded.settings.platform.work))
        self.conf = submitted(loaded.settings.platform.spark, work)
        with tempfile.TemporaryDirectory(prefix="pinlake-") as scratch:
            file = Path(scratch) / "result.json"
            day = as_of_for(context)
            self.application_args = [self.what, "--result", str(file), *(["--as-of", str(day)] if day else [])]
            try:
                super().execute(context)
            except AirflowException as error:
                raise failure(self.what, _exit_code(self)) from error
            result: dict[str, Any] = json.loads(file.read_text())
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"as_of": result["as_of"], **result["tables"].get(asset.name, {})}
        return result


def as_of_for(context: Any) -> date | None:
    """Return the day a DAG run is for; None: the newest."""
    given = context["params"].get("as_of")
    if given:
        return date.fromisoformat(given)
    earlier = context["ti"].xcom_pull(task_ids="horizon")
    if earlier:  # every task of a run works for the date that its first one resolved
        return date.fromisoformat(earlier["as_of"])
    run = context["dag_run"]
    if run.run_type == "backfill" and run.logical_date:
        return run.logical_date.date()
    started = (context.get("triggering_asset_events") or {}).values()
    days = [event.extra.get("as_of") for events in started for event in events]
    return max((date.fromisoformat(day) for day in days if day), default=None)


def _exit_code(task: SparkSubmitOperator) -> int | None:
    process = getattr(task._hook, "_submit_sp", None)
    return process.returncode if process else None

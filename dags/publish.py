"""Publishes after recommend: gate, load, promote."""

from airflow.sdk import get_current_context, task
from pinlake_dags.assets import GENERATION, inlets
from pinlake_dags.build import AS_OF, job_tasks, pinlake_dag
from pinlake_dags.submit import as_of_for

from jobs.flow import FLOW

DOC = """Publishes the feeds of the newest as-of date: gated, loaded next to the served ones, read back, then promoted.

Starts when `pinlake_recommend` has made all it reads. A day older than what was published is left alone, so a backfill
never takes readers back in time; trigger it with a date to do that. `pinlake rollback` moves the pointer back at once.
"""

jobs = [job for job in FLOW if job.stage == "publish"]
gold = [asset for asset in inlets(jobs[0]) if asset.name.startswith("gold.")]
with pinlake_dag("publish", gold, DOC, hours=2, params={"as_of": AS_OF}) as dag:

    @task.short_circuit(inlets=[GENERATION], doc_md="Continues unless a later as-of date has been published.")
    def is_newest() -> bool:
        """Return whether the run's as-of date may be published."""
        context = get_current_context()
        day, published = as_of_for(context), context["inlet_events"][GENERATION]
        asked = bool(context["params"].get("as_of"))
        return asked or day is None or not len(published) or published[-1].extra.get("as_of", "") <= str(day)

    is_newest() >> list(job_tasks(jobs).values())

"""After recommend: the gate, the load, the pointer."""

from airflow.sdk import get_current_context, task
from pinlake_dags.assets import GENERATION, inlets
from pinlake_dags.build import AS_OF, job_tasks, pinlake_dag
from pinlake_dags.submit import as_of_for

from jobs.flow import FLOW

DOC = """Publishes the lists of the newest cut: gated, loaded beside the served ones, read back, then the pointer moves.

Starts when `pinlake_recommend` has made all it reads. A day older than what was published is left alone, so a backfill
never takes readers back in time; trigger with a cut to do just that. `pinlake rollback` moves the pointer back at once.
"""

jobs = [job for job in FLOW if job.stage == "publish"]
gold = [asset for asset in inlets(jobs[0]) if asset.name.startswith("gold.")]
with pinlake_dag("publish", gold, DOC, hours=2, params={"as_of": AS_OF}) as dag:

    @task.short_circuit(inlets=[GENERATION], doc_md="Goes on if the cut is not older than what was published last.")
    def is_newest() -> bool:
        """Return whether the run's cut may be published."""
        context = get_current_context()
        day, published = as_of_for(context), context["inlet_events"][GENERATION]
        asked = bool(context["params"].get("as_of"))
        return asked or day is None or not len(published) or published[-1].extra.get("as_of", "") <= str(day)

    is_newest() >> list(job_tasks(jobs).values())

"""Builds DAGs and tasks with the defaults that all DAG files share."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, Param, TaskGroup

from jobs.flow import job_dependencies
from jobs.schema.job import Job
from pinlake_dags import late
from pinlake_dags.assets import inlets, outlets
from pinlake_dags.failures import RETRIES
from pinlake_dags.submit import JobSubmit
from pinlake_dags.task_docs import task_doc

OWNER = "data-platform"
AS_OF = Param(
    None,
    type=["null", "string"],
    format="date",
    title="As of",
    description="Rows from 00:00 UTC of this day on are not used. Empty: the newest day that is complete.",
)


def pinlake_dag(name: str, schedule: Any, doc: str, hours: float, **more: Any) -> DAG:
    """Return a DAG with owner, retries, deadline and one run at a time.

    Args:
        name: what it does; its id is pinlake_<name>.
        schedule: as Airflow takes it.
        doc: its page in the UI, Markdown.
        hours: a run is late when it takes this much longer than the average of the ten before it.
        more: further arguments of DAG.
    """
    callback = AsyncCallback(late.say, {"dag": f"pinlake_{name}", "hours": hours})
    return DAG(
        dag_id=f"pinlake_{name}",
        schedule=schedule,
        # no start date: with one, Airflow would run the latest past interval as soon as a DAG is loaded
        catchup=False,
        max_active_runs=1,
        # counted from what runs take: with DAGRUN_QUEUED_AT Airflow 3.3.2 cannot clear a task (docs/adr/0030)
        deadline=DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(10, 1), timedelta(hours=hours), callback),
        default_args={"owner": OWNER, "retries": 2, "retry_policy": RETRIES},
        tags=["pinlake", name],
        doc_md=doc,
        description=doc.strip().splitlines()[0],
        **more,
    )


def job_tasks(jobs: Iterable[Job]) -> dict[str, JobSubmit]:
    """Return a task per job, named as the job, in a group per stage, downstream of the jobs whose tables it reads."""
    jobs = list(jobs)
    upstream = job_dependencies(jobs)
    groups: dict[str, TaskGroup] = {}
    tasks: dict[str, JobSubmit] = {}
    for job in jobs:
        stage, _, name = job.name.partition(".")
        if stage not in groups:
            groups[stage] = TaskGroup(group_id=stage)
        with groups[stage]:
            tasks[job.name] = JobSubmit(
                task_id=name, what=job.name, doc_md=task_doc(job), inlets=inlets(job), outlets=outlets(job)
            )
        if upstream[job.name]:
            tasks[job.name].set_upstream([tasks[name] for name in tasks if name in upstream[job.name]])
    return tasks

"""Every day: features, candidates, ranked feeds and related pins of the day that ingest has completed."""

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from pinlake_dags.assets import DAY
from pinlake_dags.build import AS_OF, job_tasks, pinlake_dag
from pinlake_dags.submit import JobSubmit

from jobs.flow import FLOW

DOC = """Makes every gold table of one cut: features, candidates, ranking, related pins, evaluation.

Starts when ingest has completed a day (asset `pinlake.day`), and at 00:00 UTC in any case; what has not changed is
not done again. Trigger it with a cut to make another day's tables, or backfill a range: a cut means the same today and
in a year.

`airflow backfill create --dag-id pinlake_recommend --from-date 2026-10-28 --to-date 2026-10-31`
"""
HORIZON = """Makes the tables of the earlier cut that this one learns from and is judged by (`ranking.horizon_days`
before), where they are missing, in one session; and finds the cut that all other tasks of the run work for.

By hand: `pinlake flow --as-of DAY`.
"""

# midnight: a backfill's range then holds its last day, and a logical date is its cut
schedule = AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[DAY])
with pinlake_dag("recommend", schedule, DOC, hours=6, params={"as_of": AS_OF}) as dag:
    horizon = JobSubmit(task_id="horizon", what="horizon", doc_md=HORIZON)
    tasks = job_tasks(job for job in FLOW if job.stage not in {"ingest", "publish"})
    horizon >> [task for task in tasks.values() if not task.upstream_task_ids]

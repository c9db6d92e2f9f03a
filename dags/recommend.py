"""Every day: features, candidates, ranked feeds and related pins of the day that ingest has completed."""

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from pinlake_dags.assets import DAY
from pinlake_dags.build import AS_OF, job_tasks, pinlake_dag
from pinlake_dags.submit import JobSubmit

from jobs.flow import FLOW

DOC = """Makes every gold table of one as-of date: features, candidates, ranking, related pins, evaluation.

Starts when ingest has completed a day (asset `pinlake.day`), and at 00:00 UTC in any case; jobs that are
up to date are skipped. Trigger it with a date to make another day's tables, or backfill a range: the tables of a date
are the same today and in a year.

`airflow backfill create --dag-id pinlake_recommend --from-date 2026-10-28 --to-date 2026-10-31`
"""
HORIZON = """Makes missing tables of the earlier date that this one learns from and is evaluated on
(`ranking.horizon_days` before), in one session; resolves the as-of date of all other tasks of the run.

By hand: `pinlake flow --as-of DAY`.
"""

# midnight: a backfill's range then holds its last day, and a logical date is its as-of date
schedule = AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[DAY])
with pinlake_dag("recommend", schedule, DOC, hours=6, params={"as_of": AS_OF}) as dag:
    horizon = JobSubmit(task_id="horizon", what="horizon", doc_md=HORIZON)
    tasks = job_tasks(job for job in FLOW if job.stage not in {"ingest", "publish"})
    horizon >> [task for task in tasks.values() if not task.upstream_task_ids]

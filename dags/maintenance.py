"""Every night: small files joined, old partitions and unused files removed."""

from airflow.sdk import CronTriggerTimetable
from pinlake_dags.build import pinlake_dag
from pinlake_dags.submit import JobSubmit

DOC = """Joins small files (OPTIMIZE), removes partitions past their table's retention, then unused files (VACUUM).

By hand: `pinlake maintain`. How long versions stay is in `conf/`: `maintenance`.
"""

with pinlake_dag("maintenance", CronTriggerTimetable("30 4 * * *", timezone="UTC"), DOC, hours=4) as dag:
    JobSubmit(task_id="maintain", what="maintain", doc_md=DOC)

"""Loads every hour what TiDB and Kafka have archived since, to bronze and silver."""

from airflow.sdk import CronTriggerTimetable, chain, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pinlake_dags.assets import DAY
from pinlake_dags.build import job_tasks, pinlake_dag

from jobs.flow import FLOW

DOC = """Takes in change logs, snapshots and Kafka archives: bronze, then silver as of the checkpoint.

Runs every hour; running it again takes in only what is new. When the checkpoint passes the end of a day, the asset
`pinlake.day` is updated and `pinlake_recommend` starts for that day.

Its last task, `all_taken_in`, fails where a table or topic is blocked, a file is missing or one is of no known kind,
and says which: everything else is in, and `pinlake_recommend` starts all the same.

By hand: `pinlake ingest --ticdc URI --dumpling URI --kafka URI`. Where the sources lie is in `conf/`:
`platform.sources`.
"""

with pinlake_dag("ingest", CronTriggerTimetable("15 * * * *", timezone="UTC"), DOC, hours=1) as dag:

    @task(inlets=[DAY], outlets=[DAY], doc_md="Updates `pinlake.day` if the checkpoint has passed the end of a day.")
    def day_complete(ingested: dict) -> str:
        """Return the newest complete day; skip, and update nothing, if an event has announced it before."""
        context, day = get_current_context(), ingested["as_of"]
        events = context["inlet_events"][DAY]
        if day is None:
            raise AirflowSkipException("no whole day has been ingested yet")
        if len(events) and events[-1].extra.get("as_of", "") >= day:
            raise AirflowSkipException(f"{day} has been announced before")
        context["outlet_events"][DAY].extra = {"as_of": day}
        return day

    @task(doc_md="Fails, and is not tried again, where something of the sources is blocked, missing or unknown.")
    def all_taken_in(ingested: list[dict]) -> None:
        """Say what a person must look at; what is good was taken in by the tasks before."""
        amiss = [sentence for one in ingested for sentence in one.get("amiss", ())]
        if amiss:
            raise AirflowFailException(" ".join(amiss))

    # one after another: they write the same ops tables
    tasks = job_tasks(job for job in FLOW if job.stage == "ingest")
    chain(*tasks.values())
    day_complete(tasks["ingest.kafka"].output)  # a day is complete without its images
    all_taken_in([tasks["ingest.cdc"].output, tasks["ingest.kafka"].output])

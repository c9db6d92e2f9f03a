"""The flow: every job in order, the tables it reads and writes, and which jobs depend on which. Imports no Spark.

`table@horizon` is the partition of `ranking.horizon_days` earlier: the ranker learns from candidates and features of
that date and from what users did since, and lists are evaluated by later saves. `table@yesterday` is the partition of
the day before, from which an index or a list is updated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from jobs.common.errors import ConfigError
from jobs.schema.bronze_silver import PIN_EMBEDDINGS, SILVER
from jobs.schema.images import IMAGE_EMBEDDINGS, IMAGE_FEATURES
from jobs.schema.job import Job
from jobs.schema.table import AsOf
from jobs.settings.names import suggestion

FLOW: tuple[Job, ...] = (
    Job(
        name="ingest.cdc",
        summary="TiDB's snapshot and change logs to bronze and silver, up to the checkpoint.",
        function="jobs.ingest.tidb.job:run",
    ),
    Job(
        name="ingest.kafka",
        summary="Events, searches and embeddings from Kafka archives and brokers to bronze and silver.",
        function="jobs.ingest.kafka.job:run",
    ),
    Job(
        name="ingest.images",
        summary="Hash, colors and style of the images of pins.",
        function="jobs.ingest.images.job:run",
    ),
    Job(
        name="ingest.embeddings",
        summary="Embeddings of the images of pins by an ONNX model, if one is configured.",
        function="jobs.ingest.embeddings.job:run",
    ),
    Job(
        name="features.interactions",
        summary="Counts and decayed weight of each user's actions per pin.",
        function="jobs.features.interactions:interactions",
        reads=("silver.app_board_pins", "silver.app_pins", "silver.pin_events"),
        writes="gold.interactions",
    ),
    Job(
        name="features.pin_stats",
        summary="Engagement statistics and visibility per pin.",
        function="jobs.features.pins:pin_stats",
        reads=("silver.app_pins", "silver.app_boards", "silver.app_board_pins", "silver.pin_events"),
        writes="gold.pin_stats",
    ),
    Job(
        name="features.user_profile",
        summary="Interests, recent saves and active hours per user.",
        function="jobs.features.users:user_profile",
        reads=(
            "silver.app_users",
            "silver.app_board_pins",
            "silver.app_pins",
            "silver.pin_events",
            "silver.pin_embeddings",
            "gold.interactions",
        ),
        writes="gold.user_profile",
    ),
    Job(
        name="neighbours.ann_index",
        summary="The ANN index for the neighbours of many pins: yesterday's, or trained again.",
        function="jobs.neighbours.ann_index:ann_index",
        reads=("gold.pin_stats", "silver.pin_embeddings"),
        optional_reads=("gold.ann_index@yesterday", "gold.neighbour_recall@yesterday"),
        writes="gold.ann_index",
    ),
    Job(
        name="neighbours.pin_neighbours",
        summary="Nearest neighbours of each pin in embedding space.",
        function="jobs.neighbours.pin_neighbours:pin_neighbours",
        reads=("gold.pin_stats", "silver.pin_embeddings", "gold.ann_index"),
        optional_reads=(
            "gold.ann_index@yesterday",
            "gold.pin_neighbours@yesterday",
            "gold.pin_stats@yesterday",
            "silver.pin_embeddings@yesterday",
        ),
        writes="gold.pin_neighbours",
    ),
    Job(
        name="neighbours.recall",
        summary="Recall of the neighbours against exact search on a sample of pins.",
        function="jobs.neighbours.neighbour_recall:neighbour_recall",
        reads=("gold.pin_neighbours", "gold.ann_index", "gold.pin_stats", "silver.pin_embeddings"),
        writes="gold.neighbour_recall",
    ),
    Job(
        name="image_dedup.hash_pairs",
        summary="Pairs of images with near hashes; only new hashes are compared.",
        function="jobs.image_dedup.hash_pairs:near_hashes",
        reads=("gold.pin_stats", "silver.image_features"),
        optional_reads=("gold.hash_pairs@yesterday",),
        writes="gold.hash_pairs",
    ),
    Job(
        name="image_dedup.image_clusters",
        summary="Clusters of near-duplicate images.",
        function="jobs.image_dedup.image_clusters:image_clusters",
        reads=(
            "gold.hash_pairs",
            "gold.pin_stats",
            "gold.pin_neighbours",
            "gold.ann_index",
            "silver.pin_embeddings",
            "silver.image_features",
        ),
        optional_reads=("gold.image_clusters@yesterday", "gold.image_clusters@horizon"),
        writes="gold.image_clusters",
    ),
    Job(
        name="candidates.cf_factors",
        summary="Implicit ALS factors of users and pins, trained on the interactions.",
        function="jobs.candidates.als:cf_factors",
        reads=("gold.interactions", "gold.pin_stats"),
        writes="gold.cf_factors",
    ),
    Job(
        name="candidates.trending_pins",
        summary="Pins with more saves than expected, per category.",
        function="jobs.candidates.trending:trending_pins",
        reads=("gold.pin_stats", "silver.pin_events", "silver.app_board_pins", "silver.app_boards"),
        writes="gold.trending",
    ),
    Job(
        name="candidates.collaborative",
        summary="Candidates by inner product of the ALS factors.",
        function="jobs.candidates.collaborative:collaborative",
        reads=("gold.cf_factors", "gold.interactions", "gold.user_profile", "gold.pin_stats"),
        writes="gold.candidates",
        sub_partition="collaborative",
    ),
    Job(
        name="candidates.content",
        summary="Candidates near the pins that the user saved recently.",
        function="jobs.candidates.content:content",
        reads=("gold.user_profile", "gold.pin_neighbours", "gold.interactions", "gold.pin_stats"),
        writes="gold.candidates",
        sub_partition="content",
    ),
    Job(
        name="candidates.trending",
        summary="Candidates that trend in the user's categories.",
        function="jobs.candidates.trending:trending",
        reads=("gold.user_profile", "gold.trending", "gold.interactions", "gold.pin_stats"),
        writes="gold.candidates",
        sub_partition="trending",
    ),
    Job(
        name="candidates.fresh",
        summary="New pins of high expected quality in the user's categories and by followed creators.",
        function="jobs.candidates.fresh:fresh",
        reads=("gold.user_profile", "gold.pin_stats", "gold.interactions", "silver.app_user_follows"),
        writes="gold.candidates",
        sub_partition="fresh",
    ),
    Job(
        name="ranking.ranker",
        summary="The ranking model, trained on past candidates and the saves that followed.",
        function="jobs.ranking.ranker:ranker",
        reads=(
            "silver.pin_events",
            "silver.pin_embeddings@horizon",
            "silver.app_user_follows@horizon",
        ),
        optional_reads=(
            "gold.candidates@horizon",
            "gold.pin_stats@horizon",
            "gold.user_profile@horizon",
            "gold.cf_factors@horizon",
        ),
        writes="gold.ranker",
    ),
    Job(
        name="ranking.ranked",
        summary="Candidates scored, filtered by rules, diversified, with reasons.",
        function="jobs.ranking.ranked:ranked",
        reads=(
            "gold.candidates",
            "gold.ranker",
            "gold.pin_stats",
            "gold.image_clusters",
            "gold.user_profile",
            "gold.cf_factors",
            "gold.interactions",
            "silver.pin_embeddings",
            "silver.app_users",
            "silver.app_user_follows",
            "silver.app_blocks",
        ),
        writes="gold.ranked",
    ),
    Job(
        name="ranking.home_feed",
        summary="The home feed of each user: the top ranked candidates.",
        function="jobs.ranking.ranked:home_feed",
        reads=("gold.ranked",),
        writes="gold.home_feed",
    ),
    Job(
        name="ranking.feed_drops",
        summary="Candidates that are not in the feed, and the rule that dropped each.",
        function="jobs.ranking.ranked:feed_drops",
        reads=("gold.ranked",),
        writes="gold.feed_drops",
    ),
    Job(
        name="ranking.evaluations",
        summary="Evaluates the feeds of `horizon_days` ago on saves made since, with a popularity baseline.",
        function="jobs.ranking.evaluate:evaluations",
        reads=(
            "gold.home_feed@horizon",
            "gold.candidates@horizon",
            "gold.pin_stats@horizon",
            "gold.user_profile@horizon",
            "gold.interactions@horizon",
            "gold.pin_stats",
            "silver.app_board_pins",
        ),
        writes="gold.evaluations",
    ),
    Job(
        name="related.pairs",
        summary="Scores pin pairs from 0 to 1 per signal: embeddings, co-saves, session co-views, shared links, ALS.",
        function="jobs.related.pairs:related_pairs",
        reads=(
            "gold.pin_neighbours",
            "gold.pin_stats",
            "gold.cf_factors",
            "silver.app_board_pins",
            "silver.app_boards",
            "silver.pin_events",
            "silver.app_pins",
        ),
        writes="gold.related_pairs",
    ),
    Job(
        name="related.pins",
        summary="Related pins of each pin, blended from the scores of the pairs.",
        function="jobs.related.job:related_pins",
        reads=("gold.related_pairs", "gold.image_clusters", "gold.pin_stats"),
        writes="gold.related_pins",
    ),
    Job(
        name="related.evaluations",
        summary="Evaluates the related pins of `horizon_days` ago on saves made since, and each signal alone.",
        function="jobs.related.evaluate:related_evaluations",
        reads=(
            "gold.related_pins@horizon",
            "gold.related_pairs@horizon",
            "gold.image_clusters@horizon",
            "gold.pin_stats@horizon",
            "gold.pin_stats",
            "silver.app_board_pins",
            "silver.app_boards",
            "silver.pin_events",
        ),
        writes="gold.related_evaluations",
    ),
    Job(
        name="publish.generation",
        summary="Gates the feeds and related pins, loads them as a new generation, verifies it, promotes it.",
        function="jobs.publish.generation:run",
        reads=(
            "gold.home_feed",
            "gold.related_pins",
            "gold.pin_stats",
            "gold.user_profile",
            "gold.trending",
            "gold.evaluations",
            "silver.app_pins",
            "silver.app_boards",
            "silver.app_board_pins",
            "silver.app_blocks",
        ),
    ),
)

JOBS: dict[str, Job] = {job.name: job for job in FLOW}
WRITERS: dict[str, tuple[Job, ...]] = {
    name: tuple(job for job in FLOW if job.writes == name) for name in dict.fromkeys(j.writes for j in FLOW if j.writes)
}
"""Gold table -> the jobs that write it, one for each sub-partition."""
HORIZON, YESTERDAY = "@horizon", "@yesterday"
LAGS = (HORIZON, YESTERDAY)
"""Suffixes of an input of an earlier date."""
_INGESTED = {
    "ingest.cdc": tuple(table.name for table in SILVER if table.source),
    "ingest.kafka": tuple(table.name for table in SILVER if table.time in {AsOf.EVENTS, AsOf.LATEST}),
    "ingest.images": (IMAGE_FEATURES.name,),
    "ingest.embeddings": (IMAGE_EMBEDDINGS.name, PIN_EMBEDDINGS.name),
}
"""Ingest job -> the silver tables that it writes."""


@dataclass(frozen=True)
class Read:
    """One input of a job: the table and the date that it is read as of."""

    key: str
    """As the job names it."""
    table: str
    as_of: date


@dataclass(frozen=True)
class Step:
    """One job for one as-of date."""

    job: Job
    as_of: date


def job(name: str) -> Job:
    """Return the job called `name`; ConfigError lists the names if there is none."""
    try:
        return JOBS[name]
    except KeyError:
        raise ConfigError(f"No job is called {name!r}.{suggestion(name, JOBS)} There are: {', '.join(JOBS)}.") from None


def outputs(job: Job) -> tuple[str, ...]:
    """Return the tables that a job writes: its own, or for ingest the silver tables of its sources."""
    return (job.writes,) if job.writes else _INGESTED.get(job.name, ())


def reads(job: Job, as_of: date, horizon_days: int) -> list[Read]:
    """Return the inputs of a job for an as-of date."""
    days = {"": 0, "horizon": horizon_days, "yesterday": 1}
    keys = [(key, *key.partition("@")[::2]) for key in (*job.reads, *job.optional_reads)]
    return [Read(key, name, as_of - timedelta(days=days[lag])) for key, name, lag in keys]


def dependencies(steps: Iterable[Step], horizon_days: int = 1) -> dict[Step, set[Step]]:
    """Return, for each step, the other steps of the list that write what it reads: a graph for `graphlib`."""
    steps = list(steps)
    writers: dict[tuple[str, date], set[Step]] = {}
    for step in steps:
        for name in outputs(step.job):
            writers.setdefault((name, step.as_of), set()).add(step)
    inputs = {step: reads(step.job, step.as_of, horizon_days) for step in steps}
    return {step: set().union(*(writers.get((r.table, r.as_of), ()) for r in inputs[step])) - {step} for step in steps}


def job_dependencies(jobs: Iterable[Job] = FLOW) -> dict[str, set[str]]:
    """Return, for each job, the other jobs of the list whose tables of the same date it reads."""
    graph = dependencies(Step(job, date.min + timedelta(days=1)) for job in jobs)
    return {step.job.name: {source.job.name for source in sources} for step, sources in graph.items()}

import re
import subprocess
import sys
from datetime import date, timedelta
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from jobs.common.errors import ConfigError, TableError
from jobs.engine.scheduler import plan
from jobs.flow import FLOW, LAGS, Step, dependencies, job, job_dependencies, reads
from jobs.schema.tables import TABLES, table

ROOT = Path(__file__).resolve().parents[3]
DAY = date(2026, 11, 1)
WEEK = timedelta(days=7)


def test_every_table_a_job_names_is_registered():
    for one in FLOW:
        named = (*one.reads, *one.optional_reads, *([one.writes] if one.writes else []))
        for name in (r.partition("@")[0] for r in named):
            assert name in TABLES, f"{one.name}: {name}"


def test_every_gold_table_has_one_writer_for_each_slice():
    written = [(one.writes, one.sub_partition) for one in FLOW if one.writes]
    assert len(written) == len(set(written))
    assert {name for name, _ in written} == {name for name in TABLES if name.startswith("gold.")}


def test_a_job_reads_only_what_earlier_jobs_wrote():
    seen: set[str] = set()
    for one in FLOW:
        for name in one.reads:
            assert not name.startswith("gold.") or name.endswith(LAGS) or name in seen, f"{one.name} reads {name}"
        seen |= {one.writes} if one.writes else set()


def test_every_function_is_there():
    for one in FLOW:
        module, _, name = one.function.partition(":")
        assert callable(getattr(import_module(module), name)), one.function


def test_every_table_and_column_has_a_sentence():
    for known in TABLES.values():
        assert known.comment.endswith("."), known.name
        assert known.grain, known.name
        assert set(known.keys) <= {c.name for c in known.columns}, known.name
        for column in known.columns:
            assert column.comment.endswith("."), f"{known.name}.{column.name}"


def test_the_flow_imports_no_spark():
    code = "import sys, jobs.flow, jobs.cli.app; print([m for m in ('pyspark', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match=r"ranking\.ranked"):
        job("ranking.rank")
    with pytest.raises(TableError, match=r"gold\.home_feed"):
        table("gold.homefeed")


def test_the_plan_puts_earlier_cuts_first_and_reads_after_writes():
    steps = plan(DAY, 7)
    place = {(s.job.name, s.as_of): n for n, s in enumerate(steps)}
    assert len(place) == len(steps)
    for step in steps:
        for read in reads(step.job, step.as_of, 7):
            for writer in (one for one in FLOW if one.writes == read.table and read.key not in step.job.optional_reads):
                assert place[writer.name, read.as_of] < place[step.job.name, step.as_of]


def test_the_plan_goes_back_one_horizon_and_no_further():
    days = {step.as_of for step in plan(DAY, 7) if step.job.writes}
    assert days == {DAY, DAY - WEEK}
    earlier = {step.job.name for step in plan(DAY, 7) if step.as_of == DAY - WEEK}
    judged = {"ranking.home_feed", "ranking.ranker", "related.pins"}
    assert judged <= earlier, "lists are judged a horizon later"
    assert not {"ranking.evaluations", "related.evaluations", "publish.generation"} & earlier


def test_the_plan_leaves_out_cuts_before_the_data():
    steps = plan(DAY, 7, first=DAY)
    assert {step.as_of for step in steps if step.job.stage != "ingest"} == {DAY}


def test_one_job_brings_what_it_reads():
    names = [step.job.name for step in plan(DAY, 7, [job("related.pins")])]
    features = ["features.interactions", "features.pin_stats"]
    visual = [
        "neighbours.ann_index",
        "neighbours.pin_neighbours",
        "image_dedup.hash_pairs",
        "image_dedup.image_clusters",
    ]
    assert names == [*features, *visual, "candidates.cf_factors", "related.pairs", "related.pins"]
    assert plan(DAY, 7, [job("features.pin_stats")]) == [Step(job("features.pin_stats"), DAY)]


def test_the_dependencies_are_a_graph_in_the_order_of_the_flow():
    graph = job_dependencies()
    names = [one.name for one in FLOW]
    assert set(TopologicalSorter(graph).static_order()) == set(names)
    for name, sources in graph.items():
        assert all(names.index(source) < names.index(name) for source in sources), name
    assert graph["features.pin_stats"] == {"ingest.cdc", "ingest.kafka"}
    assert graph["ranking.home_feed"] == {"ranking.ranked"}
    assert graph["ranking.evaluations"] >= {"features.pin_stats", "ingest.cdc"}
    assert "ranking.home_feed" not in graph["ranking.evaluations"], "it reads the feeds of an earlier date"


def test_a_step_depends_on_steps_of_the_dates_it_reads():
    steps = [Step(job("ranking.home_feed"), DAY - WEEK), Step(job("ranking.home_feed"), DAY)]
    evaluation = Step(job("ranking.evaluations"), DAY)
    graph = dependencies([*steps, evaluation], 7)
    assert graph == {steps[0]: set(), steps[1]: set(), evaluation: {steps[0]}}


def test_publish_declares_all_that_it_reads():
    source = (ROOT / "jobs" / "publish").rglob("*.py")
    named = {name for file in source for name in re.findall(r'"((?:gold|silver)\.\w+)"', file.read_text())}
    assert named <= set(job("publish.generation").reads)

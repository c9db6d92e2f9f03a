"""Writes the first screen of the report: what was published, whether it beats popularity, checks, input."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.report.formatting import count, day, percent, size
from jobs.report.input_faults import BlockedTable, Fault
from jobs.report.quality import FEED, POPULARITY, Estimate, K, Quality
from jobs.report.run_snapshot import Generation, JobRun, Row, RunSnapshot


@dataclass(frozen=True)
class Verdict:
    """One answer on the first screen."""

    tone: str
    """good, note, warn, bad or none (unknown)."""
    title: str
    text: str
    link: str
    """Id of the section with details."""


@dataclass(frozen=True)
class Headline:
    """The first screen."""

    tone: str
    title: str
    lead: str
    verdicts: tuple[Verdict, ...]


def headline(
    snapshot: RunSnapshot, quality: Quality | None, faults: Sequence[Fault], blocked: Sequence[BlockedTable]
) -> Headline:
    """Return the first screen's sentences."""
    tone, title, lead = _outcome(snapshot, quality)
    verdicts = (_published(snapshot), _quality(snapshot, quality), _checks(snapshot), _input(snapshot, faults, blocked))
    return Headline(tone, title, lead, verdicts)


def _outcome(snapshot: RunSnapshot, quality: Quality | None) -> tuple[str, str, str]:
    what = f"for {day(snapshot.as_of)}" if snapshot.as_of else "of ingest"
    generation = snapshot.generation
    if generation and generation.status == "refused":
        return "bad", f"The gate refused the lists {what}", still(snapshot)
    if snapshot.failed:
        run = snapshot.failed[0]
        return "bad", f"The run {what} failed at {run.job.name}", still(snapshot)
    if generation is None:
        ran, jobs = sum(run.row is not None for run in snapshot.runs), len(snapshot.runs)
        lead = f"{ran} of {jobs} jobs have run, none failed. {still(snapshot)}"
        return (
            "note",
            f"Nothing is published {what}" if snapshot.as_of else "Ingest ran; no as-of has used it yet",
            lead,
        )
    keys = surfaces(generation)
    title = (
        f"Published {what}: home feeds for {count(keys['home_feed'], 'user')}, "
        f"related pins beside {count(keys['related_pins'], 'pin')}"
    )
    return "good", title, _lead(snapshot, generation, quality)


def _lead(snapshot: RunSnapshot, generation: Generation, quality: Quality | None) -> str:
    judged = (
        {
            "better": "The newest feeds that can be evaluated beat popularity, beyond chance. ",
            "worse": "The newest feeds that can be evaluated did worse than popularity, beyond chance. ",
            "unclear": "The newest feeds that can be evaluated differ from popularity by no more than chance. ",
        }[quality.verdict]
        if quality
        else ""
    )
    states = [run.status for run in snapshot.runs]
    missing, warned = states.count("missing"), states.count("warned")
    ran = f"All but {count(missing, 'job')} ran" if missing else "Every job ran"
    fine = f"{ran}, {warned} with a warning." if warned else f"{ran} and every check held."
    current = snapshot.served and snapshot.served.name == generation.name
    serving = "It is what the online store serves" if current else still(snapshot).rstrip(".")
    return f"{judged}{fine} {serving}."


def still(snapshot: RunSnapshot) -> str:
    """Return a sentence on the generation that is served after a failure."""
    if snapshot.served is None:
        return "Nothing has been published before, so nothing is served."
    verb = "still serves" if snapshot.until is None else "served on"
    day = f" of {snapshot.served.as_of}" if snapshot.served.as_of else ""
    same = snapshot.generation and snapshot.generation.name == snapshot.served.name
    return f"{'Generation' if same else 'The earlier generation'} {snapshot.served.name}{day} {verb}."


def surfaces(generation: Generation | None) -> dict[str, int]:
    """Return the keys of each surface of a generation; 0 where it has none."""
    found = generation.manifest.get("content", {}).get("surfaces", {}) if generation else {}
    names = ("home_feed", "related_pins", "pin_cards", "fallback")
    return {name: found.get(name, {}).get("keys", 0) for name in names}


def _published(snapshot: RunSnapshot) -> Verdict:
    generation = snapshot.generation
    if generation is None:
        tone = "bad" if snapshot.failed else "none"
        return Verdict(tone, "Not published", still(snapshot), "flow")
    if generation.status == "refused":
        return Verdict("bad", "Refused by the gate", still(snapshot), "gate")
    keys, content = surfaces(generation), generation.manifest.get("content", {})
    arms = ", ".join(f"{arm or 'no arm'} {users:,}" for arm, users in generation.manifest.get("arms", {}).items())
    text = (
        f"{generation.name}, {generation.at:%d %b %H:%M} UTC: {count(content.get('keys', 0), 'key')}, "
        f"{size(content.get('bytes'))}, every one read back. {count(keys['fallback'], 'fallback')} for everybody else."
        + (f" Arms: {arms}." if arms else "")
    )
    return Verdict("good", "Published", text, "feeds")


def _quality(snapshot: RunSnapshot, quality: Quality | None) -> Verdict:
    feed = quality.of(FEED, "hr") if quality else None
    popular = quality.of(POPULARITY, "hr") if quality else None
    if quality is None or feed is None or popular is None:
        evaluation = snapshot.run("ranking.evaluations")
        ran = evaluation is not None and evaluation.status in {"ok", "warned"}
        text = "Feeds are evaluated `horizon_days` later, on saves made since: none is old enough yet."
        text = text if ran else "ranking.evaluations, which evaluates the feeds of `horizon_days` ago, has not run."
        return Verdict("none", "Not evaluated yet", text, "quality")
    ndcg = [found.value for found in (quality.of(FEED, "ndcg"), quality.of(POPULARITY, "ndcg")) if found]
    text = (
        f"Of {count(feed.users, 'user')} who saved something new, {percent(feed.value)} had it among their first {K} "
        f"places ({interval(feed)}); by popularity {percent(popular.value)} ({interval(popular)})."
        + (f" NDCG@{K} {ndcg[0]:.3f} against {ndcg[1]:.3f}." if len(ndcg) == 2 else "")
    )
    title, tone = {
        "better": ("Better than popularity", "good"),
        "worse": ("Worse than popularity", "bad"),
        "unclear": ("No clear difference to popularity", "warn"),
    }[quality.verdict]
    return Verdict(tone, title, text, "quality")


def interval(found: Estimate) -> str:
    """Return a share's 95 % interval in words; empty where it has none."""
    if found.lower is None or found.upper is None:
        return ""
    return f"{max(found.lower, 0) * 100:.1f} to {found.upper * 100:.1f} %"


def _checks(snapshot: RunSnapshot) -> Verdict:
    broken = [check for run in snapshot.runs for check in run.broken]
    critical = [check for check in broken if check["severity"] == "critical"]
    all_ = sum(len(run.checks) for run in snapshot.runs)
    if not all_:
        return Verdict("none", "Nothing was checked", "No job came so far.", "flow")
    if critical:
        return Verdict("bad", count(len(critical), "critical check") + " failed", _named(critical), "failed")
    if broken:
        return Verdict("warn", count(len(broken), "warning"), _named(broken), "flow")
    return Verdict("good", "Every check held", f"{count(all_, 'expectation')} of Great Expectations.", "flow")


def _named(checks: Sequence[Row]) -> str:
    rows = [f"{check['suite']}: {check['column']} is {check['observed'] or 'null'}" for check in checks[:3]]
    more = f", and {len(checks) - 3} more" if len(checks) > 3 else ""
    return "; ".join(rows) + more + "."


def _input(snapshot: RunSnapshot, faults: Sequence[Fault], blocked: Sequence[BlockedTable]) -> Verdict:
    rows = ingest_counts(snapshot)
    read, bad = rows.get("read", 0), sum(fault.new for fault in faults)
    if blocked:
        names = ", ".join(one.table for one in blocked[:3])
        return Verdict("warn", f"{count(len(blocked), 'source table')} blocked", f"{names}: see why.", "input")
    if bad:
        share = f" ({percent(bad / read)} of {read:,})" if read else ""
        return Verdict(
            "note",
            f"{count(bad, 'row')} quarantined",
            f"Not usable{share}, kept with place and reason. No table is blocked.",
            "input",
        )
    if not any(run.row for run in _ingest(snapshot)):
        return Verdict("none", "Nothing was ingested", "No run of ingest is known.", "input")
    return Verdict(
        "good", "All input was used", f"{count(read, 'row')} read, none quarantined, no table blocked.", "input"
    )


def ingest_counts(snapshot: RunSnapshot) -> dict[str, int]:
    """Return what the runs of ingest counted, added up."""
    total: dict[str, int] = {}
    for run in _ingest(snapshot):
        for name, number in (run.row["counts"] if run.row else {}).items():
            total[name] = total.get(name, 0) + number
    return total


def _ingest(snapshot: RunSnapshot) -> list[JobRun]:
    return [run for run in snapshot.runs if run.job.stage == "ingest"]

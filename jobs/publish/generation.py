"""The publish job: gate the lists, load them beside the served ones, verify, move the pointer.

In: gold and silver of one cut. Out: a generation in the store, named by its content, and its fate in
ops.generations. The pointer moves last, so a failure or a kill anywhere leaves the served generation as it was;
running again finishes or finds that there is nothing to do.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import GateRefusedError, StoreError, TableError, ValidationFailedError
from jobs.engine.context import ActionContext, ActionResult
from jobs.publish import encode_pairs as rows
from jobs.publish import gate
from jobs.publish import generation_log as journal
from jobs.publish.fallback import fallback_feed
from jobs.publish.generations import decode_all, prune
from jobs.publish.load import content_of, load, sample_keys, verify
from jobs.serving.manifest import Manifest
from jobs.serving.models import Pointer
from jobs.serving.reader import View
from jobs.serving.stores import Store, configured

NAN = float("nan")


@dataclass(frozen=True)
class Build:
    """A generation on its way."""

    manifest: Manifest
    pairs: DataFrame
    tables: Mapping[str, DataFrame]
    fallback: DataFrame

    @property
    def name(self) -> str:
        """Return the generation's name."""
        return self.manifest.generation


def run(work: ActionContext) -> ActionResult:
    """Publish the lists of the cut.

    Raises:
        TableError: an input is missing or there are no feeds at the cut.
        GateRefusedError: the lists are not fit to be served.
        StoreError: the store did not give back what was loaded.
        ConcurrentRunError: another publisher is at work, or moved the pointer.
    """
    publish = work.context.settings.publish
    store = configured(publish, str(work.options.get("store") or publish.path))
    with store.lease():
        for left in store.gc():
            work.progress(f"removed {left}: retired, or left by an interrupted run")
        served = store.read_pointer()
        journal.catch_up(work, store.kind, served)
        if work.unchanged and served is not None:
            manifest = _served_manifest(store, served)
            if manifest is not None and _is_current(work, manifest):
                work.progress(f"{served.current} is already served, made from the same inputs: nothing to do")
                return _nothing_loaded(manifest)
        tables = work.tables()
        stats, trending = tables["gold.pin_stats"], tables["gold.trending"]
        with (
            _kept(fallback_feed(stats, trending, publish)) as fallback,
            _kept(_pairs(tables, fallback, work.context.as_of)) as pairs,
        ):
            build = Build(_manifest(work, pairs, tables, served), pairs, tables, fallback)
            return _publish(work, store, build, served)


def _is_current(work: ActionContext, manifest: Manifest) -> bool:
    """Return whether a generation was made from these versions of the inputs, by these settings."""
    same_inputs = manifest.as_of == work.context.as_of and manifest.inputs == _versions(work)
    return same_inputs and manifest.config_hash == _config_hash(work)


def _served_manifest(store: Store, served: Pointer) -> Manifest | None:
    """Return the manifest of the served generation, None if it cannot be read: the generation is then made again."""
    try:
        with store.open(served.current) as opened:
            return View(served.current, opened).manifest()
    except StoreError:
        return None


def _nothing_loaded(manifest: Manifest) -> ActionResult:
    counts = {surface: size["keys"] for surface, size in manifest.content.surfaces.items()}
    return ActionResult(manifest.content.keys, counts | {"loaded": 0}, detail=manifest.plain())


def _versions(work: ActionContext) -> dict[str, int]:
    """Return the versions of the inputs that exist."""
    return {name: version for name, version in work.inputs.items() if version >= 0}


@contextmanager
def _kept(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame on the executors' disks while several jobs read it."""
    kept = frame.persist(StorageLevel.DISK_ONLY)
    try:
        yield kept
    finally:
        kept.unpersist()


def _publish(work: ActionContext, store: Store, build: Build, served: Pointer | None) -> ActionResult:
    name, content = build.name, build.manifest.content
    counts = {surface: size["keys"] for surface, size in content.surfaces.items()}
    if served and served.current == name:
        work.progress(f"{name} is already served: the lists are the same, nothing to do")
        return _nothing_loaded(build.manifest)
    work.progress("gate")
    build = replace(build, manifest=replace(build.manifest, gate=_gate(work, store, build, served)))
    there = name in store.generations()
    if there:
        work.progress(f"{name} is in the store already: verify and serve it")
    else:
        work.progress(f"load {content.keys} keys into {name}")
        load(store, name, build.pairs, content)
    try:
        work.progress("verify")
        _verify(work, store, build)
    except StoreError:
        with suppress(StoreError):  # a server that is away is why it failed; the next run's sweep makes up for it
            store.drop(name)  # what cannot be read back is loaded anew next time
        raise
    if not there:
        store.commit(name, build.manifest.value())
    moved = store.promote(served, name)
    work.progress(f"serving {name}, before it {moved.previous or 'nothing'}")
    retired = prune(store, work.context.settings.publish.keep_generations)
    journal.published(work, store.kind, build.manifest, new=not there, retired=retired)
    return ActionResult(content.keys, counts | {"loaded": 0 if there else content.keys}, detail=build.manifest.plain())


def _pairs(tables: Mapping[str, DataFrame], fallback: DataFrame, as_of: date) -> DataFrame:
    feed, related = tables["gold.home_feed"], tables["gold.related_pins"]
    public = rows.public_pins(tables["silver.app_pins"], tables["silver.app_boards"])
    return rows.union(
        [
            rows.feed_pairs(feed, as_of),
            rows.related_pairs(related, as_of),
            rows.fallback_pairs(fallback, as_of),
            rows.card_pairs(rows.shown_pins([feed, fallback], related), public),
        ]
    )


def _manifest(
    work: ActionContext,
    pairs: DataFrame,
    tables: Mapping[str, DataFrame],
    served: Pointer | None,
) -> Manifest:
    content = content_of(pairs)
    if "home_feed" not in content.surfaces:
        raise TableError(
            f"gold.home_feed has no rows for as-of {work.context.as_of}: run the jobs before publish first, "
            f"`pinlake flow --as-of {work.context.as_of}`."
        )
    arms = tables["gold.home_feed"].groupBy("arm").agg(F.countDistinct("user_id").alias("users"))
    return Manifest(
        generation=content.name(work.context.as_of),
        as_of=work.context.as_of,
        content=content,
        parent=served.current if served else "",
        inputs=_versions(work),
        arms={row["arm"] or "": row["users"] for row in sorted(arms.collect())},  # bounded: one row an arm
        config_hash=_config_hash(work),
        run_id=work.run_id,
        loaded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _config_hash(work: ActionContext) -> str:
    # folders and Spark say where it ran, not what it is
    text = work.context.settings.model_dump_json(exclude={"platform"})
    return sha256(text.encode()).hexdigest()[:16]


def _gate(work: ActionContext, store: Store, build: Build, served: Pointer | None) -> dict[str, float | None]:
    publish = work.context.settings.publish
    before = _served_feed(work, store, served)
    measured = gate.measure(build.tables, before, publish.short_feed, publish.churn_depth, build.fallback)
    try:
        # NaN stands for "could not be measured": null to the suite
        work.validate("generation", {name: NAN if n is None else n for name, n in measured.numbers.items()})
    except ValidationFailedError as error:
        refused = replace(build.manifest, gate=measured.numbers)
        journal.refused(work, store.kind, refused)
        said = "".join(f" {offender}." for offender in measured.offenders)
        still = f"Generation {served.current} stays served." if served else "Nothing is served yet."
        raise GateRefusedError(f"Generation {build.name} is not fit to be served: {error}{said} {still}") from error
    return measured.numbers


def _served_feed(work: ActionContext, store: Store, served: Pointer | None) -> DataFrame | None:
    """Return the feeds the served generation was made from, as the lake still has them."""
    if served is None:
        return None
    try:
        with store.open(served.current) as opened:
            manifest = View(served.current, opened).manifest()
        feed = work.lake.read("gold.home_feed", manifest.inputs["gold.home_feed"])
    except (StoreError, TableError, KeyError) as error:
        work.progress(f"no comparison with {served.current}: {error}")
        return None
    return feed.where(F.col("as_of") == F.lit(manifest.as_of))


def _verify(work: ActionContext, store: Store, build: Build) -> None:
    verify(store, build.name, build.pairs, build.manifest.content)
    keys = sample_keys(build.pairs, build.manifest.content, work.context.settings.publish.verify_sample)
    with store.open(build.name) as opened:
        decoded = decode_all(build.name, zip(keys, opened.get_many(keys), strict=True))
    work.progress(f"read back {build.manifest.content.keys} keys, decoded {decoded}")

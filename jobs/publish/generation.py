"""The publish job: checks the lists, loads them next to the served generation, verifies, promotes.

In: gold and silver of one as-of. Out: a generation in the store, named by its content, and its events in
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
from jobs.publish import encode_pairs, gate, generation_log
from jobs.publish.fallback import fallback_feed
from jobs.publish.generations import decode_all, prune
from jobs.publish.load import content_of, load, sample_keys, verify
from jobs.serving.manifest import Manifest
from jobs.serving.models import Pointer
from jobs.serving.reader import View
from jobs.serving.registry import configured
from jobs.serving.stores import Store

NAN = float("nan")


@dataclass(frozen=True)
class Build:
    """A generation being published."""

    manifest: Manifest
    pairs: DataFrame
    tables: Mapping[str, DataFrame]
    fallback: DataFrame

    @property
    def name(self) -> str:
        """Return the generation's name."""
        return self.manifest.generation


def run(work: ActionContext) -> ActionResult:
    """Publish the lists of the as-of.

    Raises:
        TableError: an input is missing or the as-of has no feeds.
        GateRefusedError: the gate refused the lists.
        StoreError: values read back differ from those loaded.
        ConcurrentRunError: another publisher is running, or moved the pointer.
    """
    publish = work.context.settings.publish
    store = configured(publish, str(work.options.get("store") or publish.path))
    with store.lease():
        for name in store.gc():
            work.progress(f"removed {name}: pruned, or left by an interrupted run")
        served = store.read_pointer()
        generation_log.catch_up(work, store.kind, served)
        if work.unchanged and served is not None:
            manifest = _served_manifest(store, served)
            if manifest is not None and _is_current(work, manifest):
                work.progress(f"{served.current} is already served, made from the same inputs: nothing to do")
                return _nothing_loaded(manifest)
        tables = work.tables()
        stats, trending = tables["gold.pin_stats"], tables["gold.trending"]
        with (
            _persisted(fallback_feed(stats, trending, publish)) as fallback,
            _persisted(_pairs(tables, fallback, work.context.as_of)) as pairs,
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
def _persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame on the executors' disks while several jobs read it."""
    persisted = frame.persist(StorageLevel.DISK_ONLY)
    try:
        yield persisted
    finally:
        persisted.unpersist()


def _publish(work: ActionContext, store: Store, build: Build, served: Pointer | None) -> ActionResult:
    name, content = build.name, build.manifest.content
    counts = {surface: size["keys"] for surface, size in content.surfaces.items()}
    if served and served.current == name:
        work.progress(f"{name} is already served: the lists are the same, nothing to do")
        return _nothing_loaded(build.manifest)
    work.progress("gate")
    build = replace(build, manifest=replace(build.manifest, gate=_gate(work, store, build, served)))
    exists = name in store.generations()
    if exists:
        work.progress(f"{name} is in the store already: verify and serve it")
    else:
        work.progress(f"load {content.keys} keys into {name}")
        load(store, name, build.pairs, content)
    try:
        work.progress("verify")
        _verify(work, store, build)
    except StoreError:
        with suppress(StoreError):  # a server that is away is why it failed; the next run's gc removes it
            store.drop(name)  # values that cannot be read back are reloaded by the next run
        raise
    if not exists:
        store.commit(name, build.manifest.value())
    pointer = store.promote(served, name)
    work.progress(f"serving {name}, before it {pointer.previous or 'nothing'}")
    pruned = prune(store, work.context.settings.publish.keep_generations)
    generation_log.published(work, store.kind, build.manifest, new=not exists, pruned=pruned)
    return ActionResult(content.keys, counts | {"loaded": 0 if exists else content.keys}, detail=build.manifest.plain())


def _pairs(tables: Mapping[str, DataFrame], fallback: DataFrame, as_of: date) -> DataFrame:
    feed, related = tables["gold.home_feed"], tables["gold.related_pins"]
    public = encode_pairs.public_pins(tables["silver.app_pins"], tables["silver.app_boards"])
    return encode_pairs.union(
        [
            encode_pairs.feed_pairs(feed, as_of),
            encode_pairs.related_pairs(related, as_of),
            encode_pairs.fallback_pairs(fallback, as_of),
            encode_pairs.card_pairs(encode_pairs.shown_pins([feed, fallback], related), public),
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
    # folders and Spark settings do not change what is published
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
        generation_log.refused(work, store.kind, refused)
        cases = "".join(f" {offender}." for offender in measured.offenders)
        still = f"Generation {served.current} stays served." if served else "Nothing is served yet."
        raise GateRefusedError(f"Generation {build.name} was refused by the gate: {error}{cases} {still}") from error
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

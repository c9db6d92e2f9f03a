"""Mutation test by hand: a list of small faults, each put into a copy of the code, and the tests that must notice it.

    python -m tests.mutants                  all of them; ends with 1 if one survives
    python -m tests.mutants --room knn       those of one package
    python -m tests.mutants --tree ../other  the same faults in another checkout, to compare before and after a change

The tests must pass before (`make mutants` sees to that). The code is copied first: the checkout is never changed. A
fault whose text no longer occurs exactly once is reported as not fitting: write it again where the code went.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("jobs", "dags", "tests", "conf", "expectations", "docs", "pyproject.toml", "README.md", "CHANGELOG.md")


@dataclass(frozen=True)
class Mutant:
    """A fault: `before` occurs once in `jobs/<module>` and is replaced by `after`; one of `tests` must fail."""

    module: str
    before: str
    after: str
    tests: str

    def __str__(self) -> str:
        return f"{self.module}: {self.before!r} -> {self.after!r}"


MUTANTS = (
    Mutant(
        "common/intervals.py", "/ (n - 1) / n)", "/ n / n)", "unit/core/test_intervals.py unit/ranking/test_metrics.py"
    ),
    Mutant(
        "common/intervals.py", "sign = 1.0 if place == 0", "sign = 1.0 if place == 1", "unit/core/test_intervals.py"
    ),
    Mutant("common/redaction.py", "key=len, reverse=True", "key=len, reverse=False", "unit/core/test_redaction.py"),
    Mutant("candidates/search.py", "!= keys) & ~own", "!= keys) | ~own", "unit/candidates/test_search.py"),
    Mutant("candidates/search.py", "line, column] - 1", "line, column]", "unit/candidates/test_search.py"),
    Mutant("features/taste.py", "where=norms > 1e-6", "where=norms > 1.0", "unit/features/test_taste.py"),
    Mutant(
        "history/conversions.py", "len(text) <= most else", "len(text) < most else", "unit/ingest/test_conversions.py"
    ),
    Mutant("history/conversions.py", "<= 2 * most else", "<= most else", "unit/ingest/test_conversions.py"),
    Mutant(
        "history/conversions.py",
        'text.startswith("-") and float',
        'text.startswith("-") or float',
        "unit/ingest/test_conversions.py",
    ),
    Mutant("image_dedup/blocks.py", "0 <= radius <=", "0 < radius <=", "unit/image_dedup/test_hamming.py"),
    Mutant("image_dedup/hamming.py", "^ lower) <= radius", "^ lower) < radius", "unit/image_dedup/test_hamming.py"),
    Mutant("image_dedup/hamming.py", "(1 << bits) - 1)", "(1 << bits) - 2)", "unit/image_dedup/test_hamming.py"),
    Mutant("image_dedup/sorted_runs.py", "and size >= least", "and size > least", "unit/image_dedup/test_runs.py"),
    Mutant("image_dedup/files.py", "array.shape[1] == 8", "array.shape[1] != 8", "unit/image_dedup"),
    Mutant("ingest/tidb/blocks.py", 'rfind(b"\\n") + 1', 'rfind(b"\\n")', "unit/ingest/test_blocks.py"),
    Mutant("ingest/tidb/ddl/indexes.py", "part[0].value.lower()", "part[0].value", "unit/ingest/test_definitions.py"),
    Mutant(
        "ingest/tidb/rows/canonical.py",
        'if column.kind == "text" else 2 *',
        'if column.kind != "text" else 2 *',
        "unit/ingest/test_canonical.py",
    ),
    Mutant(
        "ingest/tidb/rows/canonical.py",
        "if is_key and at.utcoffset() !=",
        "if at.utcoffset() ==",
        "unit/ingest/test_canonical.py",
    ),
    Mutant(
        "ingest/tidb/ticdc/canal_lines.py",
        'op == "U" and len(old)',
        'op == "D" and len(old)',
        "unit/ingest/test_canal.py unit/ingest/test_canal_columns.py",
    ),
    Mutant("ingest/tidb/absent.py", "snapshot.tso > at", "snapshot.tso < at", "unit/ingest/test_absent.py"),
    Mutant(
        "ingest/tidb/dumpling/options.py",
        "if not quoted and value",
        "if quoted and value",
        "unit/ingest/test_dump_dialects.py",
    ),
    Mutant(
        "ingest/tidb/dumpling/sql.py",
        "match(content, at + 1)",
        "match(content, at + 2)",
        "unit/ingest/test_dump_formats.py unit/ingest/test_exports.py",
    ),
    Mutant(
        "ingest/tidb/ticdc/csv_options.py",
        "seen.strange and not seen.old",
        "seen.strange or not seen.old",
        "unit/ingest/test_csv_options.py unit/ingest/test_feed_csv.py",
    ),
    Mutant(
        "ingest/images/decode.py", "len(raw) > 24 else 8", "len(raw) > 24 else 16", "unit/ingest/test_image_metadata.py"
    ),
    Mutant("ingest/loading/codecs.py", "> len(raw) - at", "> len(raw) - at + 1", "unit/ingest/test_codecs.py"),
    Mutant("knn/tuning.py", "max(0.0, mean - half)", "max(0.0, mean + half)", "unit/knn/test_join.py"),
    Mutant("knn/npy.py", 'or b"\\0" in begin', 'and b"\\0" in begin', "unit/knn/test_knn_inputs.py"),
    Mutant(
        "knn/source.py",
        "max(axis=1, initial=0)",
        "min(axis=1, initial=0)",
        "unit/knn/test_join.py unit/knn/test_knn_inputs.py",
    ),
    Mutant(
        "knn/brute_force.py", "near != rows[:, None]", "near >= 0", "unit/neighbours/test_neighbour_blocks.py unit/knn"
    ),
    Mutant("knn/brute_force.py", "n * i // count", "n * i // count + (i == 1)", "unit/neighbours unit/knn"),
    Mutant("knn/listmajor.py", "probes[probes >= 0]", "probes[probes > 0]", "unit/knn"),
    Mutant("knn/sharded/packed_vectors.py", '!= values["checksum"]', '== values["checksum"]', "unit/knn"),
    Mutant("lake/vectors.py", "lengths != width", "lengths > width", "unit/core/test_vectors.py"),
    Mutant("publish/diff.py", "one[0] < other[0]", "one[0] <= other[0]", "unit/publish/test_diff.py"),
    Mutant("ranking/metrics.py", "(counts - 1) / 2.0", "counts / 2.0", "unit/ranking/test_metrics.py"),
    Mutant("ranking/metrics.py", "wins == 0 or losses == 0", "wins == 0 and losses == 0", "unit/ranking"),
    Mutant("ranking/diversify.py", "mask=result == 0", "mask=result == 1", "unit/ranking/test_diversify.py"),
    Mutant("ranking/blocks.py", "ids[1:] != ids[:-1]) + 1", "ids[1:] != ids[:-1])", "unit/ranking/test_diversify.py"),
    Mutant("reconcile/database.py", ".high == one.low", ".high >= one.low", "unit/reconcile"),
    Mutant("reconcile/compare.py", "max(r.high for r in", "min(r.high for r in", "unit/reconcile"),
    Mutant("related/choose.py", ">= self.owner_cap", "> self.owner_cap", "unit/related/test_choose.py"),
    Mutant("related/choose.py", "or pin.signature in self.signatures", "", "unit/related/test_choose.py"),
    Mutant("report/formatting.py", "if low == high else", "if low != high else", "unit/report"),
    Mutant("report/layout.py", "edges[job.name] <= seen", "edges[job.name] >= seen", "unit/report/test_layout.py"),
    Mutant("serving/codec.py", "len(set(lengths)) > 1", "len(set(lengths)) > 2", "unit/publish"),
    Mutant("settings/ingest.py", "0 <= value <= most", "0 <= value", "unit/ingest/test_embed_names.py"),
    Mutant(
        "settings/cross_checks.py",
        "ranking.mmr_pool < ranking",
        "ranking.mmr_pool > ranking",
        "unit/core/test_settings.py",
    ),
    Mutant("settings/cross_checks.py", "trend_days > features", "trend_days < features", "unit/core/test_settings.py"),
    Mutant(
        "simulator/column_times.py", "(values // (step // 1000))", "(values // step)", "unit/simulator/test_reading.py"
    ),
    Mutant("simulator/table_lists.py", "(raw < 48) | (raw > 57)", "(raw < 48) | (raw > 56)", "unit/simulator"),
    Mutant("simulator/rng.py", "x ^ (x >> np.uint64(31))", "x ^ (x >> np.uint64(30))", "unit/simulator"),
    Mutant("validate/suites.py", 'if key != "column"', 'if key == "column"', "unit/validate/test_suites.py"),
    Mutant("cli/grid.py", "value is None or isinstance", "value is not None or isinstance", "unit/core/test_grid.py"),
    Mutant("engine/plan.py", "step.as_of < first", "step.as_of <= first", "unit/core/test_flow.py"),
)
"""Over all packages that have tests without a JVM: these run in seconds."""


def locate(tree: Path, mutant: Mutant) -> Path | None:
    """Return the file of the fault: the one named, else the only one in `jobs/` that holds its text."""
    named = tree / "jobs" / mutant.module
    if named.is_file() and named.read_text().count(mutant.before) == 1:
        return named
    holders = [path for path in (tree / "jobs").rglob("*.py") if path.read_text().count(mutant.before) == 1]
    return holders[0] if len(holders) == 1 else None


def tests_of(tree: Path, mutant: Mutant) -> list[str]:
    """Return the test files that the tree has of those named, and of a file that it lacks the whole folder."""
    paths = [Path("tests", name) for name in mutant.tests.split()]
    return sorted({str(path if (tree / path).exists() else path.parent) for path in paths})


@contextmanager
def replaced(file: Path, before: str, after: str) -> Iterator[None]:
    """Put the fault into a file, and take it out again."""
    text = file.read_text()
    file.write_text(text.replace(before, after))
    try:
        yield
    finally:
        file.write_text(text)


def first_failure(tree: Path, tests: list[str]) -> str | None:
    """Run tests in a tree; return the name of the first that fails, or whose fixture does."""
    quiet = ["-x", "-q", "-rfE", "-p", "no:cacheprovider", "-m", "not spark and not long"]
    env = os.environ | {"PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-B", "-m", "pytest", *quiet, *tests]
    done = subprocess.run(line, cwd=tree, env=env, check=False, capture_output=True, text=True)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else None


def verdict(tree: Path, mutant: Mutant) -> str:
    """Return what becomes of a fault: killed by a test, survived, or does not fit."""
    file = locate(tree, mutant)
    if file is None:
        return "does not fit"
    with replaced(file, mutant.before, mutant.after):
        failed = first_failure(tree, tests_of(tree, mutant))
    return f"killed by {failed}" if failed else "survived"


def copy_of(tree: Path, folder: Path) -> Path:
    """Copy what tests need of a checkout; return the copy."""
    for name in COPIED:
        source = tree / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def main() -> int:
    """Try the faults and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout to test (default: this one)")
    parser.add_argument("--room", default="", help="only faults of this package of jobs/")
    parser.add_argument("--every", type=int, default=1, help="only one fault of so many")
    parser.add_argument("--fits", action="store_true", help="only say which faults do not fit; run nothing")
    chosen = parser.parse_args()
    mutants = [one for one in MUTANTS if one.module.startswith(chosen.room)][:: chosen.every]
    if chosen.fits:
        lost = [one for one in mutants if locate(chosen.tree, one) is None]
        print(*(f"does not fit  {one}" for one in lost), f"{len(lost)} of {len(mutants)} do not fit", sep="\n")
        return bool(lost)
    with tempfile.TemporaryDirectory() as scratch:
        tree = copy_of(chosen.tree.resolve(), Path(scratch))
        counts: Counter[str] = Counter()
        for mutant in mutants:
            result = verdict(tree, mutant)
            counts[result.partition(" by ")[0]] += 1
            print(f"{mutant}: {result}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return 0 if set(counts) == {"killed"} else 1


if __name__ == "__main__":
    sys.exit(main())

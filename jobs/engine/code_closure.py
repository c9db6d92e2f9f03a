"""Digest of the source files that a job's result depends on, found by reading their imports (docs/adr/0049).

In: source files below jobs/. Out: digests. Nothing is imported, so Spark is not started.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jobs.schema.job import Job

ROOT = Path(__file__).resolve().parents[2]
"""Folder that holds jobs/."""
BY_VALUE = "jobs.settings"
"""Package left out: a run compares the values of the settings that it read, whatever code produced them."""
AROUND = ("jobs.history.as_of", "jobs.lake.delta", "jobs.lake.table_frames")
"""Modules that read the inputs and write the output of every job; with all that they import."""
AROUND_ALONE = ("jobs.engine.runner", "jobs.engine.input_resolver")
"""Modules that call them; without what they import, which schedules, validates and logs."""


def job_digest(job: Job, root: Path = ROOT) -> str:
    """Return a digest of a job's definition and of the source files that its result depends on."""
    digest = hashlib.sha256(repr((job.function, job.reads, job.optional_reads, job.writes, job.sub_partition)).encode())
    for file in job_files(job, root):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + _source(file))
    return digest.hexdigest()[:16]


def job_files(job: Job, root: Path = ROOT) -> list[Path]:
    """Return the source files that a job's result depends on, sorted."""
    files: set[Path] = {path for name in AROUND_ALONE for path in _files(name, root)}
    waiting = [job.function.partition(":")[0], *AROUND]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for file in _files(name, root):
            files.add(file)
            waiting += _imports(file, root)
    return sorted(files)


@cache
def _files(module: str, root: Path) -> list[Path]:
    """Return the file of a module and the `__init__.py` of the packages above it; none outside jobs/."""
    if module.split(".", 1)[0] != "jobs" or f"{module}.".startswith(f"{BY_VALUE}."):
        return []
    parts = module.split(".")
    packages = [root.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
    return [file for file in (*packages, root.joinpath(*parts).with_suffix(".py")) if file.is_file()]


def _imports(file: Path, root: Path) -> list[str]:
    """Return the modules below jobs/ that a file imports."""
    return [name for name in _imported_names(_source(file)) if _files(name, root)]


@cache
def _imported_names(source: bytes) -> tuple[str, ...]:
    """Return the names that a source imports, in functions too, but not those for type checking alone."""
    names: dict[str, None] = {}
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # an imported name may be a module of the package
            names |= dict.fromkeys((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    return tuple(name for name in names if name.startswith("jobs."))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield all statements, nested ones too, but for those under `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


@cache
def _source(file: Path) -> bytes:
    return file.read_bytes()

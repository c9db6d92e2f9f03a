"""Spark's daemon of Python workers, started so that a task costs what it does, and not 0.3 CPU-seconds besides.

Spark puts `pyspark.zip` and a jar first on the path of its workers, and every task begins by clearing the caches of
imports, upon which Python reads the whole directory of each archive again. Where pyspark is installed these archives
are of no use: they leave the path before anything is imported. What every worker needs is imported before workers are
forked, and kept from the garbage collection that ends each task.

Spark starts this module in place of `pyspark.daemon` (`spark.python.daemon.module`).
"""

import gc
import importlib.util
import runpy
import sys
import zipimport
from importlib.machinery import PathFinder


def without_archives(path: list[str]) -> list[str]:
    """Return the path without archives, if pyspark and py4j are to be had without them; else the path as it is."""
    folders = [entry for entry in path if not entry.endswith((".zip", ".jar"))]
    installed = all(PathFinder.find_spec(name, folders) is not None for name in ("pyspark", "py4j"))
    return folders if installed else path


def main() -> None:
    """Run Spark's own daemon."""
    sys.path[:] = without_archives(sys.path)
    for entry, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimport.zipimporter) and entry not in sys.path:
            del sys.path_importer_cache[entry]
    if importlib.util.find_spec("pyarrow") is not None:
        import pyarrow  # noqa: F401
    gc.freeze()
    runpy.run_module("pyspark.daemon", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

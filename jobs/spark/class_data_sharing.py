"""An archive of the classes a session loads: made once at set-up, it saves every later start some 8 seconds of 20.

Java's class data sharing (JEP 350): a JVM that is told the archive maps its classes instead of reading, checking and
linking 20,000 of them. An archive fits one Java and one class path; its name says which, and where none fits the
session starts without (docs/adr/0047 has the figures).
"""

import hashlib
from pathlib import Path

from jobs.spark.jars import jar_paths, java_says


def archive_path(work: Path) -> Path:
    """Return where the archive for this Java and these jars lies, or would: the same however `work` is written."""
    import pyspark

    folder = (work / "jars").resolve()
    home = str(Path(pyspark.__file__).resolve().parent)
    parts = [java_says(), pyspark.__version__, home, *map(str, jar_paths(folder))]
    return folder / f"classes-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:12]}.jsa"


def java_options(work: Path) -> str:
    """Return the option that uses the archive; empty where there is none that fits."""
    path = archive_path(work)
    # without -Xlog the JVM warns on stdout about classes that a newer archive would hold
    return f"-XX:SharedArchiveFile={path.resolve()} -Xshare:auto -Xlog:cds=off" if path.exists() else ""

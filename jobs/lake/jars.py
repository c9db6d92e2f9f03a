"""Delta's two jars, fetched once by the Ivy that Spark itself resolves with, afterwards taken from disk.

They are in no wheel. Passing them by class path saves the resolver's seconds at every start of a session.
"""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from jobs.errors import EnvironmentMissing

DELTA_VERSION = "4.4.0"  # the newest whose jars are in the public repository; 4.4.1's are not
ARTIFACTS = ("delta-spark_4.1_2.13", "delta-storage")


def jar_paths(folder: Path) -> list[Path]:
    """Return where the jars lie, or would."""
    return [folder / f"{name}-{DELTA_VERSION}.jar" for name in ARTIFACTS]


def ensure_jars(folder: Path) -> list[Path]:
    """Return the jars, fetching those that are missing.

    Raises:
        EnvironmentMissing: there is no Java, or the repository did not answer.
    """
    paths = jar_paths(folder)
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in zip(ARTIFACTS, paths, strict=True):
            if not path.exists():
                _fetch(name, path)
    return paths


def require_java() -> str:
    """Return the java program; EnvironmentMissing says how to get one."""
    java = shutil.which("java")
    if java is None:
        raise EnvironmentMissing(
            "No java on PATH: Spark needs Java 17. On Debian: apt-get install openjdk-17-jre-headless; "
            "elsewhere any JRE 17, then make sure `java -version` answers."
        )
    return java


@cache
def java_says() -> str:
    """Return what `java -version` prints, asked once a process."""
    done = subprocess.run([require_java(), "-version"], capture_output=True, text=True, check=False)
    return done.stderr or done.stdout


def _fetch(name: str, path: Path) -> None:
    import pyspark

    ivy = next((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        command = [require_java(), "-jar", str(ivy), "-cache", f"{scratch}/cache", "-notransitive"]
        command += ["-dependency", "io.delta", name, DELTA_VERSION, "-confs", "default", "-types", "jar"]
        command += ["-retrieve", f"{scratch}/[artifact]-[revision].[ext]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(scratch) / path.name
        if not fetched.exists():
            raise EnvironmentMissing(
                f"{path.name} could not be fetched from the Maven repository: {done.stdout[-400:].strip()}. "
                f"Check the network, or put the file into {path.parent} by hand."
            )
        fetched.replace(path)


if __name__ == "__main__":
    import sys

    for jar in ensure_jars(Path(sys.argv[1] if len(sys.argv) > 1 else ".pinlake/jars")):
        sys.stdout.write(f"{jar}\n")

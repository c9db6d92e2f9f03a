"""Jars that no wheel holds, fetched once by the Ivy that Spark itself resolves with, afterwards taken from disk.

Delta's two are for every session: passing them by class path saves the resolver's seconds at every start. The four of
Spark's Kafka connector are only for sessions that read brokers, and only those load them.
"""

import hashlib
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from jobs.common.errors import MissingDependencyError

Coordinates = tuple[str, str, str]
"""Group, artifact, version."""

DELTA_VERSION = "4.4.0"  # the newest whose jars are in the public repository; 4.4.1's are not
DELTA: tuple[Coordinates, ...] = (
    ("io.delta", "delta-spark_4.1_2.13", DELTA_VERSION),
    ("io.delta", "delta-storage", DELTA_VERSION),
)
# pyspark is 4.1.4, but of the connector's second jar the public repository has no version after 4.1.1, and the two must
# be of one version. The others are those that 4.1.1 asks for; what else it asks for is among Spark's own jars
CONNECTOR_VERSION = "4.1.1"
CONNECTOR: tuple[Coordinates, ...] = (
    ("org.apache.spark", "spark-sql-kafka-0-10_2.13", CONNECTOR_VERSION),
    ("org.apache.spark", "spark-token-provider-kafka-0-10_2.13", CONNECTOR_VERSION),
    ("org.apache.kafka", "kafka-clients", "3.9.1"),
    ("org.apache.commons", "commons-pool2", "2.12.1"),
)
SHA256 = {
    "delta-spark_4.1_2.13-4.4.0": "75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10",
    "delta-storage-4.4.0": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    "spark-sql-kafka-0-10_2.13-4.1.1": "9c1ce986f548e6b1dcb0e2dfe2f253a0bc58f2232a32a0c9c6c674dd25a8570c",
    "spark-token-provider-kafka-0-10_2.13-4.1.1": "e510adc37b03d01d0a190d0dab472b5538e05eaa77454f7e9477156d7a6820ae",
    "kafka-clients-3.9.1": "7568b998572d256f0b7bc0afdc1b7a2588b8b08415c62ce314c864a6851ae9d9",
    "commons-pool2-2.12.1": "5273c8bc8c0dca2211175c0d27efbd7228efae99689aac001a8e1ef8e872e9ef",
}
"""Digest of each jar, held against the file when it is fetched and by `make setup`; sessions do not read it again."""


def jar_paths(folder: Path, wanted: tuple[Coordinates, ...] = DELTA) -> list[Path]:
    """Return where the jars lie, or would."""
    return [folder / f"{name}-{version}.jar" for _, name, version in wanted]


def ensure_jars(folder: Path, wanted: tuple[Coordinates, ...] = DELTA) -> list[Path]:
    """Return the jars, fetching those that are missing.

    Raises:
        MissingDependencyError: there is no Java, or the repository did not answer.
    """
    paths = jar_paths(folder, wanted)
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for coordinates, path in zip(wanted, paths, strict=True):
            if not path.exists():
                _fetch(coordinates, path)
    return paths


def verify(path: Path) -> None:
    """Check a jar against its digest.

    Raises:
        MissingDependencyError: the file differs from the one that this version was tested with.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256.get(path.stem):
        raise MissingDependencyError(
            f"{path} has the SHA-256 {found}, expected {SHA256.get(path.stem, 'none')}: the file is damaged or another "
            "one. Remove it and run `make setup` again."
        )


def ensure_connector(folder: Path) -> list[Path]:
    """Return the jars that reading Kafka brokers needs, fetching those that are missing.

    Args:
        folder: theirs alone: the class archive goes by what lies beside Delta's.

    Raises:
        MissingDependencyError: they are not there, and the repository did not answer.
    """
    try:
        return ensure_jars(folder, CONNECTOR)
    except MissingDependencyError as error:
        names = ", ".join(":".join(coordinates) for coordinates in CONNECTOR)
        raise MissingDependencyError(
            f"Reading Kafka brokers needs Spark's connector, which is not in {folder}: {error} Where there is a "
            f"network, `make connector` fetches it; elsewhere put these jars there: {names}. Archives need none."
        ) from error


def require_java() -> str:
    """Return the java program; MissingDependencyError says how to get one."""
    java = shutil.which("java")
    if java is None:
        raise MissingDependencyError(
            "No java on PATH: Spark needs Java 17. On Debian: apt-get install openjdk-17-jre-headless; "
            "elsewhere any JRE 17, then make sure `java -version` answers."
        )
    return java


@cache
def java_says() -> str:
    """Return what `java -version` prints, asked once a process."""
    done = subprocess.run([require_java(), "-version"], capture_output=True, text=True, check=False)
    return done.stderr or done.stdout


def ivy_command(
    cache_folder: Path, wanted: Coordinates, target: Path, types: tuple[str, ...] = ("jar",), alone: bool = False
) -> list[str]:
    """Return the command by which Ivy fetches an artifact into a folder.

    Args:
        cache_folder: Ivy's own, scratch.
        wanted: coordinates.
        target: folder that the jars are put into.
        types: packagings that are wanted.
        alone: whether to leave out what the artifact depends on.
    """
    import pyspark

    ivy = next((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
    command = [require_java(), "-jar", str(ivy), "-cache", str(cache_folder), *(["-notransitive"] if alone else [])]
    command += ["-dependency", *wanted, "-confs", "default", "-types", *types]
    return [*command, "-retrieve", f"{target}/[artifact]-[revision].[ext]"]


def _fetch(coordinates: Coordinates, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        # some are packaged as OSGi bundles, which are jars all the same
        command = ivy_command(Path(scratch) / "cache", coordinates, Path(scratch), ("jar", "bundle"), alone=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(scratch) / path.name
        if not fetched.exists():
            raise MissingDependencyError(
                f"{path.name} could not be fetched from the Maven repository: {done.stdout[-400:].strip()}. "
                f"Check the network, or put the file into {path.parent} by hand."
            )
        verify(fetched)
        fetched.replace(path)


if __name__ == "__main__":
    import sys

    place = Path(sys.argv[1] if len(sys.argv) > 1 else ".pinlake/jars")
    for jar in (ensure_connector if "connector" in sys.argv[2:] else ensure_jars)(place):
        try:
            verify(jar)
        except MissingDependencyError as error:
            sys.exit(str(error))
        sys.stdout.write(f"{jar}\n")

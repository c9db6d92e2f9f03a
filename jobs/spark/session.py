"""The only place that builds a SparkSession."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.errors import MissingDependencyError
from jobs.settings.platform import Spark
from jobs.spark import class_data_sharing as classes
from jobs.spark.chatter import without_chatter
from jobs.spark.jars import ensure_jars, java_says

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # 50 by default, which dominates the cost of small tables
    "spark.databricks.delta.snapshotPartitions": "2",
}
ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    # Spark 4.1 says that a union of frames hashed alike is hashed too, and drops a repartition by the same columns;
    # adaptive execution then joins partitions of each frame differently, and a user's rows end in several partitions
    "spark.sql.unionOutputPartitioning": "false",
    # 100 by default, fewer than one flow generates: compiled code was thrown away and compiled again
    "spark.sql.codegen.cache.maxEntries": "3000",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # 32 by default: the files of small tables are named one by one, and looked up on the driver (jobs/lake/delta_rs.py)
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "128",
    "spark.ui.showConsoleProgress": "false",
    "spark.python.daemon.module": "jobs.spark.python_daemon",
    # one thread a task: the numeric libraries below are started by many tasks at once
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    # Python workers make arrays of megabytes for each block of a file: memory given back to the system after each costs
    # a fault for every page of the next, a quarter of reading a file. Up to 128 MiB a worker are kept instead.
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "spark.executorEnv.ARROW_DEFAULT_MEMORY_POOL": "system",
}
SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""Variable that is set where spark-submit has started the JVM: master, memory and class path are settled then."""
LOOPBACK = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}


def start_session(spark: Spark, work: Path, extra: dict[str, str] | None = None) -> "SparkSession":
    """Return a session with Delta, at UTC, quiet.

    Args:
        spark: settings of the session.
        work: folder for jars and scratch.
        extra: properties that win over all others (tests).

    Raises:
        MissingDependencyError: Java is missing or too old, or Delta's jars cannot be had.
    """
    _check_java()
    os.environ["PYSPARK_PYTHON"] = sys.executable  # else workers take the system's python
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession

    properties = ALWAYS | DELTA | (LOOPBACK if spark.master.startswith("local") else {})
    properties |= {
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        "spark.ui.enabled": str(spark.ui).lower(),
        "spark.local.dir": str((work / "spark").resolve()),
        "spark.sql.warehouse.dir": str((work / "warehouse").resolve()),
    }
    builder = SparkSession.builder
    if SUBMITTED not in os.environ:
        properties |= submitted(spark, work)
        builder = builder.appName("pinlake").master(spark.master)
    properties |= spark.conf | (extra or {})
    for key, value in properties.items():
        builder = builder.config(key, value)
    with nullcontext() if SUBMITTED in os.environ else without_chatter():
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def submitted(spark: Spark, work: Path) -> dict[str, str]:
    """Return what a JVM must be told before it starts: spark-submit is given it, a session of our own sets it.

    Raises:
        MissingDependencyError: Delta's jars cannot be had.
    """
    local = spark.master.startswith("local")
    jars = [str(path.resolve()) for path in ensure_jars(work / "jars")]
    return {
        "spark.driver.memory": spark.driver_memory,
        "spark.driver.extraClassPath" if local else "spark.jars": (":" if local else ",").join(jars),
        "spark.driver.extraJavaOptions": " ".join([_log_options(), _class_options(work, spark), spark.java_options]),
    }


def _log_options() -> str:
    return f"-Dlog4j2.configurationFile={(Path(__file__).parent / 'log4j2.properties').resolve().as_uri()}"


def _class_options(work: Path, spark: Spark) -> str:
    making = "ArchiveClassesAtExit" in spark.java_options
    return classes.java_options(work) if spark.master.startswith("local") and not making else ""


def _check_java() -> None:
    first = java_says().splitlines()[:1]
    version = first[0].split('"')[1] if first and '"' in first[0] else "?"
    major = version.split(".")[0]
    if not major.isdigit() or int(major) < 17:
        raise MissingDependencyError(
            f"Spark 4.1 needs Java 17 or newer, found {version}: install openjdk-17-jre-headless."
        )

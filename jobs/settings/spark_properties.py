"""Names of Spark's properties, read from the classes that declare them: no JVM, and those of the version in use."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

_NAME = re.compile(rb"spark\.[A-Za-z]\w*(?:\.\w+)+")
_DECLARED = {
    "spark-catalyst_": r"internal/(Static)?SQLConf\$\.class$",
    "spark-sql-api_": r"internal/SqlApiConfHelper\$\.class$",
    "spark-core_": r"internal/config/[\w$]+\.class$",
    "spark-kubernetes_": r"k8s/Config\$\.class$",
}
"""Jar -> the classes whose texts are names of properties."""
_ALSO = frozenset({"spark.master", "spark.app.name", "spark.local.ip", "spark.sql.autoBroadcastJoinThreshold"})
"""Declared elsewhere, or so common that no jar needs to be opened."""
_FREE = ("spark.hadoop.", "spark.executorEnv.", "spark.sql.catalog.", "spark.databricks.", "spark.yarn.appMasterEnv.")
"""Beginnings of names that end as one likes, or are others' than Spark's."""


def unknown(name: str) -> frozenset[str]:
    """Return the names there are if `name` is none of them; nothing if it is, or cannot be judged."""
    if name in _ALSO or name.startswith(_FREE):
        return frozenset()
    known = declared()
    parts = name.split(".")
    # some are the beginning of many: spark.kubernetes.driver.label.<any>
    whole = {".".join(parts[:upto]) for upto in range(3, len(parts) + 1)}
    return frozenset() if whole & known else known


@cache
def declared() -> frozenset[str]:
    """Return the names that Spark declares; none where it is not installed."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        return frozenset()
    names: set[str] = set()
    for jar in (Path(found.origin).parent / "jars").glob("spark-*.jar"):
        wanted = next((kind for start, kind in _DECLARED.items() if jar.name.startswith(start)), None)
        if wanted:
            with ZipFile(jar) as content:
                for entry in content.namelist():
                    if re.search(wanted, entry):
                        names |= {name.decode() for name in _NAME.findall(content.read(entry))}
    return frozenset(names) | (_ALSO if names else frozenset())

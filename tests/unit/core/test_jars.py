import pytest

from jobs.common.errors import MissingDependencyError
from jobs.spark import jars


def test_every_jar_has_a_digest():
    names = {f"{name}-{version}" for _, name, version in (*jars.DELTA, *jars.CONNECTOR)}
    assert names == set(jars.SHA256)


def test_a_jar_of_other_content_is_refused(tmp_path):
    path = tmp_path / "delta-storage-4.4.0.jar"
    path.write_bytes(b"another file")
    with pytest.raises(MissingDependencyError, match=r"delta-storage-4\.4\.0\.jar has the SHA-256 .* expected c46735"):
        jars.verify(path)

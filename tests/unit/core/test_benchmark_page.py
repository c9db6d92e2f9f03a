"""Measurements share a page."""

from jobs.benchmarks.measure import put


def test_a_measurement_replaces_its_own_part_and_leaves_the_others(tmp_path):
    page = tmp_path / "benchmarks.md"
    put(page, "flow", "# Flow\n\n1")
    put(page, "ingest", "# Ingest\n\n1")
    put(page, "flow", "# Flow\n\n2\n")
    put(page, "ingest", "# Ingest\n\n2")
    assert page.read_text() == (
        "<!-- flow -->\n# Flow\n\n2\n<!-- end of flow -->\n\n<!-- ingest -->\n# Ingest\n\n2\n<!-- end of ingest -->\n"
    )
    page.write_text("Written by hand.\n\n" + page.read_text() + "\nAnd this.\n")
    put(page, "flow", "3")
    assert page.read_text().startswith("Written by hand.\n\n<!-- flow -->\n3\n<!-- end of flow -->\n\n<!-- ingest")
    assert page.read_text().endswith("\nAnd this.\n")

import re
from pathlib import Path

import pytest

from jobs.cli import reference

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_that_is_written_from_the_code_is_up_to_date(name):
    assert (ROOT / "docs" / name).read_text() == reference.PAGES[name](), "run `make docs`"


def test_links_between_pages_lead_somewhere():
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert missing == []


def test_decisions_have_the_form_of_the_template():
    headings = re.findall(r"^## .*", (ROOT / "docs/adr/template.md").read_text(), re.MULTILINE)
    other = [
        page.name
        for page in (ROOT / "docs/adr").glob("0*.md")
        if re.findall(r"^## .*", page.read_text(), re.MULTILINE) != headings
    ]
    assert other == []

import re
from importlib import import_module
from pathlib import Path

import pytest

from jobs.cli import reference
from jobs.schema.tables import TABLES
from jobs.settings import Settings
from jobs.settings.load import flat

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


def test_the_glossary_names_what_there_is_in_alphabetical_order():
    page = (ROOT / "docs/concepts.md").read_text().split("## Glossary")[1]
    entries = re.findall(r"^\| (.+?) \| .+? \| `(.+?)` \|$", page, re.MULTILINE)
    assert len(entries) > 20
    assert [term for term, _ in entries] == sorted((term for term, _ in entries), key=str.lower)
    settings = flat(Settings())
    assert [place for _, place in entries if not _is_there(place, settings)] == []


def _is_there(place, settings):
    """Whether the place is a module, module:name, a setting, a table or a table's column."""
    if place.startswith("jobs."):
        module, _, name = place.partition(":")
        return not name or hasattr(import_module(module), name)
    layer, _, rest = place.partition(".")
    table, _, column = rest.partition(".")
    known = TABLES.get(f"{layer}.{table}")
    return place in settings or (known is not None and (not column or column in {c.name for c in known.columns}))

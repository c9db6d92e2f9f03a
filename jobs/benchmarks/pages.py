"""A page with several measurements, each of which replaces its own part and leaves the others."""

from pathlib import Path


def put(page: Path, part: str, text: str) -> None:
    """Write a part of a page; parts that are not there yet come last.

    Args:
        page: Markdown file; made if it is not there.
        part: name of the part, told by comments around it.
        text: its Markdown.
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    whole = page.read_text() if page.exists() else ""
    made = f"{begin}\n{text.strip()}\n{end}\n"
    before, there, rest = whole.partition(begin)
    if there:
        page.write_text(before + made + rest.partition(end + "\n")[2])
    else:
        page.write_text((whole.rstrip() + "\n\n" if whole.strip() else "") + made)

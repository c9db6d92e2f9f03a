"""Names of files as they are written down, whatever bytes they are made of."""


def text_of(name: str) -> tuple[str, bytes | None]:
    r"""Return a name as it is written down, and its bytes where they are not UTF-8: these stand as \xe9."""
    raw = name.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "backslashreplace")
    return text, None if text == name else raw

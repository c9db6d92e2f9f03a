"""What must not be seen: known by the name beside it or by its value, covered wherever text leaves the process.

Settings show masked, errors, log lines and rows of ops.runs go through `redacted`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
NAMED = re.compile(r"(?i)(secret|passw(or)?d|pwd|token|credential|access[._-]?key|account[._-]?key|private[._-]?key)")
"""Names of settings, options and properties whose values are secrets."""
_PAIR = re.compile(rf"(?i)([\w.\-]*{NAMED.pattern[4:]}[\w.\-]*[\"']?\s*[=:]\s*[\"']?)([^\s\"'&,;)}}]+)")
_USER = re.compile(r"(://[^/\s:@]*:)([^@/\s]+)(@)")
_SHORTEST = 4
"""Shorter values are not looked for: they would cover ordinary words."""
_known: set[str] = set()


def know(values: Iterable[str]) -> None:
    """Remember values that are secrets, however they are named where they turn up."""
    _known.update(value for value in values if len(value) >= _SHORTEST)


def redacted(text: str) -> str:
    """Return the text with every secret that is known or looks like one covered."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    text = _USER.sub(rf"\1{MASK}\3", text)
    return _PAIR.sub(lambda found: f"{found[1]}{MASK}", text)


def masked(key: str, value: Any) -> Any:
    """Return a setting's value as it may be shown: maps entry by entry, a secret's covered, texts redacted."""
    if isinstance(value, Mapping):
        return {name: masked(name, entry) for name, entry in value.items()}
    if value and NAMED.search(key):
        return MASK
    return redacted(value) if isinstance(value, str) else value


def of_settings(values: Mapping[str, Any]) -> list[str]:
    """Return the secrets among settings: those named as such, also within maps."""
    found: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += of_settings(value)
        elif hasattr(value, "get_secret_value"):
            found.append(value.get_secret_value())
        elif isinstance(value, str) and NAMED.search(key):
            found.append(value)
    return found

"""What must not be seen: known by the name beside it or by its value, covered wherever text leaves the process.

Settings show masked, errors, log lines and rows of ops.runs go through `redacted`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
NAMED = re.compile(r"(?i)(secret|passw(or)?d|pwd|token|credential|access[._-]?key|account[._-]?key|private[._-]?key)")
"""Names of settings, options and properties whose values are secrets."""
_PAIR = re.compile(rf"(?i)([\w.\-]*{NAMED.pattern[4:]}[\w.\-]*[\"']?)(\s*[=:]\s*)([\"']?)([^\s\"'&,;)}}]+)")
_PROSE = re.compile(r"([A-Za-z]+|\d[\d,]*)(?=[ \t]+\w)|PINLAKE_\w+")
"""What follows a colon and a space in a sentence: a word or count that others follow, or a variable of ours."""
_USER = re.compile(r"(://[^/\s:@]*:)([^@/\s]+)(@)")
_SHORTEST = 4
"""Shorter values are not looked for: they would cover ordinary words."""
_known: set[str] = set()


def know(values: Iterable[str]) -> None:
    """Remember values that are secrets, however they are named where they turn up."""
    _known.update(value for value in values if len(value) >= _SHORTEST)


def redacted(text: str) -> str:
    """Return the text with every secret that is known or looks like one covered.

    What looks like one is a value: `password=x`, `"token": "x"`, `secret: x7`. A sentence that goes on behind the
    colon, as "password: set it", stays.
    """
    for value in sorted(_known, key=len, reverse=True):
        # a word within a longer one is another word
        text = re.sub(rf"\b{value}\b", MASK, text) if value.isalpha() else text.replace(value, MASK)
    text = _USER.sub(rf"\1{MASK}\3", text)
    return _PAIR.sub(_covered, text)


def _covered(found: re.Match[str]) -> str:
    name, mark, quote, value = found.group(1), found.group(4), found.group(5), found.group(6)
    prose = mark.startswith(":") and mark[1:].isspace() and not quote and _PROSE.match(found.string, found.start(6))
    return found[0] if prose else f"{name}{mark}{quote}{MASK}{found[0][len(name + mark + quote + value) :]}"


def masked(key: str, value: Any) -> Any:
    """Return a setting's value as it may be shown: maps entry by entry, a secret's covered, texts redacted."""
    if isinstance(value, Mapping):
        return {name: masked(name, entry) for name, entry in value.items()}
    if value and NAMED.search(key) and not _is_rules(value):
        return MASK
    return redacted(value) if isinstance(value, str) else value


def _is_rules(value: Any) -> bool:
    """Return whether a value is a block of settings: those of a table may stand under any name, also app.tokens."""
    return hasattr(type(value), "model_fields")


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

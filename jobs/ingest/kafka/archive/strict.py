"""JSON read strictly: a message is exactly one object, by RFC 8259 and, as to names said twice, by RFC 7493 (I-JSON).

In: a message's bytes. Out: its object, or Unreadable with reason and detail. All that lenient parsers let pass or
drop without a word is refused: a second object, text behind the first, single quotes, comments, trailing commas,
leading zeros, NaN and Infinity, numbers beyond a double, a byte order mark, lone surrogates, bytes that are not UTF-8.
"""

import json
from typing import Any

import orjson


class Unreadable(ValueError):
    """A message that cannot be used: reason, detail."""


def json_object(value: bytes) -> dict[str, Any]:
    """Return the one object that a message is.

    Raises:
        Unreadable: bad_utf8, or bad_json for anything else.
    """
    try:
        body = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _fault(value, error) from error
    if type(body) is not dict:
        raise Unreadable("bad_json", f"not a JSON object, but {_KINDS[type(body)]}")
    # each member has a colon: where there are no more of them than members, no name can stand twice
    if value.count(b":") != len(body):
        _refuse_repeated(value)
    return body


_KINDS: dict[type, str] = {
    list: "an array", str: "a text", int: "a number", float: "a number", bool: "a boolean", type(None): "null",
}  # fmt: skip


def _fault(value: bytes, error: orjson.JSONDecodeError) -> Unreadable:
    try:
        value.decode()
    except UnicodeDecodeError:
        return Unreadable("bad_utf8", "the message is not UTF-8")
    return Unreadable("bad_json", f"not exactly one JSON object: {error}")


def _refuse_repeated(value: bytes) -> None:
    """Raise Unreadable if an object at any depth of a message has a name twice: which value counts is not defined."""
    try:
        json.loads(value, object_pairs_hook=_unique)
    except RecursionError as error:
        raise Unreadable("bad_json", "objects or arrays are nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise Unreadable("bad_json", f"the name {twice!r} stands twice in one object")

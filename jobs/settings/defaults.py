"""The models as text: conf/base/<section>.yaml with every default, and the rows of the settings reference.

The models are the only source of defaults, bounds and sentences; `make docs` writes what is derived from them.
"""

import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from jobs.settings import Settings
from jobs.settings.base import Section

HEADER = "# Written by `make docs` from jobs/settings: defaults, do not edit. Changes go to conf/<env>/{name}.yaml.\n\n"
WIDTH = 120
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "multiple_of": "multiple of {}"}
_TYPES = {"str": "text", "bool": "true or false", "int": "integer", "float": "number", "SecretStr": "secret text"}
_TYPES |= {"datetime": "instant"}


@dataclass(frozen=True)
class Setting:
    """One setting, as the reference shows it."""

    key: str
    """`section.key`"""
    kind: str
    """Type and bounds."""
    default: str
    """The default as YAML, on one line."""
    sentence: str


def base_file(name: str) -> str:
    """Return conf/base/<name>.yaml: every setting of the section with its default, its sentence above it."""
    section = getattr(Settings(), name)
    return HEADER.format(name=name) + "".join(_yaml(section, 0))


def settings_of(name: str) -> list[Setting]:
    """Return the settings of a section, nested ones with dotted keys."""
    return list(_settings(getattr(Settings(), name), f"{name}."))


def _settings(section: Section, prefix: str) -> Iterator[Setting]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            sentence = " ".join(str(field.description).split())
            yield Setting(f"{prefix}{name}", _kind(field), _flow(_plain(value)), sentence)
            inner = get_args(field.annotation)[-1:]
            if get_origin(field.annotation) is dict and _is_section(inner[0]):
                yield from _settings(inner[0](), f"{prefix}{name}.NAME.")


def _yaml(section: Section, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        yield from _comment(str(field.description), depth)
        if isinstance(value, Section):
            yield f"{indent}{name}:\n"
            yield from _yaml(value, depth + 1)
        else:
            yield textwrap.indent(yaml.safe_dump({name: _plain(value)}, sort_keys=False, width=WIDTH), indent)


def _comment(text: str, depth: int) -> Iterator[str]:
    start = "  " * depth + "# "
    for paragraph in text.split("\n\n"):
        yield textwrap.fill(" ".join(paragraph.split()), WIDTH, initial_indent=start, subsequent_indent=start) + "\n"


def _plain(value: Any) -> Any:
    """Return a default as values of JSON; models in maps show what differs from their own defaults."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _flow(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False) if value != "" else '""'


def _kind(field: FieldInfo) -> str:
    """Return type and bounds of a field in words, such as `integer, ≥ 1, ≤ 1000`."""
    bounds = [
        text.format(f"{getattr(rule, name):,}")
        for rule in field.metadata
        for name, text in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_type(field.annotation), *bounds])


def _type(kind: Any) -> str:
    inner = get_args(kind)
    wanted = _CONTAINERS.get(get_origin(kind))
    if wanted is not None:
        return wanted(inner)
    if NoneType in inner:
        return f"{_type(next(one for one in inner if one is not NoneType))} or null"
    if hasattr(kind, "__metadata__"):  # Annotated
        return _type(inner[0])
    return "settings" if _is_section(kind) else _TYPES[kind.__name__]


def _tuple(inner: tuple[Any, ...]) -> str:
    return f"list of {_type(inner[0])}" if Ellipsis in inner else f"{len(inner)} values: {_type(inner[0])}"


_CONTAINERS: dict[Any, Callable[[tuple[Any, ...]], str]] = {
    Literal: lambda inner: "one of " + ", ".join(map(str, inner)),
    tuple: _tuple,
    dict: lambda inner: f"map: {_type(inner[0])} to {_type(inner[1])}",
}


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)

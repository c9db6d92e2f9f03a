"""Reads values of files, variables and options; pydantic converts them to the settings' types.

YAML gives structure only: every scalar stays text, so that a text setting is taken literally (`2026-12-01`, `007`,
`yes`) and no YAML 1.1 rule turns it into a date, an octal number or a bool. Names in a map may contain dots:
`ingest.tables.app.users.exclude` is the setting `exclude` of the table `app.users`.
"""

import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr

from jobs.settings import Settings
from jobs.settings.names import suggestion

PREFIX = "PINLAKE_"
_SERVICE = re.compile(r"(^|_)(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")
"""Suffixes of the variables that Kubernetes sets in every container for each service."""
_NULLS = {"null", "Null", "NULL", "~"}


class InvalidValueError(ValueError):
    """A value or a variable's name cannot be read; the message says why."""


def parse(text: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return `{section: {key: value}}` of a value given as text for `section.key`.

    Raises:
        InvalidValueError: the text is not valid YAML, and the setting is not a text.
    """
    path, kind = _resolve(list(keys), Settings, _is_map(text))
    nested: Any = _from_text(text, kind)
    for key in reversed(path):
        nested = {key: nested}
    return dict(nested)


def read(text: str) -> Any:
    """Return a YAML document with texts as scalars; yaml.YAMLError if it is not valid or repeats a key."""
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with fewer types


def names_below(path: Sequence[str]) -> list[str]:
    """Return the names of the settings below a path: of all sections, of one, or of an entry of a map."""
    kind: Any = Settings
    for part in path:
        if _is_model(kind) and part in kind.model_fields:
            kind = _without_none(kind.model_fields[part].annotation)
        else:
            kind = _without_none(get_args(kind)[1]) if get_origin(kind) is dict else Any
    return list(kind.model_fields) if _is_model(kind) else []


def variables(environment: Mapping[str, str], reserved: frozenset[str]) -> dict[str, list[str]]:
    """Return the environment variables that are settings, each with its keys.

    Ignored are those that Kubernetes sets for a service called pinlake, and others without `__`.

    Raises:
        InvalidValueError: a variable is nearly a setting.
    """
    keys_of = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in reserved:
            continue
        keys = name[len(PREFIX) :].lower().split("__")
        if keys[0] in Settings.model_fields:
            keys_of[name] = keys
        elif not _SERVICE.search(name):
            _refuse_near(name, keys)
    return keys_of


def _refuse_near(name: str, keys: list[str]) -> None:
    if len(keys) > 1:
        near = suggestion(keys[0], Settings.model_fields)
        raise InvalidValueError(f"{name}: no section of the settings is called {keys[0]!r}.{near}")
    by_one_underscore = {"_".join(path): path for path in _paths(Settings)}
    near_keys = by_one_underscore.get(keys[0])
    if near_keys:
        variable = PREFIX + "__".join(near_keys).upper()
        raise InvalidValueError(f"{name} is not a setting: write {variable}, two underscores a level.")


def _paths(model: type[BaseModel]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        if _is_model(field.annotation):
            paths += [(name, *rest) for rest in _paths(field.annotation)]  # type: ignore[arg-type]
        else:
            paths.append((name,))
    return paths


def _resolve(keys: list[str], kind: Any, is_map: bool = False) -> tuple[list[str], Any]:
    """Return the keys, those of a map's name joined by dots, and the type of the value; Any if unknown.

    Args:
        keys: below `kind`.
        kind: a model or another type.
        is_map: whether the value is a map, not an entry of one.
    """
    if not keys:
        return [], kind
    kind = _without_none(kind)
    if _is_model(kind):
        field = kind.model_fields.get(keys[0])
        path, inner = _resolve(keys[1:], field.annotation if field else Any, is_map)
        return [keys[0], *path], inner
    if get_origin(kind) is dict:
        values = _without_none(get_args(kind)[1])
        end = _name_length(keys, values, is_map)
        path, inner = _resolve(keys[end:], values, is_map)
        return [".".join(keys[:end]), *path], inner
    return keys, Any


def _name_length(keys: list[str], values: Any, is_map: bool) -> int:
    """Return how many of the keys make up a name in a map with these values."""
    if _is_model(values):
        unknown = len(keys) if is_map or len(keys) == 1 else len(keys) - 1  # the last one is an unknown setting
        return next((end for end in range(1, len(keys)) if keys[end] in values.model_fields), unknown)
    if get_origin(values) is dict and not is_map and len(keys) > 1:
        return len(keys) - 1
    return len(keys)


def _is_map(text: str) -> bool:
    try:
        return isinstance(yaml.compose(text, _Loader), yaml.MappingNode)
    except yaml.YAMLError:
        return False


def _from_text(text: str, kind: Any) -> Any:
    kind = _without_none(kind)
    if kind is SecretStr or not text.strip():
        return text  # literally: 12345 and [x are passwords too
    plain = text.strip()
    if _is_text(kind) and plain[0] not in "\"'":
        return None if plain in _NULLS and plain not in get_args(kind) else plain
    try:
        return read(text)
    except yaml.YAMLError as error:
        if _is_text(kind) or (get_origin(kind) is tuple and _is_text(get_args(kind)[0])):
            return plain
        raise InvalidValueError("is not valid YAML") from error


def _without_none(kind: Any) -> Any:
    """Return the type without its None; Any for a choice of several."""
    if get_origin(kind) in {Union, UnionType}:
        rest = [one for one in get_args(kind) if one is not NoneType]
        return rest[0] if len(rest) == 1 else Any
    return kind


def _is_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(one, str) for one in get_args(kind))
    return kind in {str, SecretStr}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Scalars are texts, but null, NaN and infinity; a repeated key is an error."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        start: [(tag, pattern) for tag, pattern in pairs if tag.endswith((":null", ":merge"))]
        for start, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        keys = [str(key.value) for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.YAMLError(f"key given twice: {', '.join(repeated)}")
        self.flatten_mapping(node)
        return {str(key.value): self.construct_object(value, deep=deep) for key, value in node.value}


_Loader.add_implicit_resolver("!special", re.compile(r"^[-+]?\.(inf|nan)$", re.IGNORECASE), list("-+."))
_Loader.add_constructor("!special", lambda loader, node: loader.construct_scalar(node).replace(".", ""))

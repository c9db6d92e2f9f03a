"""Values as files, variables and options give them, read by the type of the setting they are for.

A setting that is a text takes the text as it stands (`2026-12-01`, `007`, `yes`), not what YAML 1.1 makes of it. Names
of a map may have dots: `ingest.tables.app.users.exclude` is the setting `exclude` of the table `app.users`.
"""

import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr

from jobs.settings import Settings
from jobs.settings.names import suggestion

PREFIX = "PINLAKE_"
_SERVICE = re.compile(r"(^|_)(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")
"""Endings of the variables that Kubernetes sets in every container for each service."""
_NULL = "tag:yaml.org,2002:null"
_NULLS = {"null", "Null", "NULL", "~"}


class Mistaken(ValueError):
    """What was given cannot be read; says what it is and what it must be."""


def parse(text: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return `{section: {key: value}}` of a value given as text for `section.key`.

    Raises:
        Mistaken: the text is not valid YAML, and the setting is not a text.
    """
    path, wanted = _placed(list(keys), Settings, _is_map(text))
    nested: Any = _text(text, wanted)
    for key in reversed(path):
        nested = {key: nested}
    return dict(nested)


def read(text: str, wanted: Any) -> Any:
    """Return the YAML document as what is wanted; yaml.YAMLError if it is not valid or gives a key twice."""
    loader = _UniqueKeys(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _value(loader, node, wanted)
    finally:
        loader.dispose()


def names_below(place: Sequence[str]) -> list[str]:
    """Return the settings there are below a place: of all sections, of one, or of an entry of a map."""
    kind: Any = Settings
    for part in place:
        if _is_model(kind) and part in kind.model_fields:
            kind = _one(kind.model_fields[part].annotation)
        else:
            kind = _one(get_args(kind)[1]) if get_origin(kind) is dict else Any
    return list(kind.model_fields) if _is_model(kind) else []


def section(name: str) -> Any:
    """Return the model of a section; Any where there is no such section."""
    field = Settings.model_fields.get(name)
    return field.annotation if field else Any


def variables(environment: Mapping[str, str], reserved: frozenset[str]) -> dict[str, list[str]]:
    """Return the variables that are settings, each with its keys.

    Those that Kubernetes sets for a service called pinlake, and others without `__`, are none of ours.

    Raises:
        Mistaken: a variable is nearly a setting.
    """
    found = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in reserved:
            continue
        keys = name[len(PREFIX) :].lower().split("__")
        if keys[0] in Settings.model_fields:
            found[name] = keys
        elif not _SERVICE.search(name):
            _refuse_near(name, keys)
    return found


def _refuse_near(name: str, keys: list[str]) -> None:
    if len(keys) > 1:
        near = suggestion(keys[0], Settings.model_fields)
        raise Mistaken(f"{name}: no section of the settings is called {keys[0]!r}.{near}")
    known = {"_".join(path): path for path in _paths(Settings)}
    near_keys = known.get(keys[0])
    if near_keys:
        raise Mistaken(f"{name} is no setting: write {PREFIX}{'__'.join(near_keys).upper()}, two underscores a level.")


def _paths(model: type[BaseModel]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        if _is_model(field.annotation):
            found += [(name, *rest) for rest in _paths(field.annotation)]  # type: ignore[arg-type]
        else:
            found.append((name,))
    return found


def _placed(keys: list[str], wanted: Any, whole: bool = False) -> tuple[list[str], Any]:
    """Return the keys with those of a map's name put together, and what the value must be; Any where unknown.

    Args:
        keys: below `wanted`.
        wanted: a model or another type.
        whole: whether a map is given, not a value of it.
    """
    if not keys:
        return [], wanted
    wanted = _one(wanted)
    if _is_model(wanted):
        field = wanted.model_fields.get(keys[0])
        path, found = _placed(keys[1:], field.annotation if field else Any, whole)
        return [keys[0], *path], found
    if get_origin(wanted) is dict:
        inner = _one(get_args(wanted)[1])
        at = _name_ends(keys, inner, whole)
        path, found = _placed(keys[at:], inner, whole)
        return [".".join(keys[:at]), *path], found
    return keys, Any


def _name_ends(keys: list[str], inner: Any, whole: bool) -> int:
    """Return how many of the keys are the name in a map of `inner`."""
    if _is_model(inner):
        unknown = len(keys) if whole or len(keys) == 1 else len(keys) - 1  # the last one is a setting nobody knows
        return next((at for at in range(1, len(keys)) if keys[at] in inner.model_fields), unknown)
    if get_origin(inner) is dict and not whole and len(keys) > 1:
        return len(keys) - 1
    return len(keys)


def _is_map(text: str) -> bool:
    try:
        return isinstance(yaml.compose(text, yaml.SafeLoader), yaml.MappingNode)
    except yaml.YAMLError:
        return False


def _text(text: str, wanted: Any) -> Any:
    kind = _one(wanted)
    if kind is SecretStr or not text.strip():
        return text  # a secret is taken as it stands: 12345 and [x are passwords too
    plain = text.strip()
    if _is_text(kind) and plain[0] not in "\"'":
        return None if plain in _NULLS and plain not in get_args(kind) else plain
    try:
        return read(text, wanted)
    except yaml.YAMLError as error:
        if _is_text(kind):
            return plain
        if get_origin(kind) is tuple and _is_text(get_args(kind)[0]):
            return [plain]
        raise Mistaken("is not valid YAML") from error


def _value(loader: yaml.SafeLoader, node: yaml.Node, wanted: Any) -> Any:
    null = node.tag == _NULL
    optional = _optional(wanted)
    kind = _one(wanted)
    if isinstance(node, yaml.ScalarNode):
        if get_origin(kind) is tuple and not null and _is_text(get_args(kind)[0]):
            return [node.value]  # one text is a list of one
        if _is_text(kind) and (not null or (not optional and node.value in get_args(kind))):
            return node.value
    elif isinstance(node, yaml.MappingNode) and (_is_model(kind) or get_origin(kind) is dict):
        _refuse_twice([str(key.value) for key, _ in node.value])
        loader.flatten_mapping(node)
        return {_key(loader, key, kind): _value(loader, value, _below(kind, key)) for key, value in node.value}
    elif isinstance(node, yaml.SequenceNode) and get_origin(kind) is tuple:
        inner = get_args(kind)
        kinds = inner if Ellipsis not in inner else inner[:1] * len(node.value)
        kinds = (*kinds, *[Any] * (len(node.value) - len(kinds)))
        return [_value(loader, item, one) for item, one in zip(node.value, kinds, strict=False)]
    return loader.construct_document(node)


def _key(loader: yaml.SafeLoader, node: yaml.Node, kind: Any) -> Any:
    if _is_model(kind) or get_args(kind)[0] is str:
        return str(node.value)
    return loader.construct_document(node)


def _below(kind: Any, key: yaml.Node) -> Any:
    if not _is_model(kind):
        return get_args(kind)[1]
    field = kind.model_fields.get(str(key.value))
    return field.annotation if field else Any


def _one(wanted: Any) -> Any:
    """Return the type without its None; Any for a choice of several."""
    if get_origin(wanted) in {Union, UnionType}:
        rest = [one for one in get_args(wanted) if one is not NoneType]
        return rest[0] if len(rest) == 1 else Any
    return wanted


def _optional(wanted: Any) -> bool:
    return get_origin(wanted) in {Union, UnionType} and NoneType in get_args(wanted)


def _is_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(one, str) for one in get_args(kind))
    return kind in {str, SecretStr}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


class _UniqueKeys(yaml.SafeLoader):
    """A key given twice is a mistake, not a preference for the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _refuse_twice([self.construct_object(key, deep=deep) for key, _ in node.value])
        return super().construct_mapping(node, deep)


def _refuse_twice(keys: list[Any]) -> None:
    twice = {str(key) for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"key given twice: {', '.join(sorted(twice))}")

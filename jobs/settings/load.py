"""Merges conf/, environment variables and options into the settings, and records where each value came from.

Later wins: defaults in the models, conf/base/*.yaml, conf/<env>/*.yaml, variables PINLAKE_<SECTION>__<KEY>, and
--set section.key=value. PINLAKE_ENV chooses the environment (local by default). Errors name the file, variable or
option and the key; names in maps are checked too (jobs/settings/names.py).
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import SecretStr, ValidationError

from jobs.common.errors import ConfigError
from jobs.settings import Settings, cross_checks, names, values

ENV_VARIABLE = "PINLAKE_ENV"
PREFIX = values.PREFIX
T = TypeVar("T")
RESERVED = frozenset(
    (ENV_VARIABLE, "PINLAKE_CONF", "PINLAKE_SOURCE_PASSWORD", "PINLAKE_AGAINST_PASSWORD", "PINLAKE_SHARED")
)
"""Variables with the prefix that are not settings: commands and tests read them."""
_MAPS_OF_DATA = {
    "ranking.arms",
    "ranking.arm_settings",
    "platform.spark.conf",
    "ingest.tables",
    "ingest.topics",
    "ingest.brokers.properties",
}
"""Maps whose keys are data, not names of settings: a later file replaces them as a whole."""


@dataclass
class Loaded:
    """Settings and the origin of each value."""

    settings: Settings
    root: Path
    """Folder that contains conf/; relative paths start here."""
    env: str
    origin: dict[str, str] = field(default_factory=dict)
    """`section.key` -> file, variable or option that set it; defaults are absent."""

    def where(self, key: str) -> str:
        """Return the file, variable or option that set a key or something below it, else "default"."""
        below = [source for name, source in self.origin.items() if name.startswith(f"{key}.")]
        return self.origin.get(key) or (below[-1] if below else "default")

    def by(self, key: str) -> str:
        """Return the file, variable or option that set a key or the map that contains it."""
        return _source_of(key, self.origin) or "the settings"

    def path(self, value: str) -> str:
        """Return `value` unchanged if it is a URI or an absolute path, else below the project's root."""
        return value if "://" in value or Path(value).is_absolute() else str(self.root / value)


def conf_dir() -> Path:
    """Return the conf folder: PINLAKE_CONF, else ./conf, else the one next to the package."""
    configured = os.environ.get("PINLAKE_CONF")
    here = Path.cwd() / "conf"
    folder = Path(configured) if configured else here if here.is_dir() else Path(__file__).resolve().parents[2] / "conf"
    if not folder.is_dir():
        raise ConfigError(f"No configuration folder at {folder}: set PINLAKE_CONF to the project's conf/.")
    return folder


def load(conf: Path | None = None, env: str | None = None, sets: Iterable[str] = ()) -> Loaded:
    """Read, merge and check the settings.

    Raises:
        ConfigError: a file does not parse, a key is unknown or a value out of range.
    """
    folder = conf or conf_dir()
    env = env or os.environ.get(ENV_VARIABLE, "local")
    if not (folder / env).is_dir():
        known = ", ".join(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name != "base"))
        raise ConfigError(f"No environment {env!r} in {folder}; there are: {known}. Set {ENV_VARIABLE} to one.")
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for part in ("base", env):
        for file in sorted((folder / part).glob("*.yaml")):
            _merge(merged, {file.stem: _read(file)}, f"conf/{part}/{file.name}", origin)
    for name, keys in _or_config_error(lambda: values.variables(os.environ, RESERVED)).items():
        _merge_text(merged, keys, os.environ[name], name, origin)
    for option in sets:
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"--set takes section.key=value, got {option!r}.")
        _merge_text(merged, key.strip().split("."), value, "--set", origin)
    settings = _validated(merged, origin)
    _refuse_shown_secrets(settings, origin)
    loaded = Loaded(settings, folder.resolve().parent, env, origin)
    for message in cross_checks.misfits(settings):
        raise ConfigError(f"{_sources_named_in(message, origin) or 'the settings'}: {message}.")
    names.check(settings, loaded.root / "expectations", loaded.by)
    return loaded


def flat(model: Any, prefix: str = "") -> dict[str, Any]:
    """Return `section.key` -> value for every setting, in the order of the models."""
    flattened: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if hasattr(type(value), "model_fields"):
            flattened |= flat(value, f"{prefix}{name}.")
        else:
            flattened[prefix + name] = value
    return flattened


def sentences(model: Any, prefix: str = "") -> dict[str, str]:
    """Return `section.key` -> the sentence that documents it."""
    texts: dict[str, str] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if hasattr(type(value), "model_fields"):
            texts |= sentences(value, f"{prefix}{name}.")
        else:
            texts[prefix + name] = info.description or ""
    return texts


def _read(file: Path) -> dict[str, Any]:
    try:
        content = values.read(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file} must hold keys and values, got {type(content).__name__}.")
    return dict(content)


def _merge_text(merged: dict[str, Any], keys: list[str], value: str, source: str, origin: dict[str, str]) -> None:
    """Merge one value given as text; an entry of a map leaves the map's other entries."""
    try:
        nested = values.parse(value, keys)
    except values.InvalidValueError as error:
        raise ConfigError(f"{source}: the value of {'.'.join(keys)} {error}, got {value!r}.") from None
    _merge(merged, nested, source, origin, below=".".join(keys))


def _or_config_error(read: Callable[[], T]) -> T:
    try:
        return read()
    except values.InvalidValueError as error:
        raise ConfigError(f"{error} `pinlake config` lists all settings.") from None


@cache
def _secrets() -> frozenset[str]:
    """Return the keys of settings that must not be shown."""
    return frozenset(key for key, value in flat(Settings()).items() if isinstance(value, SecretStr))


def _refuse_shown_secrets(settings: Settings, origin: Mapping[str, str]) -> None:
    by_key = flat(settings)
    for key in sorted(_secrets()):
        source = origin.get(key, PREFIX)
        if by_key[key].get_secret_value() and not source.startswith(PREFIX):
            raise ConfigError(
                f"{source} gives {key}, a secret, which files and process lists show to others: give it as "
                f"{PREFIX}{key.upper().replace('.', '__')} in the environment, and change it where it was seen."
            )


def _merge(
    into: dict[str, Any], new: Mapping[str, Any], source: str, origin: dict[str, str], path: str = "", below: str = ""
) -> None:
    for key, value in new.items():
        full = f"{path}{key}"
        if isinstance(value, Mapping) and (full not in _MAPS_OF_DATA or below.startswith(f"{full}.")):
            inner = into.setdefault(key, {})
            if isinstance(inner, dict):
                _merge(inner, value, source, origin, f"{full}.", below)
                continue
        into[key] = value
        origin[full] = source


def _source_of(key: str, origin: dict[str, str]) -> str | None:
    """Return the source of a key, of something below it, or of the map that contains it."""
    below = [source for name, source in origin.items() if name == key or name.startswith(f"{key}.")]
    parts = key.split(".")
    above = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return below[-1] if below else next((origin[name] for name in above if name in origin), None)


def _suggestion(path: tuple[int | str, ...]) -> str:
    """Return a suggestion for an unknown key: the same name in another section, or a similar one in its own."""
    *above, last = map(str, path)
    elsewhere = [key for key in flat(Settings()) if key.rpartition(".")[2] == last]
    if elsewhere:
        return f" Did you mean {' or '.join(elsewhere[:3])}?"
    similar = [".".join([*above, name]) for name in names.near(last, values.names_below(above))]
    return f" Did you mean {' or '.join(similar)}?" if similar else ""


def _sources_named_in(message: str, origin: dict[str, str]) -> str:
    """Return the sources of the settings that a message names."""
    words = {word for word in re.findall(r"[\w.]*\w", message) if "." in word}
    sources = [source for name, source in origin.items() if any(f"{name}.".startswith(f"{word}.") for word in words)]
    return " and ".join(dict.fromkeys(sources))


def _validated(merged: dict[str, Any], origin: dict[str, str]) -> Settings:
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        source = _source_of(key, origin) or "the settings"
        if first["type"] == "extra_forbidden":
            hint = _suggestion(first["loc"])
            raise ConfigError(f"{source}: no setting is called {key!r}.{hint} `pinlake config` lists all.") from None
        if first["type"] == "value_error":  # a validator of ours, about several values
            message = str(first["msg"]).removeprefix("Value error, ")
            raise ConfigError(f"{_sources_named_in(message, origin) or source}: {message}.") from None
        raise ConfigError(f"{source}: {key} = {first.get('input')!r}: {first['msg']}.") from None

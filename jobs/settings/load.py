"""`conf/` merged once into frozen models.

Later wins: defaults in the model, conf/base/*.yaml, conf/<env>/*.yaml, variables PINLAKE_<SECTION>__<KEY>, and
--set section.key=value.
The environment is chosen by PINLAKE_ENV (local unless set). A key that no model knows is an error naming file and key,
and so is a name in a map that names nothing (jobs/settings/names.py).
"""

import hashlib
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
from jobs.settings import Settings, names
from jobs.settings import cross_checks as pairs
from jobs.settings import values as given

ENV_VARIABLE = "PINLAKE_ENV"
PREFIX = given.PREFIX
T = TypeVar("T")
RESERVED = frozenset(
    (ENV_VARIABLE, "PINLAKE_CONF", "PINLAKE_SOURCE_PASSWORD", "PINLAKE_AGAINST_PASSWORD", "PINLAKE_SHARED")
)
"""Variables that are no settings: what commands and tests take from the environment."""


@dataclass
class Loaded:
    """Settings and where each value came from."""

    settings: Settings
    root: Path
    """Folder that relative paths start at: the one conf/ lies in."""
    env: str
    origin: dict[str, str] = field(default_factory=dict)
    """`section.key` -> file, variable or option that set it; defaults are absent."""

    def where(self, key: str) -> str:
        """Return what set a key, or something below it: file, variable or option; "default" if nothing did."""
        below = [place for name, place in self.origin.items() if name.startswith(f"{key}.")]
        return self.origin.get(key) or (below[-1] if below else "default")

    def by(self, key: str) -> str:
        """Return what gave a key, or the map it stands in."""
        return _giver(key, self.origin) or "the settings"

    def path(self, value: str) -> str:
        """Return `value` as given if it is a URI or absolute, else below the project's root."""
        return value if "://" in value or Path(value).is_absolute() else str(self.root / value)


def conf_dir() -> Path:
    """Return the conf folder: PINLAKE_CONF, else ./conf, else the one beside the package."""
    named = os.environ.get("PINLAKE_CONF")
    here = Path.cwd() / "conf"
    found = Path(named) if named else here if here.is_dir() else Path(__file__).resolve().parents[2] / "conf"
    if not found.is_dir():
        raise ConfigError(f"No configuration folder at {found}: set PINLAKE_CONF to the project's conf/.")
    return found


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
            section = {file.stem: _read(file)}
            _merge(merged, section, f"conf/{part}/{file.name}", origin)
    for name, keys in _mistakes(lambda: given.variables(os.environ, RESERVED)).items():
        _give(merged, keys, os.environ[name], name, origin)
    for option in sets:
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"--set takes section.key=value, got {option!r}.")
        _give(merged, key.strip().split("."), value, "--set", origin)
    settings = _check(merged, origin)
    _refuse_shown_secrets(settings, origin)
    loaded = Loaded(settings, folder.resolve().parent, env, origin)
    for said in pairs.misfits(settings):
        raise ConfigError(f"{_givers(said, origin) or 'the settings'}: {said}.")
    names.check(settings, loaded.root / "expectations", loaded.by)
    return loaded


def fingerprint(settings: Settings, sections: Iterable[str]) -> str:
    """Return a digest of the named sections: equal settings, equal digest."""
    digest = hashlib.sha256()
    for name in sorted(sections):
        digest.update(f"{name}={getattr(settings, name).model_dump_json()}".encode())
    return digest.hexdigest()[:16]


def flat(model: Any, prefix: str = "") -> dict[str, Any]:
    """Return `section.key` -> value for every setting, in the order the models state."""
    values: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if hasattr(type(value), "model_fields"):
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def sentences(model: Any, prefix: str = "") -> dict[str, str]:
    """Return `section.key` -> the sentence that explains it."""
    found: dict[str, str] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if hasattr(type(value), "model_fields"):
            found |= sentences(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = info.description or ""
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        content = given.read(file.read_text(), given.section(file.stem))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file} must hold keys and values, got {type(content).__name__}.")
    return dict(content)


def _give(merged: dict[str, Any], keys: list[str], value: str, where: str, origin: dict[str, str]) -> None:
    """Merge one value given as text; what is given below a name of a map leaves the map's other names."""
    try:
        nested = given.parse(value, keys)
    except given.Mistaken as mistake:
        raise ConfigError(f"{where}: the value of {'.'.join(keys)} {mistake}, got {value!r}.") from None
    _merge(merged, nested, where, origin, below=".".join(keys))


def _mistakes(read: Callable[[], T]) -> T:
    try:
        return read()
    except given.Mistaken as mistake:
        raise ConfigError(f"{mistake} `pinlake config` lists the settings there are.") from None


@cache
def _secrets() -> frozenset[str]:
    """Return the keys of settings that must not be shown."""
    return frozenset(key for key, value in flat(Settings()).items() if isinstance(value, SecretStr))


def _refuse_shown_secrets(settings: Settings, origin: Mapping[str, str]) -> None:
    values = flat(settings)
    for key in sorted(_secrets()):
        where = origin.get(key, PREFIX)
        if values[key].get_secret_value() and not where.startswith(PREFIX):
            raise ConfigError(
                f"{where} gives {key}, a secret, which files and process lists show to others: give it as "
                f"{PREFIX}{key.upper().replace('.', '__')} in the environment, and change it where it was seen."
            )


# Maps whose keys are data, not names of settings: a later file replaces them whole.
_WHOLE = {
    "ranking.arms",
    "ranking.arm_settings",
    "platform.spark.conf",
    "ingest.tables",
    "ingest.topics",
    "ingest.brokers.properties",
}


def _merge(
    into: dict[str, Any], new: Mapping[str, Any], where: str, origin: dict[str, str], path: str = "", below: str = ""
) -> None:
    for key, value in new.items():
        full = f"{path}{key}"
        if isinstance(value, Mapping) and (full not in _WHOLE or below.startswith(f"{full}.")):
            inner = into.setdefault(key, {})
            if isinstance(inner, dict):
                _merge(inner, value, where, origin, f"{full}.", below)
                continue
        into[key] = value
        origin[full] = where


def _giver(key: str, origin: dict[str, str]) -> str | None:
    """Return what gave a key, or something below it, or the map it stands in."""
    below = [place for name, place in origin.items() if name == key or name.startswith(f"{key}.")]
    parts = key.split(".")
    above = (".".join(parts[:upto]) for upto in range(len(parts) - 1, 0, -1))
    return below[-1] if below else next((origin[one] for one in above if one in origin), None)


def _meant(place: tuple[int | str, ...]) -> str:
    """Return what a key that is unknown may be a slip of: one of another section, or one beside it."""
    *above, last = map(str, place)
    elsewhere = [key for key in flat(Settings()) if key.rpartition(".")[2] == last]
    if elsewhere:
        return f" Did you mean {' or '.join(elsewhere[:3])}?"
    beside = [".".join([*above, name]) for name in names.near(last, given.names_below(above))]
    return f" Did you mean {' or '.join(beside)}?" if beside else ""


def _givers(said: str, origin: dict[str, str]) -> str:
    """Return what gave the settings that a sentence names."""
    words = {word for word in re.findall(r"[\w.]*\w", said) if "." in word}
    found = [place for name, place in origin.items() if any(f"{name}.".startswith(f"{word}.") for word in words)]
    return " and ".join(dict.fromkeys(found))


def _check(merged: dict[str, Any], origin: dict[str, str]) -> Settings:
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = _giver(key, origin) or "the settings"
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"{where}: no setting is called {key!r}.{_meant(first['loc'])} `pinlake config` lists those there are."
            ) from None
        if first["type"] == "value_error":  # a sentence of our own, about several values
            said = str(first["msg"]).removeprefix("Value error, ")
            raise ConfigError(f"{_givers(said, origin) or where}: {said}.") from None
        raise ConfigError(f"{where}: {key} = {first.get('input')!r}: {first['msg']}.") from None

"""Settings that record which of their values a run has read, so that only a change of those makes its result stale."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from jobs.settings import Settings


class RecordedSettings:
    """A section of the settings, or all of them; attributes are those of the model, and are recorded when read.

    Whatever takes a section whole (pickling it for Python workers, comparing or copying it) records all of its values.
    """

    __slots__ = ("_model", "_prefix", "_read")

    def __init__(self, model: BaseModel, read: set[str], prefix: str = "") -> None:
        """Nothing is recorded yet.

        Args:
            model: the section.
            read: receives the keys that are read, such as ranking.feed_length.
            prefix: of the section's keys.
        """
        self._model, self._read, self._prefix = model, read, prefix

    def __getattr__(self, name: str) -> Any:
        if name not in type(self._model).model_fields:
            return getattr(self._whole(), name)
        value = getattr(self._model, name)
        if isinstance(value, BaseModel):
            return RecordedSettings(value, self._read, f"{self._prefix}{name}.")
        self._read.add(f"{self._prefix}{name}")
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return _unwrapped, (self._whole(),)

    def __eq__(self, other: object) -> bool:
        return bool(self._whole() == _unwrapped(other))

    def __hash__(self) -> int:
        return hash(self._whole())

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self._whole()

    def _whole(self) -> BaseModel:
        self._read.update(_keys(self._model, self._prefix))
        return self._model


def _unwrapped(value: Any) -> Any:
    return value._whole() if isinstance(value, RecordedSettings) else value


def _keys(model: BaseModel, prefix: str) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def setting_values(settings: Settings, keys: Iterable[str]) -> dict[str, str]:
    """Return key -> value as JSON, sorted by key; a setting that does not exist has the value ``absent``."""
    return {key: _value(settings, key) for key in sorted(keys)}


def _value(settings: Settings, key: str) -> str:
    *sections, name = key.split(".")
    model: Any = settings
    for section in sections:
        model = getattr(model, section, None)
    if not isinstance(model, BaseModel) or name not in type(model).model_fields:
        return "absent"
    return json.dumps(model.model_dump(mode="json", include={name})[name], sort_keys=True)


def digest_of(values: Mapping[str, str]) -> str:
    """Return a digest of settings' values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def all_values(settings: Settings) -> dict[str, str]:
    """Return the values of all settings but those of the platform, which say where and how jobs run."""
    return setting_values(settings, (key for key in _keys(settings, "") if not key.startswith("platform.")))

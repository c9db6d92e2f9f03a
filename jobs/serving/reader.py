"""Reads the served generation: the class that an online service uses.

The service copies jobs/serving and jobs/common (errors.py, locks.py). It needs Python's standard library, protobuf,
zstandard and the client of its store; no Spark, pandas or numpy. Opens in milliseconds.

    reader = Reader.open("/srv/pinlake/store")
    with reader.view() as view:            # one request, one generation
        feed = view.home_feed(1234)
        cards = [view.card(item.pin_id) for item in feed.items]
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.common.errors import StoreError
from jobs.serving.codec import (
    DEFAULT_SEGMENT,
    MANIFEST_KEY,
    card_key,
    decode_card,
    decode_feed,
    decode_related,
    fallback_key,
    feed_key,
    related_key,
)
from jobs.serving.manifest import Manifest
from jobs.serving.models import Feed, PinCard, Pointer, Related
from jobs.serving.registry import open_store
from jobs.serving.stores import Access, GenerationHandle, Store


class View:
    """One generation: every answer comes from it."""

    def __init__(self, generation: str, opened: GenerationHandle) -> None:
        self.generation = generation
        self.opened = opened
        self.users = 0
        """Requests that use it; counted by the reader."""

    def home_feed(self, user_id: int, segment: str | None = None) -> Feed | None:
        """Return the user's feed, else the fallback of `segment`, else the common fallback; None if there is none."""
        keys = [
            feed_key(user_id),
            *([fallback_key(segment)] if segment else []),
            fallback_key(DEFAULT_SEGMENT),
        ]
        for key in keys:
            value = self.opened.get(key)
            if value is not None:
                return decode_feed(key, value, self.generation)
        return None

    def related(self, pin_id: int) -> Related | None:
        """Return a pin's related pins, None if there are none."""
        value = self.opened.get(key := related_key(pin_id))
        return None if value is None else decode_related(key, value, self.generation)

    def card(self, pin_id: int) -> PinCard | None:
        """Return a pin's card; None for a pin that is not public, gone, or in no list."""
        value = self.opened.get(key := card_key(pin_id))
        return None if value is None else decode_card(key, value)

    def cards(self, pin_ids: list[int]) -> dict[int, PinCard]:
        """Return the cards there are, in one round trip."""
        keys = [card_key(pin) for pin in pin_ids]
        values = self.opened.get_many(keys)
        return {pin: decode_card(k, v) for pin, k, v in zip(pin_ids, keys, values, strict=True) if v is not None}

    def manifest(self) -> Manifest:
        """Return the generation's manifest."""
        return Manifest.read(self.opened.get(MANIFEST_KEY), self.generation)


class Reader:
    """Follows the pointer. One per process; safe to use from several threads.

    The pointer is read again at most every `refresh_seconds`, so a promotion is seen at most that late. A generation
    stays open for the requests that began with it.
    """

    def __init__(self, store: Store, refresh_seconds: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._refresh = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._pointer: Pointer | None = None
        self._read_at = float("-inf")
        self._views: dict[str, View] = {}

    @staticmethod
    def open(
        where: str | Path, kind: str = "rocksdb", refresh_seconds: float = 2.0, access: Access | None = None
    ) -> "Reader":
        """Return a reader of the store at `where`: a folder, or servers as host:port, separated by commas."""
        return Reader(open_store(kind, str(where), access), refresh_seconds)

    def pointer(self) -> Pointer:
        """Return the pointer, at most `refresh_seconds` old; StoreError if nothing has been published."""
        with self._lock:
            return self._newest()

    @contextmanager
    def view(self) -> Iterator[View]:
        """Give the served generation for one request."""
        with self._lock:
            view = self._served()
            view.users += 1
        try:
            yield view
        finally:
            with self._lock:
                view.users -= 1
                self._close_idle()

    def at(self, generation: str) -> View:
        """Return a named generation, served or not; the caller closes `.opened`."""
        return View(generation, self.store.open(generation))

    def home_feed(self, user_id: int, segment: str | None = None) -> Feed | None:
        """Return `View.home_feed` of the served generation."""
        with self.view() as view:
            return view.home_feed(user_id, segment)

    def related(self, pin_id: int) -> Related | None:
        """Return `View.related` of the served generation."""
        with self.view() as view:
            return view.related(pin_id)

    def card(self, pin_id: int) -> PinCard | None:
        """Return `View.card` of the served generation."""
        with self.view() as view:
            return view.card(pin_id)

    def close(self) -> None:
        """Close all generations."""
        with self._lock:
            for view in self._views.values():
                view.opened.close()
            self._views.clear()
            self._read_at = float("-inf")

    def _newest(self) -> Pointer:
        if self._clock() - self._read_at >= self._refresh or self._pointer is None:
            self._pointer = self.store.read_pointer()
            self._read_at = self._clock()
        if self._pointer is None:
            raise StoreError("Nothing has been published yet: run `pinlake flow --as-of DAY` (or `make demo`).")
        return self._pointer

    def _served(self) -> View:
        name = self._newest().current
        if name not in self._views:
            try:
                self._views[name] = self.at(name)
            except StoreError:  # pruned since the pointer was read
                self._read_at = float("-inf")
                name = self._newest().current
                self._views[name] = self.at(name)
            self._close_idle()
        return self._views[name]

    def _close_idle(self) -> None:
        current = self._pointer.current if self._pointer else ""
        for name in [n for n, view in self._views.items() if n != current and not view.users]:
            self._views.pop(name).opened.close()

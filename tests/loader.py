"""A publisher as a process of its own, for tests that kill it: `python -m tests.loader KIND WHERE`."""

import sys
from typing import Any

from jobs.serving.manifest import Manifest
from jobs.serving.registry import open_store
from jobs.serving.stores import Access
from tests.feeds import DAY, content_of, feed

ACCESS = Access(lease_seconds=2)
FEEDS = {
    "g1": dict(sorted(feed(user, list(range(user, user + 10))) for user in range(500))),
    "g2": dict(sorted(feed(user, list(range(user, user + 20))) for user in range(2000))),
}
_PART = 100


def publish(store: Any, name: str = "g2", before: str = "g1") -> None:
    """Serve a generation instead of the one before it, as the publish job does: what an earlier run did is kept."""
    with store.lease():
        print("begun", flush=True)
        store.gc()
        served = store.read_pointer()
        if not served or served.current != name:
            if name not in store.generations():
                load(store, name)
            store.promote(served, name)
        store.drop(before)


def load(store: Any, name: str) -> None:
    """Load a generation part by part, read it back, commit it."""
    pairs = list(FEEDS[name].items())
    store.begin(name)
    store.stage(name, [store.load(name, pairs[i : i + _PART]) for i in range(0, len(pairs), _PART)])
    assert is_whole(store, name)
    store.commit(name, Manifest(name, DAY, content_of(pairs)).value())


def is_whole(store: Any, name: str) -> bool:
    """Say whether every value of a generation is read back as it was loaded."""
    with store.open(name) as opened:
        return opened.get_many(list(FEEDS[name])) == list(FEEDS[name].values())


if __name__ == "__main__":
    publish(open_store(sys.argv[1], sys.argv[2], ACCESS))

"""Peak memory of a run: this process, the JVM and the Python workers together, sampled."""

import threading

import psutil


class PeakMemory:
    """Context manager; `megabytes` is the greatest sum of resident memory seen."""

    def __init__(self, every_seconds: float = 0.5) -> None:
        self.every = every_seconds
        self.megabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while True:
            self.megabytes = max(self.megabytes, _resident(me) / 1e6)
            if self._stop.wait(self.every):
                return


def _resident(process: psutil.Process) -> int:
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.Error:  # gone between listing and asking
            continue
    return total

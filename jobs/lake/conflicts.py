"""What a failed commit raises, turned into the error a person can act on."""

from typing import Any

from jobs.common.errors import ConcurrentRunError, MissingDependencyError

LOST = "another run committed first; nothing of this run was kept. Run it again."


class CommitErrors:
    """Turn what the commit of a table raises into the error a person can act on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Re-raise conflicts as ConcurrentRunError and a full disk as MissingDependencyError."""
        text = str(error) if error else ""
        if "Concurrent" in type(error).__name__ or "DELTA_CONCURRENT" in text:
            raise ConcurrentRunError(f"{self.name}: {LOST}") from error
        if "No space left on device" in text:
            raise MissingDependencyError(
                f"{self.name}: no space left on the disk of the lake; nothing was committed. Free space, run again."
            ) from error

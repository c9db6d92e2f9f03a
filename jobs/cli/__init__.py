"""The command line: `pinlake …`. Heavy imports are inside functions, so that looking starts in under a second."""

from jobs.cli.app import main

__all__ = ["main"]

"""Definition of a job: its function and the tables that it reads and writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One step of the flow (jobs/flow.py). The runner (jobs/engine/runner.py) does everything around its function."""

    name: str
    """stage.step, such as features.interactions."""
    summary: str
    """One sentence or noun phrase for README and `pinlake --help`."""
    function: str
    """module:function, imported when run."""
    reads: tuple[str, ...] = ()
    """Tables read at the as-of date; `name@horizon` horizon_days before it, `name@yesterday` the day before."""
    optional_reads: tuple[str, ...] = ()
    """Tables read if an earlier run made them, empty otherwise; no run is planned to make them."""
    writes: str | None = None
    """Table written; None for an action."""
    sub_partition: str | None = None
    """Value of the table's sub-partition column that this job fills."""

    @property
    def stage(self) -> str:
        """Return the part of the name before the dot."""
        return self.name.split(".", 1)[0]

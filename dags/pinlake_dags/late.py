"""What happens when a DAG run is late."""

import logging

log = logging.getLogger(__name__)


async def say(dag: str, hours: float, **_: object) -> None:
    """Write a line to the triggerer's log; the UI's Deadlines page shows the miss as well."""
    log.warning("%s takes %s hours longer than its last runs did. Look at its grid in the UI.", dag, hours)

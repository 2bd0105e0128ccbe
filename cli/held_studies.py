"""Prints the held studies for `totalmap gateway held`, without patients."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table

from gateway.config import GatewaySettings
from gateway.store.conflict import Conflict
from gateway.store.conflicts import ConflictList
from gateway.store.database import open_existing_database
from totalmap.dicom.instance_comparison import attribute_name

# The end of a UID, where UIDs differ.
UID_CHARACTERS = 12
ATTRIBUTES_SHOWN = 6


def held_lines(settings: GatewaySettings) -> Iterator[str | Table]:
    """Yields the held studies, without patients, as a table.

    Raises:
        ConfigError, ResourceError: The database can't be opened, or fails.
    """
    with open_existing_database(settings) as database:
        conflicts = ConflictList(database)
        undecided = conflicts.undecided()
        yield f"Held studies: {len(undecided)}"
        if undecided:
            table = Table("Study", "Found", "Conflict", "Differs in", "Set aside", "Sent by")
            for conflict in undecided:
                senders = {kept.sender for kept in conflicts.instances(conflict.conflict_id)}
                table.add_row(*_held_cells(conflict), ", ".join(sorted(senders)))
            yield table


def _held_cells(conflict: Conflict) -> tuple[str, ...]:
    names = [attribute_name(keyword) for keyword in conflict.keywords]
    more = len(names) - ATTRIBUTES_SHOWN
    shown = names[:ATTRIBUTES_SHOWN] + ([f"{more} more"] if more > 0 else [])
    return (
        f"…{conflict.study_instance_uid[-UID_CHARACTERS:]}",
        datetime.fromtimestamp(conflict.found_at).astimezone().strftime("%Y-%m-%d %H:%M"),
        ", ".join(conflict.kinds),
        ", ".join(shown),
        f"{conflict.n_instances} instances",
    )

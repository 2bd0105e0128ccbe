"""What is deleted, and when."""

from typing import Annotated

from pydantic import Field

from totalmap.settings_file import Section


class RetentionSection(Section):
    """What is deleted, and when: never before every destination has its results.

    Where a destination is asked for storage commitment, never before it has committed itself.

    Attributes:
        sources_days: After the last delivery; None: sources stay.
        results_days: The same for results.
        failed_days: For all of a study whose job is dead or was cancelled; None: it stays.
        history_days: For what is on record of a study whose files are gone, and for all other
            events, when they are written wherever the audit trail goes; None: it stays.
    """

    sources_days: Annotated[float, Field(ge=0)] | None = None
    results_days: Annotated[float, Field(ge=0)] | None = None
    failed_days: Annotated[float, Field(ge=0)] | None = None
    history_days: Annotated[float, Field(ge=0)] | None = 3650.0

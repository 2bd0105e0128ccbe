"""The `retention` section: what is deleted, and when."""

from typing import Annotated

from pydantic import Field

from totalmap.settings_file import Section


class RetentionSection(Section):
    """What is deleted, and when: never before every destination has the results.

    If a destination is asked for storage commitment, never before it has committed itself.

    Attributes:
        sources_days: Days after the last delivery until sources are deleted; None: they stay.
        results_days: The same for results.
        failed_days: The same for all files of a study whose job is dead, held or cancelled.
        history_days: The same for what is on record of a study whose files are deleted, and for all
            other events, once they are in the audit trail.
    """

    sources_days: Annotated[float, Field(ge=0)] | None = None
    results_days: Annotated[float, Field(ge=0)] | None = None
    failed_days: Annotated[float, Field(ge=0)] | None = None
    history_days: Annotated[float, Field(ge=0)] | None = 3650.0

"""The `retention` section: when sources, results and histories are deleted."""

from typing import Annotated

from pydantic import Field

from totalmap.settings_file import Section


class RetentionSection(Section):
    """When sources, results and histories are deleted.

    Nothing is deleted before every destination has the results and, if it is asked for storage
    commitment, has committed itself.

    Attributes:
        sources_days: Days after the last delivery until sources are deleted; None: they stay.
        results_days: The same for results.
        failed_days: The same for all files of a study whose job is dead, held or cancelled.
        history_days: The same for jobs and events of a study whose files are deleted, and for all
            other events, once they are in the audit trail.
    """

    sources_days: Annotated[float, Field(ge=0)] | None = None
    results_days: Annotated[float, Field(ge=0)] | None = None
    failed_days: Annotated[float, Field(ge=0)] | None = None
    history_days: Annotated[float, Field(ge=0)] | None = 3650.0

"""The `review` section: which results people review, and what their decisions write."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from totalmap.finding import Verdict
from totalmap.settings_file import Section


class ReviewSection(Section):
    """Which results people review, and what their decisions write.

    Attributes:
        verdicts: Results with these verdicts of quality control wait for review.
        verified_reports: Whether reviewers may verify the measurements when they accept results.
            It is a legal act: a copy of the DICOM SR names the reviewer as Verifying Observer, and
            goes to the destinations.
        organization: The Verifying Organization of these reports; verified_reports needs it.
    """

    verdicts: tuple[Verdict, ...] = Field(default=(Verdict.REVIEW, Verdict.REJECT))
    verified_reports: bool = False
    organization: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _organization_is_named(self) -> Self:
        if self.verified_reports and self.organization is None:
            raise ValueError("verified_reports needs organization, which stands in each report")
        return self

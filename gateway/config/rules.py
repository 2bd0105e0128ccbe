"""When a study is complete, and what is made of it."""

from collections.abc import Mapping
from typing import Self

from pydantic import (
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.config.values import AeTitle, Name
from totalmap.finding import Verdict
from totalmap.selection_settings import Pattern
from totalmap.settings import Settings
from totalmap.settings_errors import explain
from totalmap.settings_file import Section


class CompleteSection(Section):
    """When a study is taken to be complete.

    Attributes:
        quiet_seconds: After all senders of it have released their associations.
        quiet_unreleased_seconds: After its last instance, where one has not, or was cut off, or
            the source has more.
        source: The destination that is asked how many instances a study has there, by C-FIND or
            QIDO-RS; with all of them it is complete at once. None: nobody is asked.
        ask_seconds: Between two questions after the same study.
    """

    quiet_seconds: PositiveFloat = 5.0
    quiet_unreleased_seconds: PositiveFloat = 60.0
    source: Name | None = None
    ask_seconds: PositiveFloat = 3.0


class RuleSection(Section):
    """Which studies are segmented, how, and where the results go; every rule that fits applies.

    What is wanted of a study is wanted of one of its series; an empty list wants nothing.

    Attributes:
        name: Shown with every job of the rule.
        senders: AE titles, or what else names who sent it.
        modalities: Such as CT.
        body_parts: Regular expressions, found anywhere in Body Part Examined.
        descriptions: Regular expressions, found in the description of the study or the series.
        min_instances: Images; fewer are no study worth a job.
        urgent: Whether its jobs start before all that are not.
        application: Sections of app.yaml, laid over `work.settings_file`.
        destinations: By name; `sender` is the destination whose AE title sent the study.
        review_destinations: Of results that are to be reviewed; None: as `destinations`.
        reject_destinations: Of results that are not to be believed, which come marked so, with a
            Key Object Selection that rejects them; no name: they are held back. None: it is as
            the application's quality.rejected says.
    """

    name: Name = "ct"
    senders: tuple[AeTitle, ...] = ()
    modalities: tuple[str, ...] = ("CT",)
    body_parts: tuple[Pattern, ...] = ()
    descriptions: tuple[Pattern, ...] = ()
    min_instances: PositiveInt = 1
    urgent: bool = False
    application: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    destinations: tuple[str, ...] = ()
    review_destinations: tuple[str, ...] | None = None
    reject_destinations: tuple[str, ...] | None = None

    @field_validator("application")
    @classmethod
    def _application_knows_its_settings(
        cls, sections: dict[str, dict[str, JsonValue]]
    ) -> dict[str, dict[str, JsonValue]]:
        try:
            Settings.model_validate(sections)
        except ValidationError as error:
            raise ValueError(explain(Settings, error)) from None
        return sections

    @model_validator(mode="after")
    def _rejected_is_said_once(self) -> Self:
        quality = self.application.get("quality", {})
        if self.reject_destinations is not None and "rejected" in quality:
            raise ValueError(
                "reject_destinations and application.quality.rejected say the same; leave one out"
            )
        return self

    @property
    def destinations_of(self) -> Mapping[Verdict, tuple[str, ...]]:
        """The destinations of results with each verdict on them, where none is held back."""
        return {
            Verdict.OK: self.destinations,
            Verdict.REVIEW: _first_given(self.review_destinations, self.destinations),
            Verdict.REJECT: _first_given(self.reject_destinations, self.destinations),
        }

    @property
    def whole_application(self) -> dict[str, dict[str, JsonValue]]:
        """`application` with what `reject_destinations` asks of it."""
        if self.reject_destinations is None:
            return self.application
        rejected = "deliver" if self.reject_destinations else "hold"
        quality = {**self.application.get("quality", {}), "rejected": rejected}
        return {**self.application, "quality": quality}


def _first_given(names: tuple[str, ...] | None, others: tuple[str, ...]) -> tuple[str, ...]:
    return others if names is None else names

"""The `complete` and `rules` sections: when a study is complete, and which jobs it makes."""

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

from gateway.config.value_types import AeTitle, Name
from totalmap.finding import Verdict
from totalmap.selection_settings import Pattern
from totalmap.settings import Settings
from totalmap.settings_errors import explain
from totalmap.settings_file import Section


class CompleteSection(Section):
    """When a study counts as complete.

    Attributes:
        quiet_seconds: A study is complete if no instance came for so long and all its senders have
            released their associations.
        quiet_unreleased_seconds: The same if a sender has not released its association or was cut
            off, or if the source has more instances.
        source: The destination that is asked by C-FIND or QIDO-RS how many instances a study has;
            with all of them the study is complete at once. None: no destination is asked.
        ask_seconds: The time between two queries for the same study.
    """

    quiet_seconds: PositiveFloat = 5.0
    quiet_unreleased_seconds: PositiveFloat = 60.0
    source: Name | None = None
    ask_seconds: PositiveFloat = 3.0


class RuleSection(Section):
    """Which studies are segmented, how, and where the results go; every matching rule applies.

    One series of a study has to meet all conditions; an empty list is no condition.

    Attributes:
        name: The name of the rule, shown with its jobs.
        senders: AE titles, or other names of senders.
        modalities: Modalities, such as CT.
        body_parts: Regular expressions, to be found in Body Part Examined.
        descriptions: Regular expressions, to be found in the description of the study or the
            series.
        min_instances: The smallest number of images; fewer make no job.
        urgent: Whether its jobs start before all jobs that are not urgent.
        application: Sections of app.yaml that override those of `work.settings_file`.
        destinations: Names of destinations; `sender` is the one whose AE title sent the study.
        review_destinations: Those of results that need review; None: as `destinations`.
        reject_destinations: Those of results that quality control has rejected. These are sent with
            a Key Object Selection that rejects them. Empty: they are held back. None: as
            quality.rejected of the application says.
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
        """The destinations of results, by the verdict on them, if they are not held back."""
        return {
            Verdict.OK: self.destinations,
            Verdict.REVIEW: _first_given(self.review_destinations, self.destinations),
            Verdict.REJECT: _first_given(self.reject_destinations, self.destinations),
        }

    @property
    def whole_application(self) -> dict[str, dict[str, JsonValue]]:
        """`application`, with the setting that `reject_destinations` implies."""
        if self.reject_destinations is None:
            return self.application
        rejected = "deliver" if self.reject_destinations else "hold"
        quality = {**self.application.get("quality", {}), "rejected": rejected}
        return {**self.application, "quality": quality}


def _first_given(names: tuple[str, ...] | None, others: tuple[str, ...]) -> tuple[str, ...]:
    return others if names is None else names

"""Defines the settings of series selection: the section `selection` of app.yaml."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator

from totalmap.settings_file import Section


class Orientation(StrEnum):
    """Orientation of a slice; oblique is more than 35 degrees off the other three."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    OBLIQUE = "oblique"


class Contrast(StrEnum):
    """Whether the header of a series has to name a contrast agent."""

    ANY = "any"
    WITH = "with"
    WITHOUT = "without"


class Criterion(StrEnum):
    """Criteria by which suitable stacks are ranked."""

    ORIGINAL = "original"
    AXIAL = "axial"
    COMPLETE = "complete"
    SOFT_KERNEL = "soft_kernel"
    LONG = "long"
    THIN = "thin"
    MANY_SLICES = "many_slices"
    SHARP_KERNEL = "sharp_kernel"
    WITH_CONTRAST = "with_contrast"
    WITHOUT_CONTRAST = "without_contrast"


USUAL_RANK = (
    Criterion.ORIGINAL,
    Criterion.AXIAL,
    Criterion.COMPLETE,
    Criterion.SOFT_KERNEL,
    Criterion.LONG,
    Criterion.THIN,
    Criterion.MANY_SLICES,
)


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError("it is not a regular expression") from error
    return text


Pattern = Annotated[str, AfterValidator(_check_pattern)]

# Image Types (PS3.3 C.8.2.1.1.1, C.8.15.2.1) of images that are not slices as scanned: overviews,
# projections, reformats, screenshots, and maps whose values are not HU.
IMAGE_TYPES_EXCLUDED = (
    *("LOCALIZER", "MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "VRT", "CPR"),
    *("MPR", "SCREEN SAVE"),
    *("PERFUSION", "CBF", "CBV", "MTT", "TTP", "TMAX", "PERMEABILITY"),
    *("IODINE", "VNC", "EFF_Z", "ELECTRON_DENSITY", "MAT_SPECIFIC", "SUBTRACTION"),
)
# Image Type of series that are segmented if the study has no original slices.
IMAGE_TYPES_FALLBACK = ("SECONDARY",)


class SelectionRule(Section):
    """Rule that says which stacks of slices may be segmented, and which one is preferred.

    Patterns are regular expressions. They match anywhere in the text and ignore case. An empty list
    of patterns allows every value. If a settings file has no `modalities`, `load_settings` fills in
    the modality of the task.
    """

    name: str = Field(default="ct", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    modalities: tuple[str, ...] = ("CT",)
    body_parts: tuple[Pattern, ...] = ()
    descriptions: tuple[Pattern, ...] = ()
    descriptions_excluded: tuple[Pattern, ...] = ()
    image_types: tuple[str, ...] = ()
    image_types_excluded: tuple[str, ...] = IMAGE_TYPES_EXCLUDED
    image_types_fallback: tuple[str, ...] = IMAGE_TYPES_FALLBACK
    kernels: tuple[Pattern, ...] = ()
    contrast: Contrast = Contrast.ANY
    orientations: tuple[Orientation, ...] = ()
    min_slices: int = Field(default=10, ge=2)
    max_slices: PositiveInt | None = None
    min_coverage_mm: PositiveFloat = 20.0
    max_slice_spacing_mm: PositiveFloat = 6.0
    max_slice_thickness_mm: PositiveFloat | None = None
    rank: tuple[Criterion, ...] = USUAL_RANK


class SelectionSection(Section):
    """Selection rules; each rule chooses a stack, and each chosen stack is segmented once."""

    rules: tuple[SelectionRule, ...] = Field(default=(SelectionRule(),), min_length=1)

    @field_validator("rules")
    @classmethod
    def _names_differ(cls, rules: tuple[SelectionRule, ...]) -> tuple[SelectionRule, ...]:
        if len({rule.name for rule in rules}) < len(rules):
            raise ValueError("two rules have the same name")
        return rules

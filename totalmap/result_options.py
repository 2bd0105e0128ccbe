"""Defines choices of the section `results` of app.yaml, and checks its templates."""

from enum import StrEnum

# What can be put into the template of a Series Description.
PLACEHOLDERS = ("task", "variant", "rule", "source_number", "source_description", "version")

# The form of `results.uid_key`: hexadecimal digits, or none.
UID_KEY = r"^[0-9a-f]{0,64}$"


class SegTransferSyntax(StrEnum):
    """How a SEG is encoded: uncompressed, which every reader reads, or deflated and small."""

    NATIVE = "native"
    DEFLATED = "deflated"


class SegSplit(StrEnum):
    """Whether one SEG holds all structures, or each body system has a SEG."""

    NONE = "none"
    BODY_SYSTEM = "body_system"


class RoiNames(StrEnum):
    """The names of ROIs in an RTSTRUCT: TotalSegmentator's, or those of AAPM's TG-263."""

    TOTALSEGMENTATOR = "totalsegmentator"
    TG263 = "tg263"


class Rejected(StrEnum):
    """What is done with results that quality control rejects."""

    HOLD = "hold"
    DELIVER = "deliver"


class NiftiGrid(StrEnum):
    """The grid of the NIfTI file: the slices of the source, or the grid of the network."""

    SOURCE = "source"
    INFERENCE = "inference"


def require_known_placeholders(template: str) -> str:
    """Returns a template of a Series Description.

    Raises:
        ValueError: It has another placeholder than PLACEHOLDERS, or can't be filled in.
    """
    try:
        template.format(**dict.fromkeys(PLACEHOLDERS, ""))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"only {known} can be put in") from error
    return template

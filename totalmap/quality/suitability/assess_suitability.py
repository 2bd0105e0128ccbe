"""Assesses whether a series is what TotalSegmentator's networks were trained for."""

from dataclasses import replace

from totalmap.dicom.volume import Volume
from totalmap.finding import Finding
from totalmap.quality.suitability.ct_value_rules import value_findings
from totalmap.quality.suitability.header_rules import (
    ct_header_findings,
    geometry_findings,
    header_findings,
)
from totalmap.quality.suitability.measure_ct_values import measure


def with_suitability(volume: Volume, task: str) -> Volume:
    """Returns the volume with the findings of `assess_suitability`."""
    return replace(volume, suitability=assess_suitability(volume, task))


def assess_suitability(volume: Volume, task: str) -> tuple[Finding, ...]:
    """Returns the reasons why the result of a task on a volume may be wrong.

    No finding rejects: a network may do well on any input, and the plausibility rules judge its
    labels. Rules about Hounsfield units apply to CT only.

    Args:
        volume: The volume before any resampling; it is not changed.
        task: TotalSegmentator's name of the task.
    """
    of_ct = volume.modality == "CT"
    values = value_findings(measure(volume)) if of_ct else ()
    if not volume.is_dicom:
        return (*geometry_findings(volume, task), *values)
    return (*header_findings(volume), *(ct_header_findings(volume, task) if of_ct else ()), *values)

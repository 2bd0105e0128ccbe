"""Whether a series is what TotalSegmentator's networks were made for, before its labels exist."""

from totalmap.dicom.volume import Volume
from totalmap.finding import Finding
from totalmap.quality.suitability.header_rules import by_geometry, by_headers, by_headers_of_ct
from totalmap.quality.suitability.measures import measure
from totalmap.quality.suitability.value_rules import by_values


def unsuitable(volume: Volume, task: str) -> tuple[Finding, ...]:
    """Returns what makes the result of a task on a volume less believable.

    None of it rejects: a network may do well on any input, and the plausibility of its labels is
    judged by itself. What is said of Hounsfield units holds for CT alone.

    Args:
        volume: As it was read, before any resampling; only looked at.
        task: TotalSegmentator's name of it.
    """
    of_ct = volume.modality == "CT"
    values = by_values(measure(volume)) if of_ct else ()
    if not volume.is_dicom:
        return (*by_geometry(volume, task), *values)
    return (*by_headers(volume), *(by_headers_of_ct(volume, task) if of_ct else ()), *values)

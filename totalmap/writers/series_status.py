"""Describes a series of the study and the decision on it, for status.json and `inspect`.

It imports little, so that `totalmap inspect` starts fast.
"""

from dataclasses import dataclass

from totalmap.dicom.series_selection import SeriesDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStatus:
    """A series of the study, or one volume of a series with several volumes, and the decision."""

    series_instance_uid: str
    number: int | None
    modality: str
    description: str
    instances: int
    volume: int
    volumes: int
    slices: int
    chosen: bool
    rules: tuple[str, ...]
    reason: str


def series_status(decision: SeriesDecision) -> SeriesStatus:
    """Returns the entry of a series, or of one volume of it, in status.json."""
    series, stack = decision.series, decision.stack
    return SeriesStatus(
        series_instance_uid=series.uid,
        number=series.number,
        modality=series.modality,
        description=stack.first.instance.series_description if stack else series.description,
        instances=len(series.instances),
        volume=stack.number if stack else 0,
        volumes=stack.of if stack else 0,
        slices=len(stack.slices) if stack else 0,
        chosen=bool(decision.chosen_by),
        rules=decision.chosen_by,
        reason=decision.reason,
    )

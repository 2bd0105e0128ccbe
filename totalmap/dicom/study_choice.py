"""Chooses one of the studies that an input holds. A study has a number, in the order of its UID.

Nothing of a patient is read or said: a Study Instance UID, a number and counts name a study.
"""

import re
from dataclasses import dataclass, replace

from totalmap.dicom.study import Study
from totalmap.errors import InputError

MOST_LISTED = 20
# What may be repeated in a message: a number or a UID. Anything else may be a name.
_HARMLESS = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEntry:
    """A study of an input.

    Attributes:
        number: From 1, in the order of the Study Instance UIDs.
        of: How many studies the input holds.
        uid: Study Instance UID (0020,000D).
        series: How many series it has.
        images: How many images, frames of multi-frame files included.
    """

    number: int
    of: int
    uid: str
    series: int
    images: int

    def __str__(self) -> str:
        """Returns what tells it from the others."""
        return f"{self.number}: {self.uid}, {self.series} series, {self.images} images"


def list_studies(content: Study) -> tuple[StudyEntry, ...]:
    """Returns the studies that were read, by number."""
    uids = sorted({series.study_instance_uid for series in content.series})
    return tuple(
        StudyEntry(
            number=number,
            of=len(uids),
            uid=uid,
            series=len(of_study(content, uid).series),
            images=sum(
                len(instance.frames)
                for series in of_study(content, uid).series
                for instance in series.instances
            ),
        )
        for number, uid in enumerate(uids, start=1)
    )


def of_study(content: Study, uid: str) -> Study:
    """Returns the series of one study."""
    return replace(
        content,
        series=tuple(series for series in content.series if series.study_instance_uid == uid),
    )


def choose_study(content: Study, wanted: str | None) -> StudyEntry:
    """Returns the study that is wanted, or the only one with images.

    Args:
        content: All that was read.
        wanted: A Study Instance UID, or the number of a study; None: there has to be one alone.

    Raises:
        InputError: There are several and none is wanted, or there is no such study.
    """
    studies = list_studies(content)
    if wanted is None:
        # An ECG or a report of another study beside the images leaves nothing to choose.
        with_images = [study for study in studies if study.images] or studies
        if len(with_images) == 1:
            return with_images[0]
        raise InputError(
            f"the input holds {len(studies)} studies: choose one with --study and its number or "
            "Study Instance UID, or run each in turn with `totalmap run --all` "
            f"({_listed(studies)})"
        )
    for study in studies:
        if wanted.strip() in (study.uid, str(study.number)):
            return study
    asked = f" {wanted}" if _HARMLESS.fullmatch(wanted) else ""
    raise InputError(f"the input holds no study{asked}, only {_listed(studies)}")


def _listed(studies: tuple[StudyEntry, ...]) -> str:
    named = "; ".join(map(str, studies[:MOST_LISTED]))
    more = len(studies) - MOST_LISTED
    return named + (f"; and {more} more, see `totalmap inspect`" if more > 0 else "")

"""Chooses one of the studies of an input. Studies are numbered in the order of their UIDs.

Messages name a study by Study Instance UID, number and counts, never by patient data.
"""

import re
from dataclasses import dataclass, replace

from totalmap.dicom.study import Study
from totalmap.errors import InputError

MOST_LISTED = 20
# A message may quote a number or a UID. Any other text may be a patient's name.
_HARMLESS = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEntry:
    """A study of an input.

    Attributes:
        number: Number from 1, in the order of the Study Instance UIDs.
        of: Number of studies in the input.
        uid: Study Instance UID (0020,000D).
        series: Number of series.
        images: Number of images, including frames of multi-frame files.
    """

    number: int
    of: int
    uid: str
    series: int
    images: int

    def __str__(self) -> str:
        """Returns number, UID and counts."""
        return f"{self.number}: {self.uid}, {self.series} series, {self.images} images"


def list_studies(content: Study) -> tuple[StudyEntry, ...]:
    """Returns the studies of an input, by number."""
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
    """Returns the wanted study, or the only study with images.

    Args:
        content: All studies of the input.
        wanted: Study Instance UID or number of a study; None if there is only one.

    Raises:
        InputError: There are several studies and none is wanted, or the wanted one is missing.
    """
    studies = list_studies(content)
    if wanted is None:
        # Studies without images, such as ECGs or reports, need no choice.
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

"""Detects whether the instances of a study contradict each other, and holds the study if so.

Instances are compared in the order in which they came: the first stays, and one that contradicts
it is set aside. No value of an attribute leaves this file.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.tag import Tag

from gateway.read_stored_header import unreadable
from gateway.store.conflict import AsideReason, Conflict, ConflictKind, Contradiction
from gateway.store.conflicts import ConflictList
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance, Ledger
from totalmap.dicom.file_reader import read_header
from totalmap.dicom.instance_comparison import differing_keywords
from totalmap.dicom.patient_comparison import (
    ATTRIBUTE_NAMES,
    PATIENT_KEYWORDS,
    UNKNOWN,
    Patient,
    disagreements,
    read_patient,
)
from totalmap.log import get_logger

_TAGS = [Tag(keyword) for keyword in ("SpecificCharacterSet", *PATIENT_KEYWORDS)]
_KEYWORD_OF = dict(zip(ATTRIBUTE_NAMES, PATIENT_KEYWORDS, strict=True))

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStudy:
    """A study whose instances were compared.

    Attributes:
        content: The instances that it is made of, in the order in which they came.
        is_held: Whether a user has to decide about it, or has rejected it.
    """

    content: Sequence[KeptInstance]
    is_held: bool


@dataclass(slots=True)
class _Judged:
    """The instances of a study by the result of the comparison."""

    by_uid: dict[str, KeptInstance] = field(default_factory=dict)
    repeated: list[KeptInstance] = field(default_factory=list)
    refused: list[KeptInstance] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)


class ConflictDetector:
    """Compares instances; reads each header of a growing study once."""

    def __init__(self, ledger: Ledger, conflicts: ConflictList, storage: Storage) -> None:
        self._ledger = ledger
        self._conflicts = conflicts
        self._storage = storage
        self._patients: dict[str, dict[str, Patient]] = {}

    def detect(self, study_instance_uid: str) -> ComparedStudy:
        """Compares the instances of a study, and sets aside those that contradict earlier ones.

        Raises:
            ResourceError: The database fails, or a file can't be read now.
        """
        judged = self._judge(study_instance_uid)
        if judged.repeated:
            self._conflicts.set_aside(judged.repeated, AsideReason.REPEATED)
        if judged.refused:
            self._conflicts.set_aside(judged.refused, AsideReason.REFUSED)
        if judged.contradictions:
            self._conflicts.hold(study_instance_uid, judged.contradictions)
            kinds = {kind.value for found in judged.contradictions for kind in found.kinds}
            instances = len(judged.contradictions)
            log.warning("study_held", kinds=sorted(kinds), instances=instances)
        return ComparedStudy(
            content=tuple(judged.by_uid.values()),
            is_held=self._conflicts.is_held(study_instance_uid),
        )

    def replaced_by(self, conflict: Conflict) -> Sequence[KeptInstance]:
        """Returns the instances that a study loses if those set aside for a conflict are taken.

        These are the same instances, and all instances of another patient.

        Raises:
            ResourceError: As `detect`.
        """
        new = self._conflicts.instances(conflict.conflict_id)
        uids = {kept.sop_instance_uid for kept in new}
        patients = {self._patient(kept) for kept in new}
        return [
            kept
            for kept in self._ledger.content(conflict.study_instance_uid)
            if kept.sop_instance_uid in uids or disagreements((*patients, self._patient(kept)))
        ]

    def forget_all_but(self, study_instance_uids: Collection[str]) -> None:
        """Forgets the headers of all studies except some."""
        for uid in [uid for uid in self._patients if uid not in study_instance_uids]:
            del self._patients[uid]

    def _judge(self, study: str) -> _Judged:
        judged, patients = _Judged(), set[Patient]()
        for kept in self._ledger.content(study):
            patient = self._patient(kept)
            first = judged.by_uid.get(kept.sop_instance_uid)
            names = () if patient in patients else disagreements((*patients, patient))
            keywords = self._differences(first, kept)
            if not names and not keywords:
                if first is None:
                    judged.by_uid[kept.sop_instance_uid] = kept
                    patients.add(patient)
                else:
                    judged.repeated.append(kept)
            elif self._is_refused(kept, patient):
                judged.refused.append(kept)
            else:
                found = _contradiction(kept, first, names, keywords)
                judged.contradictions.append(found)
        return judged

    def _is_refused(self, kept: KeptInstance, patient: Patient) -> bool:
        """Whether a user has already decided against the same content."""
        return any(
            not disagreements((patient, self._patient(refused)))
            and not self._differences(refused, kept)
            for refused in self._conflicts.refused(kept.study_instance_uid)
            if refused.sop_instance_uid == kept.sop_instance_uid
        )

    def _differences(self, first: KeptInstance | None, second: KeptInstance) -> tuple[str, ...]:
        if first is None:
            return ()
        paths = self._storage.path(first), self._storage.path(second)
        try:
            return differing_keywords(*paths)
        except OSError as error:
            raise unreadable(paths[1], error) from error

    def _patient(self, kept: KeptInstance) -> Patient:
        of_study = self._patients.setdefault(kept.study_instance_uid, {})
        if kept.sha256 not in of_study:
            of_study[kept.sha256] = _read_patient(self._storage.path(kept))
        return of_study[kept.sha256]


def _contradiction(
    kept: KeptInstance,
    first: KeptInstance | None,
    names: Sequence[str],
    keywords: Sequence[str],
) -> Contradiction:
    kinds = {ConflictKind.PATIENT} if names else set[ConflictKind]()
    if first is not None and first.sender != kept.sender:
        kinds.add(ConflictKind.SENDER)
    if keywords:
        kinds.add(ConflictKind.CONTENT)
    return Contradiction(
        instance=kept,
        kinds=frozenset(kinds),
        keywords=(*(_KEYWORD_OF[name] for name in names), *keywords),
    )


def _read_patient(path: Path) -> Patient:
    """Returns the patient of a file; an unknown one, if its header is broken."""
    try:
        with path.open("rb") as file:
            return read_patient(read_header(file, _TAGS, needs_prefix=True))
    except OSError as error:  # a disk that is away must not let another patient in
        raise unreadable(path, error) from error
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("header_not_read", file=path.name, kind=type(error).__name__)
        return UNKNOWN

"""Describes conflicts: contradictions between the instances of a study."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, exists

from gateway.store.ledger import KeptInstance
from gateway.store.schema import CONFLICTS


class ConflictKind(StrEnum):
    """How instances of a study contradict each other."""

    PATIENT = "patient"
    CONTENT = "content"
    SENDER = "sender"


class ConflictState(StrEnum):
    """The decision about a conflict."""

    OPEN = "open"
    FIRST_KEPT = "first kept"
    NEW_TAKEN = "new taken"
    REJECTED = "study rejected"


class AsideReason(StrEnum):
    """Why an instance is set aside, and so not part of its study.

    `repeated`: the study has the same content in another encoding. `conflict`: no user has decided
    yet. `refused`, `replaced`: a user decided against it, or for another instance.
    """

    REPEATED = "repeated"
    CONFLICT = "conflict"
    REFUSED = "refused"
    REPLACED = "replaced"


HOLDING = (ConflictState.OPEN, ConflictState.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """An instance that contradicts its study.

    Attributes:
        keywords: DICOM keywords of the attributes that differ; `PixelData` for the pixels.
    """

    instance: KeptInstance
    kinds: frozenset[ConflictKind]
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A conflict and its state.

    Attributes:
        keywords: DICOM keywords of all attributes that differ.
        n_instances: The number of instances set aside for it and not decided about.
        found_at: Seconds since 1970, UTC, as all times.
        decided_by: The user; None: no decision yet.
    """

    conflict_id: int
    study_instance_uid: str
    state: ConflictState
    kinds: tuple[ConflictKind, ...]
    keywords: tuple[str, ...]
    n_instances: int
    found_at: float
    decided_at: float | None
    decided_by: str | None

    @property
    def is_decidable(self) -> bool:
        """Whether the study is held because of it."""
        return self.state in HOLDING


def is_held(study_instance_uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Returns the condition that a study is held, for a column with its Study Instance UID."""
    return exists().where(
        CONFLICTS.c.study_instance_uid == study_instance_uid, CONFLICTS.c.state.in_(HOLDING)
    )

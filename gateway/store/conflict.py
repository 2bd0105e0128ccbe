"""What a conflict within a study is, and how it may stand."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, exists

from gateway.store.ledger import KeptInstance
from gateway.store.schema import CONFLICTS


class ConflictKind(StrEnum):
    """In what instances of a study contradict each other."""

    PATIENT = "patient"
    CONTENT = "content"
    SENDER = "sender"


class ConflictState(StrEnum):
    """What was decided about a conflict."""

    OPEN = "open"
    FIRST_KEPT = "first kept"
    NEW_TAKEN = "new taken"
    REJECTED = "study rejected"


class AsideReason(StrEnum):
    """Why an instance is not part of its study.

    `repeated`: the study has the same content in another encoding. `conflict`: nobody has decided
    yet. `refused`, `replaced`: somebody decided against it, or for another one.
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
        keywords: Of the attributes that differ; `PixelData` where the pixels do.
    """

    instance: KeptInstance
    kinds: frozenset[ConflictKind]
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A conflict as it stands.

    Attributes:
        keywords: Of all attributes in which instances differ.
        n_instances: How many were set aside for it and are not decided about.
        found_at: Seconds since 1970, UTC, as all moments are.
        decided_by: The user; None: nobody yet.
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

"""Stores the attributes by which users find a study, and searches for studies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, case, delete, exists, func, or_, select, update

from gateway.store.database import Database
from gateway.store.job import Job, JobState
from gateway.store.job_statements import COLUMNS, job_of
from gateway.store.schema import JOBS, STUDIES, STUDY_ATTRIBUTES
from gateway.store.search_words import search_patterns, search_words

_NOT_INDEXED = STUDIES.c.n_instances - STUDIES.c.n_indexed > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAttributes:
    """The attributes by which users find a study; what is not known is empty.

    Attributes:
        patient_name: For display, such as `Müller, Eva`.
        study_date: In ISO 8601.
        modalities: Of its series, separated by commas.
        other_names: The name in other scripts and spellings, only to search for it.
    """

    study_instance_uid: str
    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""
    modalities: str = ""
    other_names: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnindexedStudy:
    """A study whose attributes are to be read, with its row as it was then."""

    study_instance_uid: str
    n_instances: int
    n_indexed: int


_COLUMNS = tuple(
    STUDY_ATTRIBUTES.c[name] for name in StudyAttributes.__slots__ if name != "other_names"
)


class SearchedState(StrEnum):
    """The state of a job, in the words of the page; or that a study has none."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    NEEDS_REVIEW = "needs review"
    HELD_BACK = "held back"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    NO_JOB = "no job"


_CONDITIONS: Mapping[SearchedState, Any] = {
    SearchedState.WAITING: JOBS.c.state == JobState.QUEUED,
    SearchedState.RUNNING: JOBS.c.state == JobState.RUNNING,
    SearchedState.DONE: (JOBS.c.state == JobState.SEGMENTED) & JOBS.c.reason.is_(None),
    SearchedState.NEEDS_REVIEW: (JOBS.c.state == JobState.SEGMENTED) & JOBS.c.reason.is_not(None),
    SearchedState.HELD_BACK: JOBS.c.state == JobState.HELD,
    SearchedState.FAILED: JOBS.c.state == JobState.DEAD,
    SearchedState.CANCELLED: JOBS.c.state == JobState.CANCELLED,
    SearchedState.SUPERSEDED: JOBS.c.state == JobState.SUPERSEDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """What a user searches for; every condition has to be met, and None or empty is none.

    Attributes:
        patient: The beginnings of words of the name, or of the Patient ID.
        accession_number: Its beginning.
        first_date: The earliest Study Date.
        last_date: The latest Study Date.
        rule: The rule of a job of the study.
        state: The state of this job.
    """

    patient: str = ""
    accession_number: str = ""
    first_date: date | None = None
    last_date: date | None = None
    rule: str = ""
    state: SearchedState | None = None

    def conditions(self) -> Sequence[str]:
        """Returns the names of the conditions that are set, without their values."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


class StudyIndex:
    """The attributes of studies; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        save = database.insert_or(STUDY_ATTRIBUTES)
        self._save = save.on_conflict_do_update(
            index_elements=[STUDY_ATTRIBUTES.c.study_instance_uid],
            set_={
                column.name: save.excluded[column.name]
                for column in STUDY_ATTRIBUTES.c
                if not column.primary_key
            },
        )

    def unindexed(self, limit: int) -> Sequence[UnindexedStudy]:
        """Returns studies whose attributes are to be read; those that came last are first."""
        columns = (STUDIES.c[name] for name in UnindexedStudy.__slots__)
        statement = (
            select(*columns)
            .where(_NOT_INDEXED)
            .order_by(STUDIES.c.last_received_at.desc())
            .limit(limit)
        )
        with self._database.transaction() as connection:
            return [UnindexedStudy(**row._mapping) for row in connection.execute(statement)]

    def count_unindexed(self) -> int:
        """Returns how many studies can't be found yet, or have grown since they were indexed."""
        statement = select(func.count()).select_from(STUDIES).where(_NOT_INDEXED)
        with self._database.transaction() as connection:
            return connection.execute(statement).scalar_one()

    def save(self, found: Iterable[tuple[UnindexedStudy, StudyAttributes | None]]) -> None:
        """Stores the attributes of studies, unless a study has changed or is deleted meanwhile.

        Args:
            found: Studies with their attributes; None: no file of the study can be read.
        """
        with self._database.transaction() as connection:
            for study, attributes in found:
                changed = connection.execute(
                    update(STUDIES)
                    .where(
                        STUDIES.c.study_instance_uid == study.study_instance_uid,
                        STUDIES.c.n_indexed == study.n_indexed,
                    )
                    .values(n_indexed=study.n_instances)
                )
                if changed.rowcount and attributes is not None:
                    connection.execute(self._save, _row(attributes))

    def of(self, study_instance_uid: str) -> StudyAttributes | None:
        """Returns the attributes of a study; None: they are not read yet, or are deleted."""
        statement = select(*_COLUMNS).where(
            STUDY_ATTRIBUTES.c.study_instance_uid == study_instance_uid
        )
        with self._database.transaction() as connection:
            row = connection.execute(statement).first()
        return None if row is None else StudyAttributes(**row._mapping)

    def search(
        self, query: StudyQuery, *, limit: int, offset: int = 0
    ) -> Sequence[StudyAttributes]:
        """Returns the studies that meet a query, the newest Study Date first."""
        statement = (
            select(*_COLUMNS)
            .where(*_conditions(query))
            .order_by(
                STUDY_ATTRIBUTES.c.study_date.desc(), STUDY_ATTRIBUTES.c.study_instance_uid.desc()
            )
            .limit(limit)
            .offset(offset)
        )
        with self._database.transaction() as connection:
            return [StudyAttributes(**row._mapping) for row in connection.execute(statement)]

    def jobs_of(self, study_instance_uids: Iterable[str]) -> Mapping[str, Sequence[Job]]:
        """Returns the jobs of studies, the newest first."""
        found: dict[str, list[Job]] = {study: [] for study in study_instance_uids}
        statement = (
            select(*COLUMNS)
            .where(JOBS.c.study_instance_uid.in_(found))
            .order_by(JOBS.c.created_at.desc(), JOBS.c.job_id)
        )
        with self._database.transaction() as connection:
            for row in connection.execute(statement):
                job = job_of(row)
                found[job.study_instance_uid].append(job)
        return found


def index_again(connection: Connection, study: str) -> None:
    """Forgets the attributes of a study, and has them read again.

    This holds also if they are being read at this moment.
    """
    delete_study_attributes(connection, study)
    of_study = STUDIES.c.study_instance_uid == study
    lower = case((STUDIES.c.n_indexed > 0, -1), else_=STUDIES.c.n_indexed - 1)
    connection.execute(update(STUDIES).where(of_study).values(n_indexed=lower))


def delete_study_attributes(connection: Connection, study: str) -> None:
    """Deletes the attributes of a study, of which no file is left."""
    of_study = STUDY_ATTRIBUTES.c.study_instance_uid == study
    connection.execute(delete(STUDY_ATTRIBUTES).where(of_study))


def _row(attributes: StudyAttributes) -> Mapping[str, str]:
    row: dict[str, str] = asdict(attributes)
    names = (attributes.patient_name, row.pop("other_names"))
    return {
        **row,
        "patient_words": search_words(*names, attributes.patient_id),
        "accession_words": search_words(attributes.accession_number),
    }


def _conditions(query: StudyQuery) -> Sequence[Any]:
    of = STUDY_ATTRIBUTES.c
    searched = ((of.patient_words, query.patient), (of.accession_words, query.accession_number))
    conditions: list[Any] = [
        or_(*(column.like(form, escape="\\") for form in forms))
        for column, text in searched
        for forms in search_patterns(text)
    ]
    if query.first_date is not None:
        conditions.append(of.study_date >= query.first_date.isoformat())
    if query.last_date is not None:
        conditions.append(of.study_date <= query.last_date.isoformat())
        conditions.append(of.study_date != "")
    if query.state is SearchedState.NO_JOB:
        conditions.append(~exists().where(JOBS.c.study_instance_uid == of.study_instance_uid))
    elif query.state is not None or query.rule:
        conditions.append(of.study_instance_uid.in_(_studies_with_job(query)))
    return conditions


def _studies_with_job(query: StudyQuery) -> Any:
    conditions = [JOBS.c.rule == query.rule] if query.rule else []
    if query.state is not None:
        conditions.append(_CONDITIONS[query.state])
    return select(JOBS.c.study_instance_uid).where(and_(*conditions))

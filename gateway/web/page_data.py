"""Collects the data that the pages show; without HTML."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.store.conflict import Conflict
from gateway.store.counts_for_page_and_metrics import (
    GROUP_STATES,
    ArrivingStudy,
    Group,
    ListedDelivery,
    arriving_studies,
    count_jobs,
    deliveries_of,
    list_jobs,
)
from gateway.store.deliveries import Delivery
from gateway.store.events import Event, history
from gateway.store.job import Job
from gateway.store.workers import LOST_SECONDS, Worker
from gateway.web.conflict_page_data import ShownConflict, shown_conflicts
from gateway.web.context import WebContext
from gateway.web.decision_form import DecisionForm, decision_form
from gateway.web.health import Health
from gateway.web.load_and_destinations_page_data import DestinationRow, Load, destination_rows, load
from gateway.web.prepared_views import ViewableSeries, viewable_series
from gateway.web.result_files import (
    PREVIEW_NAME,
    JobReport,
    ResultFile,
    ResultFolder,
    preview,
    result_folders,
)
from gateway.web.stored_reasons import told_job, told_reason
from gateway.web.study_titles import StudyTitle

PAGE_JOBS = 25
# The number of jobs of each group on the first page.
FIRST_PAGE_JOBS: Mapping[Group, int] = {
    Group.FAILED: 5,
    Group.RUNNING: 10,
    Group.WAITING: 8,
    Group.DONE: 10,
}
FIRST_PAGE_ARRIVING = 8
FIRST_PAGE_HELD = 8
# A folder with more files is one line.
LISTED_FILES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job in a list."""

    job: Job
    study_title: StudyTitle
    deliveries: Sequence[ListedDelivery]
    has_preview: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A list of jobs of a group.

    Attributes:
        total: The number of all jobs of the group.
        page: The number of the page, counted from 1.
        page_jobs: The number of jobs on a page.
    """

    group: Group
    rows: Sequence[JobRow]
    total: int
    page: int
    page_jobs: int

    @property
    def first(self) -> int:
        """The number of the first job here, counted from 1."""
        return (self.page - 1) * self.page_jobs + 1

    @property
    def last(self) -> int:
        """The number of the last job here."""
        return self.first + len(self.rows) - 1

    @property
    def pages(self) -> int:
        """The number of pages."""
        return -(-self.total // self.page_jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivingRow:
    """A study that is still being received."""

    study: ArrivingStudy
    study_title: StudyTitle


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A study about which a user has to decide."""

    conflict: Conflict
    study_title: StudyTitle


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker; `works_on` is the title of the study of its job."""

    worker: Worker
    works_on: str
    is_lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The first page, or the list of one group if `group` is set."""

    now: float
    group: Group | None
    counts: Mapping[Group, int]
    sections: Sequence[Section]
    held: Sequence[HeldRow]
    n_held: int
    clock_jump_seconds: float | None
    arriving: Sequence[ArrivingRow]
    n_arriving: int
    is_paused: bool
    is_draining: bool
    workers: Sequence[WorkerRow]
    destinations: Sequence[DestinationRow]
    load: Load
    health: Health
    disk_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJob:
    """A job of a study, with its results and deliveries."""

    job: Job
    deliveries: Sequence[Delivery]
    files: Sequence[ResultFile]
    report: JobReport
    decision_form: DecisionForm | None

    @property
    def previews(self) -> Sequence[ResultFile]:
        """The preview images, one for each series."""
        return [file for file in self.files if file.name == PREVIEW_NAME]

    @property
    def viewable_series(self) -> Sequence[ViewableSeries]:
        """The series that the viewer can show."""
        return viewable_series(self.files)

    @property
    def listed_files(self) -> Sequence[ResultFile]:
        """The files that the page lists one by one."""
        full = {folder.path for folder in self.full_folders}
        return [file for file in self.files if file.folder not in full]

    @property
    def full_folders(self) -> Sequence[ResultFolder]:
        """The folders with many files, such as that of an overlay, of which each is one line."""
        return [folder for folder in result_folders(self.files) if folder.files > LISTED_FILES]

    @property
    def has_series(self) -> bool:
        """Whether several series were segmented."""
        return any(structure.series for structure in self.report.structures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The page of a study.

    Attributes:
        site_viewer: The address of the study in the site's own viewer; None: there is none.
    """

    now: float
    study_instance_uid: str
    study_title: StudyTitle
    conflicts: Sequence[ShownConflict]
    jobs: Sequence[StudyJob]
    events: Sequence[Event]
    site_viewer: str | None

    @property
    def delivered(self) -> Sequence[Delivery]:
        """The deliveries of results that have arrived and are not rejected."""
        return [
            delivery
            for study_job in self.jobs
            for delivery in study_job.deliveries
            if delivery.delivered_at is not None and not delivery.is_rejection
        ]


def overview(context: WebContext, group: Group | None, page: int) -> Overview:
    """Returns the data of the first page, or of the list of a group.

    Args:
        context: Of the page.
        group: The group; None: some jobs of each group.
        page: The page of the list, counted from 1.

    Raises:
        ResourceError: The database fails.
    """
    states = count_jobs(context.database)
    counts = {group: sum(states[state] for state in GROUP_STATES[group]) for group in Group}
    shown = {group: PAGE_JOBS} if group else FIRST_PAGE_JOBS
    arriving, held = arriving_studies(context.database), context.conflicts.undecided()
    clock, workers = context.clock.last(), context.worker_list.workers()
    return Overview(
        now=time.time(),
        group=group,
        counts=counts,
        sections=[_section(context, kind, n, page, counts[kind]) for kind, n in shown.items()],
        held=[
            HeldRow(
                conflict=conflict, study_title=context.study_titles.of(conflict.study_instance_uid)
            )
            for conflict in held[:FIRST_PAGE_HELD]
        ],
        n_held=len(held),
        clock_jump_seconds=clock.jump_seconds if clock else None,
        arriving=[
            ArrivingRow(study=study, study_title=context.study_titles.of(study.study_instance_uid))
            for study in arriving[:FIRST_PAGE_ARRIVING]
        ],
        n_arriving=len(arriving),
        is_paused=context.worker_list.is_paused(),
        is_draining=context.worker_list.is_draining(),
        workers=_workers(context, workers),
        destinations=destination_rows(context),
        load=load(context, states, workers),
        health=context.health.ask_and_wait(),
        disk_bytes=shutil.disk_usage(context.settings.storage_folder).total,
    )


def study(context: WebContext, study_instance_uid: str) -> Study | None:
    """Returns the data of the page of a study; None: the study is not known.

    Raises:
        ResourceError: The database fails.
    """
    jobs = context.jobs.of_study(study_instance_uid)
    events = history(context.database, study_instance_uid)
    if not jobs and not events and context.ledger.first_instance(study_instance_uid) is None:
        return None
    return Study(
        now=time.time(),
        study_instance_uid=study_instance_uid,
        study_title=context.study_titles.of(study_instance_uid),
        conflicts=shown_conflicts(context, study_instance_uid),
        jobs=[_study_job(context, job) for job in reversed(jobs)],
        events=events,
        site_viewer=context.settings.web.viewer_of(study_instance_uid),
    )


def _study_job(context: WebContext, job: Job) -> StudyJob:
    report = context.results.report(job.job_id, context.texts)
    return StudyJob(
        job=told_job(context, job),
        deliveries=[
            replace(delivery, reason=told_reason(delivery.reason))
            for delivery in context.deliveries.of_job(job.job_id)
        ],
        files=context.results.files(job.job_id),
        report=report,
        decision_form=decision_form(context, job, report),
    )


def _section(context: WebContext, group: Group, page_jobs: int, page: int, total: int) -> Section:
    jobs = list_jobs(context.database, group, limit=page_jobs, offset=(page - 1) * page_jobs)
    deliveries = deliveries_of(context.database, [job.job_id for job in jobs])
    rows = [
        JobRow(
            job=told_job(context, job),
            study_title=context.study_titles.of(job.study_instance_uid),
            deliveries=deliveries[job.job_id],
            has_preview=preview(context.storage, job.job_id) is not None,
        )
        for job in jobs
    ]
    return Section(group=group, rows=rows, total=total, page=page, page_jobs=page_jobs)


def _workers(context: WebContext, workers: Sequence[Worker]) -> Sequence[WorkerRow]:
    now = time.time()
    return [
        WorkerRow(
            worker=worker,
            works_on=_works_on(context, worker),
            is_lost=now - worker.seen_at > LOST_SECONDS,
        )
        for worker in workers
    ]


def _works_on(context: WebContext, worker: Worker) -> str:
    job = context.jobs.job(worker.job_id) if worker.job_id else None
    return context.study_titles.of(job.study_instance_uid).title if job else ""

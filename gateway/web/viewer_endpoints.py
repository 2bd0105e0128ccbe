"""Answers the requests of the viewer: its page, and the files that it loads."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from gateway.store.audit_events import record_viewed
from gateway.store.job import Job
from gateway.web.context import WebContext
from gateway.web.decision_form import DecisionForm, decision_form
from gateway.web.prepared_views import ViewableSeries, ViewFailedError, viewable_series
from gateway.web.rendering import render_inside, texts_of
from gateway.web.result_files import ShownFinding, ShownStructure
from gateway.web.study_titles import StudyTitle
from gateway.web.worklist import Worklist, next_job, viewer_path, worklist_of
from totalmap.texts.catalogue import Message
from totalmap.viewer_files import DESCRIPTION

_TYPES = {".json": "application/json", ".gz": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerPage:
    """What the page of the viewer shows beside the images.

    Attributes:
        number: The number of the series among those of the job, from 0.
        paths: The page of each series of the job that can be viewed.
        structures: The structures that were found in the series.
        findings: Those that question the result, the most severe first, then the remarks.
        decision_form: For decisions about the result; None: there is nothing to decide.
        site_viewer: The address of the study in the site's own viewer; None: there is none.
        next_view: The path of the view that comes next in the worklist; None: there is none.
    """

    job: Job
    study_title: StudyTitle
    number: int
    paths: Sequence[str]
    structures: Sequence[ShownStructure]
    findings: Sequence[ShownFinding]
    decision_form: DecisionForm | None
    site_viewer: str | None
    next_view: str | None


class Viewer:
    """Endpoints of the viewer."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def page(self, request: Request) -> Response:
        """Shows the viewer, and records that the user has opened the result."""
        job, series, of = self._find(request)
        self._context.views.forget_failure(job, series)
        self._viewed(request, job, series)
        report = self._context.results.report(job.job_id, texts_of(request))
        worklist = worklist_of(request.query_params)
        name = series.name
        view = ViewerPage(
            job=job,
            study_title=self._context.study_titles.of(job.study_instance_uid),
            number=series.number,
            paths=[viewer_path(job.job_id, worklist, number) for number in range(of)],
            structures=[each for each in report.structures if each.series == name],
            findings=[
                each for each in (*report.doubts, *report.remarks) if each.series in (name, "")
            ],
            decision_form=decision_form(self._context, job, report, worklist),
            site_viewer=self._context.settings.web.viewer_of(job.study_instance_uid),
            next_view=self._next_view(job, worklist),
        )
        return render_inside("viewer.html.jinja", request, view)

    def prepare(self, request: Request) -> Response:
        """Prepares a view before it is opened: the next one of a worklist."""
        job, series, _ = self._find(request)
        # Whoever opens it is told.
        with suppress(ViewFailedError):
            self._context.views.prepare(job, series)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def file(self, request: Request) -> Response:
        """Sends a file of the viewer as soon as it is there.

        The first file is on record as a view, too: a program may load files without the page.
        """
        job, series, _ = await run_in_threadpool(self._find, request)
        name = request.path_params["name"]
        if name == DESCRIPTION:
            await run_in_threadpool(self._viewed, request, job, series)
        try:
            path = await self._context.views.file(job, series, name)
        except ViewFailedError as error:
            reason = texts_of(request).told(error.reason)
            return PlainTextResponse(reason, HTTPStatus.CONFLICT)
        if path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.file"))
        encoding = {"Content-Encoding": "gzip"} if path.suffix == ".gz" else {}
        return FileResponse(path, media_type=_TYPES[path.suffix], headers=encoding)

    def _viewed(self, request: Request, job: Job, series: ViewableSeries) -> None:
        """Records that a user has seen a series; the same at most once a minute."""
        address = self._context.authenticator.address_of(request)
        record_viewed(
            self._context.database,
            job.study_instance_uid,
            request.state.visit.user,
            address,
            job_id=job.job_id,
            result=series.segs[0],
        )

    def _next_view(self, job: Job, worklist: Worklist | None) -> str | None:
        if worklist is None:
            return None
        following = next_job(self._context, worklist, job.job_id)
        if following is None or not viewable_series(self._context.results.files(following)):
            return None
        return viewer_path(following, None)

    def _find(self, request: Request) -> tuple[Job, ViewableSeries, int]:
        """Returns the job, its series, and how many series it has."""
        job = self._context.jobs.job(request.path_params["job_id"])
        found = viewable_series(self._context.results.files(job.job_id)) if job else []
        number = request.path_params["number"]
        if job is None or number >= len(found):
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("viewer.nothing"))
        return job, found[number], len(found)

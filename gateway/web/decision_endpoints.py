"""Answers the requests of people who decide about results: the page with the form, and the form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store.audit_events import record_viewed
from gateway.store.decision import DecisionKind
from gateway.store.job import Job
from gateway.web.context import WebContext
from gateway.web.decision_form import (
    DecisionForm,
    WrongDecision,
    decision_form,
    read_decision,
)
from gateway.web.forms import NEXT_FIELD, own_path, with_query
from gateway.web.prepared_views import viewable_series
from gateway.web.rendering import SAID, render_inside, texts_of
from gateway.web.result_files import (
    PREVIEW_NAME,
    REPORT_NAME,
    ResultFile,
    ShownFinding,
)
from gateway.web.stored_reasons import told_job
from gateway.web.study_titles import StudyTitle
from gateway.web.worklist import next_path, viewer_path, worklist_of
from totalmap.texts.catalogue import Message

# The messages of the page afterwards.
_SAID = {
    DecisionKind.ACCEPTED: "accepted",
    DecisionKind.REJECTED: "rejected",
    DecisionKind.RELEASED: "released",
    DecisionKind.COMMENTED: "commented",
    DecisionKind.WITHDRAWN: "withdrawn",
}
_OUTDATED = "outdated"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """The page on which a person decides without the viewer.

    Attributes:
        findings: Those that question the result, the gravest first.
        pictures: The preview images.
        reports: The reports for reading.
    """

    job: Job
    study_title: StudyTitle
    decision_form: DecisionForm
    findings: Sequence[ShownFinding]
    pictures: Sequence[ResultFile]
    reports: Sequence[ResultFile]
    viewer_path: str | None


class Decisions:
    """Endpoints of decisions."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def page(self, request: Request) -> Response:
        """Shows the page, and records that the user has opened the results."""
        return self._page(request)

    def decide(self, request: Request) -> Response:
        """Stores a decision, and goes on to the next results if the person works on a list."""
        context, job = self._context, self._job(request)
        fields, user = request.state.form, request.state.visit.user
        report = context.results.report(job.job_id, texts_of(request))
        try:
            decision = read_decision(context, job, report, fields, user)
        except WrongDecision as wrong:
            return self._page(request, texts_of(request).told(wrong.problem))
        address = context.authenticator.address_of(request)
        is_done = context.decisions.decide(replace(decision, address=address))
        said = _SAID[decision.kind] if is_done else _OUTDATED
        where = own_path(fields.get(NEXT_FIELD, "/"))
        worklist = worklist_of(fields)
        if is_done and worklist is not None:
            where = next_path(context, worklist, job.job_id)
        return RedirectResponse(with_query(where, **{SAID: said}), HTTPStatus.SEE_OTHER)

    def _page(self, request: Request, problem: str = "") -> Response:
        context, job = self._context, self._job(request)
        report = context.results.report(job.job_id, texts_of(request))
        worklist = worklist_of({**getattr(request.state, "form", {}), **request.query_params})
        form = decision_form(context, job, report, worklist)
        if form is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("decision.nothing"))
        user, address = request.state.visit.user, context.authenticator.address_of(request)
        study = job.study_instance_uid
        record_viewed(context.database, study, user, address, job_id=job.job_id, result="preview")
        files = context.results.files(job.job_id)
        view = DecisionPage(
            job=told_job(context, job),
            study_title=context.study_titles.of(study),
            decision_form=form,
            findings=report.doubts,
            pictures=[file for file in files if file.name == PREVIEW_NAME],
            reports=[file for file in files if file.name == REPORT_NAME],
            viewer_path=viewer_path(job.job_id, worklist) if viewable_series(files) else None,
        )
        status = HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK
        return render_inside("decide.html.jinja", request, view, status=status, problem=problem)

    def _job(self, request: Request) -> Job:
        job = self._context.jobs.job(request.path_params["job_id"])
        if job is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.deleted"))
        return job

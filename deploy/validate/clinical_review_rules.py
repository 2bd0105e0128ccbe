"""Validates the clinical reviews of a clinical workflow.

A review sends the results of an earlier task to AIDE, where a clinician accepts or rejects them.

Source: WorkflowValidator, EventMapper and WorkflowExecuterService of the Workflow Manager,
AideClinicalReviewPlugin of its Task Manager (revision 9e10e95), and the public backend of AIDE
(AI4VBH/AIDE-clinical-review-api, revision 1ce431b).
"""

import re
from collections.abc import Callable, Iterator

from deploy.validate.file_fault import FileFault
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, Task
from deploy.validate.yaml_positions import LocatedText

CLINICAL_REVIEW = "aide_clinical_review"
REVIEWABLE_TYPES = ("argo", "remote_app_execution")
ANSWER_KEYS = ("acceptance", "reason", "message", "user_id", "roles")
DEFAULT_RETENTION_DAYS = 3

_EXPORTS = ("export", "export_hl7")
_MINUTES_PER_DAY = 24 * 60
_TASK_OF_INPUT = re.compile(r"context\.executions\.([^.\s}]+)")
_REJECTED = re.compile(
    r"\.result\.acceptance\s*\}\}\s*(==\s*'\s*false\s*'|!=\s*'\s*true\s*')", re.IGNORECASE
)

ClinicalReviewRule = Callable[[ClinicalWorkflow, Task], Iterator[FileFault]]


def reviewed_task_can_be_reviewed(workflow: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Workflow Manager offers results of argo and remote applications only."""
    name = task.args.get("reviewed_task_id")
    if not name:
        return
    reviewed = _reviewed(workflow, task)
    if reviewed is None or reviewed.type.value not in REVIEWABLE_TYPES:
        problem = f"has the type {reviewed.type.value}" if reviewed else "does not exist"
        yield FileFault(
            name.place,
            "review",
            f"task {name.value!r} {problem}: only tasks of the types argo and "
            "remote_app_execution can be reviewed",
            "run the application under argo",
        )
    elif reviewed.id.value not in workflow.ids_before(task):
        yield FileFault(
            name.place,
            "review",
            f"task {name.value!r} has not run when its review starts",
            f"let {task.id.value!r} follow {reviewed.id.value!r}",
        )
    elif name.value != name.value.lower():
        yield FileFault(
            name.place,
            "review",
            f"reviewed_task_id is {name.value!r}: the Workflow Manager compares it with the IDs in "
            "small letters, so the reviewer gets no ID of the execution",
            f"write {name.value.lower()!r}",
        )


def values_are_allowed(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Workflow Manager refuses other values; the case of letters does not matter."""
    for name, allowed in (("mode", "QA Research Clinical"), ("notifications", "true false")):
        value = task.args.get(name)
        if value and value.value.lower() not in allowed.lower().split():
            yield FileFault(
                value.place,
                "argument-value",
                f"{name} is {value.value!r}",
                f"write one of {', '.join(allowed.split())}",
            )


def roles_have_names(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """With an empty role in the list, the plug-in ignores the whole list."""
    roles = task.args.get("reviewer_roles")
    if roles is not None and not all(role.strip() for role in roles.value.split(",")):
        yield FileFault(
            roles.place,
            "argument-value",
            f"reviewer_roles is {roles.value!r}: with an empty role the Task Manager ignores the "
            "list, and the role clinician may decide",
            "write role names with single commas between them",
        )


def inputs_are_of_the_reviewed_task(workflow: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Workflow Manager refuses an input that is neither the study nor of the reviewed task."""
    reviewed = _reviewed(workflow, task)
    if reviewed is None:
        return
    for artifact in task.inputs:
        match = _TASK_OF_INPUT.search(artifact.value.value)
        if match and match[1].lower() != reviewed.id.value.lower():
            yield FileFault(
                artifact.value.place,
                "review",
                f"the review of task {reviewed.id.value!r} has an input of task {match[1]!r}",
                f"write an output of {reviewed.id.value!r}, or '{{{{ context.input.dicom }}}}'",
            )


def reviewers_have_time(workflow: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """A review that ends without an answer fails, and nothing of the study is exported."""
    minutes, days = task.timeout_minutes, workflow.retention_days.value
    if minutes.value is None or minutes.value == -1:
        yield FileFault(
            task.place,
            "timeout",
            f"review {task.id.value!r} has no timeout_minutes: it fails if nobody answers within "
            f"{task.limit_minutes:g} minutes",
            'add for example "timeout_minutes": 2880',
        )
        return
    kept = (DEFAULT_RETENTION_DAYS if days is None else days) * _MINUTES_PER_DAY
    before = sum(
        earlier.limit_minutes
        for earlier in workflow.tasks
        if earlier.id.value in workflow.ids_before(task) and earlier.type.value != "router"
    )
    if 0 < kept < before + minutes.value:
        yield FileFault(
            minutes.place,
            "retention",
            f"timeout_minutes is {minutes.value:g}, and the tasks before may take {before:g}, but "
            f"the study is deleted after {kept / _MINUTES_PER_DAY:g} days, {kept:g} minutes",
            f"write at most {max(kept - before, 1):g}, or raise dataRetentionDays",
        )


def nothing_follows_a_rejection(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """A rejected review gets the status PartialFail, after which no task runs."""
    for destination in task.destinations:
        for condition in destination.conditions:
            if _REJECTED.search(condition.value):
                yield FileFault(
                    condition.place,
                    "review-rejected",
                    f"task {destination.name.value!r} waits for a rejection, but the Workflow "
                    "Manager runs no task after a rejected review",
                    "remove this destination; AIDE and the workflow instance hold the reason",
                )


def exports_wait_for_the_review(workflow: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """An export that does not follow the review sends results that nobody has accepted."""
    reviewed = _reviewed(workflow, task)
    if reviewed is None:
        return
    for export in workflow.tasks:
        value = _first_input_of(export, reviewed)
        if (
            export.type.value in _EXPORTS
            and value is not None
            and task.id.value not in workflow.ids_before(export)
        ):
            yield FileFault(
                value.place,
                "review-bypassed",
                f"task {export.id.value!r} exports results of task {reviewed.id.value!r} without "
                f"waiting for their review {task.id.value!r}",
                f"let {export.id.value!r} follow {task.id.value!r}",
            )


def _first_input_of(task: Task, maker: Task) -> LocatedText | None:
    values = (artifact.value for artifact in task.inputs)
    return next(
        (
            value
            for value in values
            if (match := _TASK_OF_INPUT.search(value.value)) and match[1] == maker.id.value
        ),
        None,
    )


def _reviewed(workflow: ClinicalWorkflow, review: Task) -> Task | None:
    name = review.args.get("reviewed_task_id")
    wanted = name.value.lower() if name else ""
    tasks = (task for task in workflow.tasks if task.id and task.id.value.lower() == wanted)
    return next(tasks, None)


CLINICAL_REVIEW_RULES: tuple[ClinicalReviewRule, ...] = (
    reviewed_task_can_be_reviewed,
    values_are_allowed,
    roles_have_names,
    inputs_are_of_the_reviewed_task,
    reviewers_have_time,
    nothing_follows_a_rejection,
    exports_wait_for_the_review,
)

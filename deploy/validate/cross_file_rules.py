"""Rules about a clinical workflow and the WorkflowTemplates that its tasks name."""

from collections.abc import Iterator, Sequence

from deploy.validate.file_fault import Finding
from deploy.validate.read_argo_template import TemplateArtifact, WorkflowTemplate
from deploy.validate.read_clinical_workflow import Task, Workflow

DEFAULT_NAMESPACE = "argo"


def pair_findings(workflow: Workflow, templates: Sequence[WorkflowTemplate]) -> Iterator[Finding]:
    """Yields what does not fit together, where at least one template is at hand."""
    by_name = {one.name.value: one for one in templates}
    for task in workflow.tasks:
        name = task.args.get("workflow_template_name")
        if task.type.value != "argo" or not name or not by_name:
            continue
        template = by_name.get(name.value)
        if template is None:
            yield Finding(
                name.place,
                "template-name",
                f"none of the files given holds a WorkflowTemplate {name.value!r}",
                f"write one of {', '.join(by_name)}, or give its file too",
            )
            continue
        yield from _inputs(task, template)
        yield from _optional_inputs(task, template)
        yield from _outputs(task, template)
        yield from _namespace(task, template)
        yield from _deadline(task, template)


def _inputs(task: Task, document: WorkflowTemplate) -> Iterator[Finding]:
    delivered = {one.name.value for one in task.inputs}
    wanted = list(_wanted_inputs(document))
    for artifact in task.inputs:
        if artifact.name.value not in [one.name.value for one in wanted]:
            yield Finding(
                artifact.name.place,
                "artifact-pair",
                f"input {artifact.name.value!r} is none of the WorkflowTemplate "
                f"{document.name.value!r}",
                f"write {_or(one.name.value for one in wanted)}",
            )
    for one in wanted:
        if one.name.value not in delivered:
            yield Finding(
                one.name.place,
                "artifact-pair",
                f"input artifact {one.name.value!r} is none that task {task.id.value!r} of the "
                "clinical workflow hands over, so it has no place in the object store",
                f"write {_or(sorted(delivered))}",
            )


def _optional_inputs(task: Task, document: WorkflowTemplate) -> Iterator[Finding]:
    if not any(one.is_totalmap for one in document.templates):
        return
    for artifact in task.inputs:
        if not artifact.mandatory:
            yield Finding(
                artifact.mandatory_place,
                "mandatory",
                f"input {artifact.name.value!r} is not mandatory: TotalMAP would run without a "
                "study",
                'write "mandatory": true',
            )


def _wanted_inputs(document: WorkflowTemplate) -> Iterator[TemplateArtifact]:
    """Yields the artifacts that the Task Manager has to give a place."""
    handed_over = set()
    for call in document.calls:
        for artifact in call.artifacts:
            handed_over.add((call.template.value, artifact.name.value))
            if not artifact.has_source:
                yield artifact
    for template in document.templates:
        for artifact in template.inputs:
            is_handed_over = (template.name.value, artifact.name.value) in handed_over
            if template.container and not artifact.has_source and not is_handed_over:
                yield artifact


def _outputs(task: Task, document: WorkflowTemplate) -> Iterator[Finding]:
    made = {one.name.value for template in document.templates for one in template.outputs}
    for artifact in task.outputs:
        if artifact.name.value not in made:
            yield Finding(
                artifact.name.place,
                "artifact-pair",
                f"no template of {document.name.value!r} has an output {artifact.name.value!r}; "
                "what it makes goes elsewhere",
                f"write {_or(sorted(made))}",
            )


def _namespace(task: Task, document: WorkflowTemplate) -> Iterator[Finding]:
    given = task.args.get("namespace")
    asked = given.value if given else DEFAULT_NAMESPACE
    if document.namespace and document.namespace.value != asked:
        yield Finding(
            given.place if given else task.args_place,
            "namespace",
            f"the Task Manager looks for the template in namespace {asked!r}, and it is in "
            f"{document.namespace.value!r}",
            f"write {document.namespace.value!r}",
        )


def _deadline(task: Task, document: WorkflowTemplate) -> Iterator[Finding]:
    limit = task.limit_minutes
    for template in document.templates:
        seconds = template.deadline_seconds
        if seconds.value.isdigit() and 0 < limit * 60 < int(seconds.value):
            yield Finding(
                seconds.place,
                "timeout-order",
                f"activeDeadlineSeconds is {seconds.value}, but the Workflow Manager stops the "
                f"task after timeout_minutes = {limit:g}, {limit * 60:g} s",
                f"write less than {limit * 60:g}, so that there is time to wait as well",
            )


def _or(names: Iterator[str] | Sequence[str]) -> str:
    return " or ".join(repr(name) for name in names) or "the name that the other file has"

"""Validates a clinical workflow together with the WorkflowTemplates that its tasks name."""

from collections.abc import Iterable, Iterator, Sequence

from deploy.validate.file_fault import FileFault
from deploy.validate.read_argo_template import TemplateArtifact, WorkflowTemplate
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, Task

DEFAULT_NAMESPACE = "argo"


def cross_file_faults(
    workflow: ClinicalWorkflow, documents: Sequence[WorkflowTemplate]
) -> Iterator[FileFault]:
    """Yields contradictions between the files; none if no WorkflowTemplate is given."""
    by_name = {document.name.value: document for document in documents}
    for task in workflow.tasks:
        name = task.args.get("workflow_template_name")
        if task.type.value != "argo" or not name or not by_name:
            continue
        document = by_name.get(name.value)
        if document is None:
            yield FileFault(
                name.place,
                "template-name",
                f"none of the given files holds a WorkflowTemplate {name.value!r}",
                f"write one of {', '.join(by_name)}, or give its file too",
            )
            continue
        yield from _input_faults(task, document)
        yield from _optional_input_faults(task, document)
        yield from _output_faults(task, document)
        yield from _namespace_faults(task, document)
        yield from _deadline_faults(task, document)


def _input_faults(task: Task, document: WorkflowTemplate) -> Iterator[FileFault]:
    delivered = {artifact.name.value for artifact in task.inputs}
    needed = list(_needed_inputs(document))
    needed_names = [artifact.name.value for artifact in needed]
    for artifact in task.inputs:
        if artifact.name.value not in needed_names:
            yield FileFault(
                artifact.name.place,
                "artifact-pair",
                f"the WorkflowTemplate {document.name.value!r} has no input "
                f"{artifact.name.value!r}",
                f"write {_alternatives(needed_names)}",
            )
    for template_artifact in needed:
        name = template_artifact.name
        if name.value not in delivered:
            yield FileFault(
                name.place,
                "artifact-pair",
                f"task {task.id.value!r} of the clinical workflow delivers no input "
                f"{name.value!r}, so the artifact has no place in the object store",
                f"write {_alternatives(sorted(delivered))}",
            )


def _optional_input_faults(task: Task, document: WorkflowTemplate) -> Iterator[FileFault]:
    if not any(template.is_totalmap for template in document.templates):
        return
    for artifact in task.inputs:
        if not artifact.mandatory:
            yield FileFault(
                artifact.mandatory_place,
                "mandatory",
                f"input {artifact.name.value!r} is not mandatory: TotalMAP would run without a "
                "study",
                'write "mandatory": true',
            )


def _needed_inputs(document: WorkflowTemplate) -> Iterator[TemplateArtifact]:
    """Yields the artifacts that get their location from the Task Manager."""
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


def _output_faults(task: Task, document: WorkflowTemplate) -> Iterator[FileFault]:
    made = {artifact.name.value for template in document.templates for artifact in template.outputs}
    for artifact in task.outputs:
        if artifact.name.value not in made:
            yield FileFault(
                artifact.name.place,
                "artifact-pair",
                f"no template of {document.name.value!r} has an output {artifact.name.value!r}, "
                "so the task finds no output",
                f"write {_alternatives(sorted(made))}",
            )


def _namespace_faults(task: Task, document: WorkflowTemplate) -> Iterator[FileFault]:
    given = task.args.get("namespace")
    namespace = given.value if given else DEFAULT_NAMESPACE
    if document.namespace and document.namespace.value != namespace:
        yield FileFault(
            given.place if given else task.args_place,
            "namespace",
            f"the Task Manager looks for the template in namespace {namespace!r}, but it is in "
            f"{document.namespace.value!r}",
            f"write {document.namespace.value!r}",
        )


def _deadline_faults(task: Task, document: WorkflowTemplate) -> Iterator[FileFault]:
    limit = task.limit_minutes
    for template in document.templates:
        seconds = template.deadline_seconds
        if seconds.value.isdigit() and 0 < limit * 60 < int(seconds.value):
            yield FileFault(
                seconds.place,
                "timeout-order",
                f"activeDeadlineSeconds is {seconds.value}, but the Workflow Manager stops the "
                f"task after timeout_minutes = {limit:g}, {limit * 60:g} s",
                f"write less than {limit * 60:g}, so that the task has time to wait as well",
            )


def _alternatives(names: Iterable[str]) -> str:
    return " or ".join(repr(name) for name in names) or "the name in the other file"

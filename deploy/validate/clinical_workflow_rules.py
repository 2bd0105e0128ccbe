"""Validates a clinical workflow as a whole, by what the Workflow Manager does with it.

Source: WorkflowValidator, WorkflowExecuterService and ArtifactMapper of the Workflow Manager
(revision 9e10e95). They differ from its documentation in places. A fault is a value that the
Workflow Manager refuses at registration, or a value with which studies fail or results are lost.
"""

import re
from collections.abc import Callable, Iterator

from deploy.validate.file_fault import FileFault, Place
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, Task
from deploy.validate.yaml_positions import LocatedText

ClinicalWorkflowRule = Callable[[ClinicalWorkflow], Iterator[FileFault]]

# The Workflow Manager reads the second word, and the text from the first } to the next one.
_VALUE = re.compile(r"\{+ context\.(?P<path>[^ {}]+) \}(?P<braces>\}*)(?P<suffix>[^{} ]*)")
_OUTPUT = re.compile(r"context\.executions\.([^.\s]+)\.(?:artifacts\.|output_dir \}/)([^.\s/}]+)")
_ARTIFACT = re.compile(r"context\.executions\.[^.\s]+\.artifacts\.([^.\s}]+)")


def workflow_has_no_predicate(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """If the predicate of the first workflow is false, all workflows of the study are dropped."""
    for condition in workflow.predicate[:1]:
        yield FileFault(
            condition.place,
            "predicate",
            f"predicate {condition.value!r}: if it is false for the first workflow that matches, "
            "the Workflow Manager drops every workflow of the study",
            "remove predicate and give each application its own ae_title",
        )


def retention_is_whole_days(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """The study is deleted from the object store after so many days; -1 keeps it."""
    days = workflow.retention_days
    if days.value is None or days.value == -1 or (days.value >= 1 and days.value.is_integer()):
        return
    yield FileFault(
        days.place,
        "retention",
        f"dataRetentionDays is {days.value:g}; allowed are whole days from 1 on, or -1",
        "write for how many days the intermediate data is kept, or -1 to keep it for ever",
    )


def task_ids_differ(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """Conditions and paths refer to tasks by their IDs."""
    seen: set[str] = set()
    for task in workflow.tasks:
        if task.id and task.id.value in seen:
            yield FileFault(
                task.id.place,
                "task-id",
                f"two tasks have the id {task.id.value!r}",
                "give one of them another id",
            )
        seen.add(task.id.value)


def destinations_form_a_tree(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """A task leads to tasks that exist, never to the first one, and no two tasks lead to one."""
    first = workflow.tasks[0].id.value if workflow.tasks else ""
    reached_from: dict[str, Place] = {}
    names = [destination.name for task in workflow.tasks for destination in task.destinations]
    for name in names:
        if name.value not in workflow.task_by_id:
            yield FileFault(
                name.place,
                "destination",
                f"there is no task {name.value!r}; the Workflow Manager silently skips it",
                f"write one of {', '.join(workflow.task_by_id) or 'the tasks'}",
            )
        elif name.value == first:
            yield FileFault(
                name.place,
                "converging",
                f"{name.value!r} is the first task; no task may lead back to it",
                "remove this destination",
            )
        elif name.value in reached_from:
            yield FileFault(
                name.place,
                "converging",
                f"line {reached_from[name.value].line} leads to task {name.value!r} too; branches "
                "may not meet",
                "give this branch a task of its own",
            )
        reached_from.setdefault(name.value, name.place)


def every_task_is_reached(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """Every task follows, directly or through others, from the first one."""
    for task in workflow.tasks[1:]:
        first = workflow.tasks[0].id.value
        if first not in workflow.ids_before(task) and task.id.value != first:
            yield FileFault(
                task.place,
                "unreached",
                f"no path leads from the first task {first!r} to task {task.id.value!r}",
                "add its name to the task_destinations of the task before it",
            )


def exports_are_listed(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """The Workflow Manager refuses a destination that the gateway section does not list."""
    listed = {destination.value for destination in workflow.export_destinations}
    for task in workflow.tasks:
        seen: set[str] = set()
        for name in task.exports:
            if name.value not in listed:
                yield FileFault(
                    name.place,
                    "export",
                    f"{name.value!r} is not in informatics_gateway.export_destinations, which has "
                    f"{', '.join(sorted(listed)) or 'none'}",
                    "list it there, by its name in the Informatics Gateway",
                )
            elif name.value in seen:
                yield FileFault(
                    name.place, "export", f"{name.value!r} is listed twice", "remove one of the two"
                )
            seen.add(name.value)


def routers_have_destinations(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """The study of a router without destinations ends as a success."""
    for task in workflow.tasks:
        if task.type.value == "router" and not task.destinations:
            yield FileFault(
                task.place,
                "router",
                f"router {task.id.value!r} has no destinations: the study ends there as a success",
                "add task_destinations",
            )


def input_values_can_be_resolved(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """An input is the study, or the output of an earlier task."""
    for task in workflow.tasks:
        for artifact in task.inputs:
            if artifact.value:
                yield from _value_faults(workflow, task, artifact.value)
            for name in _ARTIFACT.findall(artifact.value.value):
                if task.type.value in ("argo", "docker") and artifact.name.value != name:
                    yield FileFault(
                        artifact.name.place,
                        "input-renamed",
                        f"the task receives input {artifact.name.value!r} under the name {name!r}, "
                        "which the earlier task gave it",
                        f"name the input {name!r}; if that task comes directly before this one, "
                        f"write '{{ context.executions.TASK.output_dir }}/{name}' instead",
                    )


def inputs_do_not_wait_for_artifacts(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """Only remote applications announce each artifact; other tasks never do.

    From version 0.2.1 on, the Workflow Manager starts a task when the mandatory inputs that have
    the name of an output of the task directly before it have been announced.
    """
    for earlier in workflow.tasks:
        if earlier.type.value == "remote_app_execution":
            continue
        outputs = {output.name.value for output in earlier.outputs}
        for destination in earlier.destinations:
            task = workflow.task_by_id.get(destination.name.value)
            for artifact in task.inputs if task else ():
                if artifact.mandatory and artifact.name.value in outputs:
                    yield FileFault(
                        artifact.name.place,
                        "input-waits",
                        f"input {artifact.name.value!r} has the name of an output of task "
                        f"{earlier.id.value!r} directly before it: the Workflow Manager waits for "
                        "a message that only remote applications send, and never starts the task",
                        "give the input another name",
                    )


def _value_faults(
    workflow: ClinicalWorkflow, task: Task, value: LocatedText
) -> Iterator[FileFault]:
    match = _VALUE.fullmatch(value.value)
    if not match:
        yield FileFault(
            value.place,
            "artifact-value",
            f"value {value.value!r} can't be resolved: it needs braces, one space inside each "
            "brace, and no other space",
            "write '{{ context.input.dicom }}' or '{{ context.executions.TASK.artifacts.NAME }}'",
        )
        return
    path = match["path"].split(".")
    if match["suffix"] and (match["braces"] or path[-1] not in ("output_dir", "dicom")):
        yield FileFault(
            value.place,
            "artifact-value",
            f"the Workflow Manager ignores {match['suffix']!r} after the braces and uses all of "
            f"{match['path']}",
            "write '{ context.executions.TASK.output_dir }/NAME/FOLDER', in single braces",
        )
    elif path[:2] == ["input", "dicom"]:
        return
    elif path[0] == "executions" and len(path) > 2:
        yield from _reference_faults(workflow, task, value, path[1:])
    else:
        yield FileFault(
            value.place,
            "artifact-value",
            f"context.{match['path']} does not exist",
            "write context.input.dicom or context.executions.TASK.artifacts.NAME",
        )


def _reference_faults(
    workflow: ClinicalWorkflow, task: Task, value: LocatedText, path: list[str]
) -> Iterator[FileFault]:
    name, location = path[0], path[1]
    earlier = workflow.task_by_id.get(name)
    if earlier is None or name not in workflow.ids_before(task):
        problem = "does not run before this one" if earlier else "does not exist"
        yield FileFault(
            value.place,
            "artifact-task",
            f"task {name!r} {problem}",
            f"write one of {', '.join(sorted(workflow.ids_before(task))) or 'the tasks before it'}",
        )
        return
    if location == "output_dir":
        return
    outputs = [artifact.name.value for artifact in earlier.outputs]
    if location != "artifacts" or path[2:3] == [] or path[2] not in outputs:
        yield FileFault(
            value.place,
            "artifact-name",
            f"task {name!r} has no output {'.'.join(path[1:])!r}",
            f"write artifacts.NAME with one of {', '.join(outputs) or 'its outputs (none yet)'}",
        )


def output_values_are_folders_of_the_task(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """An output without a value goes to a folder of its name."""
    for task in workflow.tasks:
        for artifact in task.outputs:
            value = artifact.value
            match = _VALUE.fullmatch(value.value)
            wanted = f"executions.{task.id.value}.output_dir"
            if value and (match is None or match["path"] != wanted):
                yield FileFault(
                    value.place,
                    "output-value",
                    f"output {artifact.name.value!r} goes to {value.value!r}, which is not a "
                    "folder of this task",
                    "leave value out",
                )


def needed_outputs_are_mandatory(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """Without mandatory, a task that makes no result succeeds, and the next one fails."""
    needed = {
        (match[1], match[2])
        for task in workflow.tasks
        for artifact in task.inputs
        for match in _OUTPUT.finditer(artifact.value.value)
        if artifact.mandatory
    }
    for task in workflow.tasks:
        for output in task.outputs:
            if (task.id.value, output.name.value) in needed and not output.mandatory:
                yield FileFault(
                    output.mandatory_place,
                    "mandatory",
                    f"output {output.name.value!r} is not mandatory, and a later task needs it: a "
                    "run that makes no output counts as a success",
                    'write "mandatory": true',
                )


def exports_send_results(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """An export sends results; the PACS already has the study itself."""
    exported = [
        artifact
        for task in workflow.tasks
        if task.type.value == "export"
        for artifact in task.inputs
    ]
    makers = [
        task for task in workflow.tasks if task.outputs and task.type.value in ("argo", "docker")
    ]
    if not makers or any("context.executions." in artifact.value.value for artifact in exported):
        return
    result = f"{makers[-1].id.value}.artifacts.{makers[-1].outputs[0].name.value}"
    for artifact in exported:
        yield FileFault(
            artifact.value.place,
            "exports-study",
            f"the export sends {artifact.value.value!r}, the study itself, and no result of a task",
            f"write '{{{{ context.executions.{result} }}}}'",
        )


CLINICAL_WORKFLOW_RULES: tuple[ClinicalWorkflowRule, ...] = (
    workflow_has_no_predicate,
    retention_is_whole_days,
    task_ids_differ,
    destinations_form_a_tree,
    every_task_is_reached,
    exports_are_listed,
    routers_have_destinations,
    input_values_can_be_resolved,
    inputs_do_not_wait_for_artifacts,
    output_values_are_folders_of_the_task,
    needed_outputs_are_mandatory,
    exports_send_results,
)

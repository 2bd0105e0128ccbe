"""Rules of the Workflow Manager about a clinical workflow as a whole.

Source: WorkflowValidator, WorkflowExecuterService and ArtifactMapper of the Workflow Manager
(revision 9e10e95), which differ from its documentation in places. What is refused there at
registration and what fails or is lost later are both faults here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator

from deploy.validate.file_fault import Finding, Place
from deploy.validate.read_clinical_workflow import Task, Workflow
from deploy.validate.yaml_positions import Text

MAX_AE_TITLE = 15  # one less than DICOM allows
TASK_ID = re.compile(r"[a-zA-Z0-9_-]+")

WorkflowRule = Callable[[Workflow], Iterator[Finding]]


def name_and_version(workflow: Workflow) -> Iterator[Finding]:
    """Both are refused if empty."""
    for key, text in (("name", workflow.name), ("version", workflow.version)):
        if not text:
            yield Finding(
                text.place, "name", f"the workflow has no {key}", f'give it one: "{key}": "..."'
            )


def gateway(workflow: Workflow) -> Iterator[Finding]:
    """Studies are routed by the AE title that they were sent to."""
    if not workflow.gateway:
        yield Finding(
            workflow.place,
            "gateway",
            "there is no informatics_gateway",
            "add one with the ae_title that studies are sent to",
        )
        return
    title = workflow.ae_title
    if not title or len(title.value) > MAX_AE_TITLE:
        yield Finding(
            title.place,
            "ae-title",
            f"ae_title is {title.value!r} with {len(title.value)} characters, allowed are 1 to "
            f"{MAX_AE_TITLE}",
            f"take a title of at most {MAX_AE_TITLE} characters, the same in the gateway",
        )


def predicate(workflow: Workflow) -> Iterator[Finding]:
    """A first workflow whose predicate is false takes all other workflows of the study down."""
    for condition in workflow.predicate[:1]:
        yield Finding(
            condition.place,
            "predicate",
            f"where predicate {condition.value!r} is false for the first matching workflow, every "
            "workflow of this study is dropped",
            "remove predicate and give each application its own ae_title",
        )


def retention(workflow: Workflow) -> Iterator[Finding]:
    """Days after which the study is deleted from the object store; -1 is never."""
    days = workflow.retention_days
    if days.value is None or days.value == -1 or (days.value >= 1 and days.value.is_integer()):
        return
    yield Finding(
        days.place,
        "retention",
        f"dataRetentionDays is {days.value:g}: whole days from 1 on are allowed, or -1",
        "write the days that your site keeps intermediate data, or -1 for ever",
    )


def there_are_tasks(workflow: Workflow) -> Iterator[Finding]:
    """The first one is where a study starts."""
    if not workflow.tasks:
        yield Finding(
            workflow.tasks_place, "tasks", "there are no tasks", "add them, the router first"
        )


def task_ids(workflow: Workflow) -> Iterator[Finding]:
    """Ids are found again in conditions and paths."""
    count = Counter(task.id.value for task in workflow.tasks)
    seen: set[str] = set()
    for task in workflow.tasks:
        name = task.id.value
        if not TASK_ID.fullmatch(name):
            yield Finding(
                task.id.place,
                "task-id",
                f"id {name!r} has characters that are not allowed",
                "use letters, digits, - and _ only",
            )
        elif count[name] > 1 and name in seen:
            yield Finding(
                task.id.place, "task-id", f"id {name!r} is there twice", "give one another id"
            )
        seen.add(name)


def destinations(workflow: Workflow) -> Iterator[Finding]:
    """Where tasks lead: to a task that exists, never back to the root, never two to one."""
    root = workflow.tasks[0].id.value if workflow.tasks else ""
    reached_from: dict[str, Place] = {}
    for name in (one.name for task in workflow.tasks for one in task.destinations):
        if name.value not in workflow.by_id:
            yield Finding(
                name.place,
                "destination",
                f"there is no task {name.value!r}; the way to it is silently not taken",
                f"name one of {_known(workflow)}",
            )
        elif name.value == root:
            yield Finding(
                name.place,
                "converging",
                f"{name.value!r} is the first task; nothing may lead back to it",
                "remove this destination",
            )
        elif name.value in reached_from:
            yield Finding(
                name.place,
                "converging",
                f"task {name.value!r} is reached from line {reached_from[name.value].line} too; "
                "branches may not meet",
                "give this branch a task of its own",
            )
        reached_from.setdefault(name.value, name.place)


def every_task_is_reached(workflow: Workflow) -> Iterator[Finding]:
    """From the first task; a circle beside it is not enough."""
    for task in workflow.tasks[1:]:
        root = workflow.tasks[0].id.value
        if root not in workflow.before(task) and task.id.value != root:
            yield Finding(
                task.place,
                "unreached",
                f"nothing leads from the first task {root!r} to {task.id.value!r}",
                "add it to the task_destinations of the task before it",
            )


def exports_are_listed(workflow: Workflow) -> Iterator[Finding]:
    """A destination that the gateway section doesn't list is refused."""
    listed = {one.value for one in workflow.export_destinations}
    for task in workflow.tasks:
        seen: set[str] = set()
        for name in task.exports:
            if name.value not in listed:
                yield Finding(
                    name.place,
                    "export",
                    f"{name.value!r} is not among informatics_gateway.export_destinations "
                    f"({', '.join(sorted(listed)) or 'none'})",
                    "list it there, by the name that the gateway knows it by",
                )
            elif name.value in seen:
                yield Finding(
                    name.place, "export", f"{name.value!r} is there twice", "remove one of the two"
                )
            seen.add(name.value)


def routers_lead_somewhere(workflow: Workflow) -> Iterator[Finding]:
    """Else the study ends there as a success."""
    for task in workflow.tasks:
        if task.type.value == "router" and not task.destinations:
            yield Finding(
                task.place,
                "router",
                f"router {task.id.value!r} leads nowhere, and the study ends there as a success",
                "add task_destinations",
            )


def artifact_values(workflow: Workflow) -> Iterator[Finding]:
    """Input artifacts: the study, or what an earlier task made."""
    for task in workflow.tasks:
        for artifact in task.inputs:
            if artifact.value:
                yield from _value_findings(workflow, task, artifact.value)
            for name in _passed_on(artifact.value.value):
                if task.type.value in ("argo", "docker") and artifact.name.value != name:
                    yield Finding(
                        artifact.name.place,
                        "input-renamed",
                        f"input {artifact.name.value!r} is handed over as {name!r}, the name that "
                        "the earlier task gave it",
                        f"name the input {name!r}",
                    )


# The Workflow Manager takes the second word, and what stands between the first } and the next.
_VALUE = re.compile(r"\{+ context\.(?P<path>[^ {}]+) \}(?P<braces>\}*)(?P<suffix>[^{} ]*)")


def _value_findings(workflow: Workflow, task: Task, value: Text) -> Iterator[Finding]:
    match = _VALUE.fullmatch(value.value)
    if not match:
        yield Finding(
            value.place,
            "artifact-value",
            f"{value.value!r} can't be resolved: it has to be in braces, with one space inside "
            "each, and no other",
            "write '{{ context.input.dicom }}' or '{{ context.executions.TASK.artifacts.NAME }}'",
        )
        return
    path = match["path"].split(".")
    if match["suffix"] and (match["braces"] or path[-1] not in ("output_dir", "dicom")):
        yield Finding(
            value.place,
            "artifact-value",
            f"{match['suffix']!r} behind the braces is passed over, and all of {match['path']} is "
            "taken",
            "write '{ context.executions.TASK.output_dir }/NAME/FOLDER', in single braces",
        )
    elif path[:2] == ["input", "dicom"]:
        return
    elif path[0] == "executions" and len(path) > 2:
        yield from _reference_findings(workflow, task, value, path[1:])
    else:
        yield Finding(
            value.place,
            "artifact-value",
            f"context.{match['path']} is not known",
            "write context.input.dicom or context.executions.TASK.artifacts.NAME",
        )


def _reference_findings(
    workflow: Workflow, task: Task, value: Text, path: list[str]
) -> Iterator[Finding]:
    name, location = path[0], path[1]
    earlier = workflow.by_id.get(name)
    if earlier is None or name not in workflow.before(task):
        what = "does not run before this one" if earlier else "does not exist"
        yield Finding(
            value.place,
            "artifact-task",
            f"task {name!r} {what}",
            f"name one of {', '.join(sorted(workflow.before(task))) or 'the tasks before it'}",
        )
        return
    if location == "output_dir":
        return
    outputs = [one.name.value for one in earlier.outputs]
    if location != "artifacts" or path[2:3] == [] or path[2] not in outputs:
        yield Finding(
            value.place,
            "artifact-name",
            f"task {name!r} has no output {'.'.join(path[1:])!r}",
            f"write artifacts.NAME with one of {', '.join(outputs) or 'its outputs (none yet)'}",
        )


def output_values(workflow: Workflow) -> Iterator[Finding]:
    """Where an output goes: left out, it is a folder of the output's name."""
    for task in workflow.tasks:
        for artifact in task.outputs:
            value = artifact.value
            match = _VALUE.fullmatch(value.value)
            wanted = f"executions.{task.id.value}.output_dir"
            if value and (match is None or match["path"] != wanted):
                yield Finding(
                    value.place,
                    "output-value",
                    f"output {artifact.name.value!r} goes to {value.value!r}, which is no place of "
                    "this task",
                    "leave value out",
                )


def needed_outputs_are_mandatory(workflow: Workflow) -> Iterator[Finding]:
    """Else a run without a result is a success, and the failure shows one task late."""
    needed = {
        (match[1], match[2])
        for task in workflow.tasks
        for one in task.inputs
        for match in _OUTPUT.finditer(one.value.value)
        if one.mandatory
    }
    for task in workflow.tasks:
        for output in task.outputs:
            if (task.id.value, output.name.value) in needed and not output.mandatory:
                yield Finding(
                    output.mandatory_place,
                    "mandatory",
                    f"output {output.name.value!r} is not mandatory, though a later task can't do "
                    "without it: a run that makes none is a success at first",
                    'write "mandatory": true',
                )


def exports_send_results(workflow: Workflow) -> Iterator[Finding]:
    """Not the study itself, which the PACS has."""
    exported = [
        one for task in workflow.tasks if task.type.value == "export" for one in task.inputs
    ]
    makers = [
        task for task in workflow.tasks if task.outputs and task.type.value in ("argo", "docker")
    ]
    if not makers or any("context.executions." in one.value.value for one in exported):
        return
    for artifact in exported:
        made = f"{makers[-1].id.value}.artifacts.{makers[-1].outputs[0].name.value}"
        yield Finding(
            artifact.value.place,
            "exports-study",
            f"{artifact.value.value!r} sends the study itself, and nothing that a task made",
            f"write '{{{{ context.executions.{made} }}}}'",
        )


_OUTPUT = re.compile(r"context\.executions\.([^.\s]+)\.(?:artifacts\.|output_dir \}/)([^.\s/}]+)")


def _passed_on(value: str) -> list[str]:
    return re.findall(r"context\.executions\.[^.\s]+\.artifacts\.([^.\s}]+)", value)


def _known(workflow: Workflow) -> str:
    return ", ".join(workflow.by_id) or "the tasks"


WORKFLOW_RULES: tuple[WorkflowRule, ...] = (
    name_and_version,
    gateway,
    predicate,
    retention,
    there_are_tasks,
    task_ids,
    destinations,
    every_task_is_reached,
    exports_are_listed,
    routers_lead_somewhere,
    artifact_values,
    output_values,
    needed_outputs_are_mandatory,
    exports_send_results,
)

"""Rules about the conditions between tasks.

Source: ConditionalParameterParser, ConditionalGroup, Conditional and DicomService of the Workflow
Manager. A condition that it can't read is written to its log and counts as false: the study ends
there as a success.
"""

import re
from collections.abc import Iterator

from deploy.validate.file_fault import Finding
from deploy.validate.read_clinical_workflow import Task, Workflow
from deploy.validate.yaml_positions import Text

_EXECUTION_KEYS = (
    *("task_id", "status", "execution_id", "output_dir", "task_type", "previous_task_id"),
    *("error_msg", "result", "execution_stats", "start_time", "end_time"),
)
_PATIENT_KEYS = ("id", "name", "sex", "dob", "age", "hospital_id")
_WORKFLOW_KEYS = ("name", "description")

_PARAMETER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_OPERAND = r"(?:\{\{[^{}]*\}\}|'[^']*'|\[[^\]]*\]|NULL|null|-?\d+(?:\.\d+)?)"
_OPERATOR = r"(?:==|!=|<=|>=|=<|=>|<|>|CONTAINS|NOT_CONTAINS)"
_COMPARISON = rf"\(*\s*{_OPERAND}\s*{_OPERATOR}\s*{_OPERAND}\s*\)*"
_CONDITION = re.compile(rf"{_COMPARISON}(?:\s+(?:AND|OR|and|or|And|Or)\s+{_COMPARISON})*")


def conditions(workflow: Workflow) -> Iterator[Finding]:
    """Yields what is wrong with every condition of every task."""
    for task in workflow.tasks:
        for destination in task.destinations:
            for condition in destination.conditions:
                yield from _condition_findings(workflow, task, condition)


def _condition_findings(workflow: Workflow, task: Task, condition: Text) -> Iterator[Finding]:
    text = condition.value.strip()
    if not text:
        return
    if not _CONDITION.fullmatch(text) or text.count("(") != text.count(")"):
        yield Finding(
            condition.place,
            "condition",
            f"condition {text!r} can't be read and counts as false",
            "write \"{{ context... }} == 'value'\", with ==, !=, <, >, <=, >=, CONTAINS or "
            "NOT_CONTAINS, joined by AND or OR",
        )
        return
    for parameter in _PARAMETER.findall(text):
        yield from _parameter_findings(workflow, task, parameter, condition)


def _parameter_findings(
    workflow: Workflow, task: Task, parameter: str, condition: Text
) -> Iterator[Finding]:
    if parameter.startswith("context.dicom.series"):
        yield Finding(
            condition.place,
            "series-condition",
            f"{parameter!r} gives the value of whichever file comes first, for any() and all()",
            "route by ae_title and let the application choose the series",
        )
        return
    path = parameter.split(".")
    if path[:2] == ["context", "executions"] and len(path) > 3:
        yield from _execution_findings(workflow, task, path[2:], condition)
    elif not (
        (path[:-1] == ["context", "input", "patient_details"] and path[-1] in _PATIENT_KEYS)
        or (path[:-1] == ["context", "workflow"] and path[-1] in _WORKFLOW_KEYS)
    ):
        yield Finding(
            condition.place,
            "condition",
            f"{parameter!r} is not known and is NULL",
            "write context.executions.TASK.KEY, context.input.patient_details.KEY or "
            "context.workflow.KEY",
        )


def _execution_findings(
    workflow: Workflow, task: Task, path: list[str], condition: Text
) -> Iterator[Finding]:
    name, key = path[0].strip("'"), path[1].lower()
    earlier = workflow.by_id.get(name)
    if earlier is None or (earlier is not task and name not in workflow.before(task)):
        yield Finding(
            condition.place,
            "condition",
            f"task {name!r} has not run when this is asked",
            f"name {task.id.value!r} or a task before it",
        )
    elif key not in _EXECUTION_KEYS:
        yield Finding(
            condition.place,
            "condition",
            f"a task has no {path[1]!r}",
            f"write one of {', '.join(_EXECUTION_KEYS)}",
        )
    elif key == "result" and earlier.type.value != "argo":
        yield Finding(
            condition.place,
            "condition-result",
            f"result.* of {name!r} is always NULL: metadata.json is read from argo tasks only, and "
            f"this one is {earlier.type.value!r}",
            "let a mandatory artifact decide, or run the task under argo",
        )

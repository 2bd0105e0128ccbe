"""Validates the conditions between the tasks of a clinical workflow.

Source: ConditionalParameterParser, ConditionalGroup, Conditional and DicomService of the Workflow
Manager. It logs a condition that it can't read and treats it as false: the study then ends as a
success.
"""

import re
from collections.abc import Iterator

from deploy.validate.clinical_review_rules import ANSWER_KEYS, CLINICAL_REVIEW
from deploy.validate.file_fault import FileFault
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, Task
from deploy.validate.yaml_positions import LocatedText

_EXECUTION_KEYS = (
    *("task_id", "status", "execution_id", "output_dir", "task_type", "previous_task_id"),
    *("error_msg", "result", "execution_stats", "start_time", "end_time"),
)
_PATIENT_KEYS = ("id", "name", "sex", "dob", "age", "hospital_id")
_WORKFLOW_KEYS = ("name", "description")

_PARAMETER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
# A number without quotes is no operand: the Workflow Manager skips it.
_OPERAND = r"(?:\{\{[^{}]*\}\}|'[^']*'|\[[^\]]*\]|NULL|null)"
_OPERATOR = r"(?:==|!=|<=|>=|=<|=>|<|>|CONTAINS|NOT_CONTAINS)"
_COMPARISON = rf"\(*\s*{_OPERAND}\s*{_OPERATOR}\s*{_OPERAND}\s*\)*"
_CONDITION = re.compile(rf"{_COMPARISON}(?:\s+(?:AND|OR|and|or|And|Or)\s+{_COMPARISON})*")


def condition_faults(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """Yields the faults of all conditions of all tasks."""
    for task in workflow.tasks:
        for destination in task.destinations:
            for condition in destination.conditions:
                yield from _faults_of_condition(workflow, task, condition)


def _faults_of_condition(
    workflow: ClinicalWorkflow, task: Task, condition: LocatedText
) -> Iterator[FileFault]:
    text = condition.value.strip()
    if not text:
        return
    if not _CONDITION.fullmatch(text) or text.count("(") != text.count(")"):
        yield FileFault(
            condition.place,
            "condition",
            f"the Workflow Manager can't read condition {text!r} and treats it as false",
            "write \"{{ context... }} == 'value'\", with ==, !=, <, >, <=, >=, CONTAINS or "
            "NOT_CONTAINS, joined by AND or OR; numbers need quotes too",
        )
        return
    for parameter in _PARAMETER.findall(text):
        yield from _parameter_faults(workflow, task, parameter, condition)


def _parameter_faults(
    workflow: ClinicalWorkflow, task: Task, parameter: str, condition: LocatedText
) -> Iterator[FileFault]:
    if parameter.startswith("context.dicom.series"):
        yield FileFault(
            condition.place,
            "series-condition",
            f"{parameter!r} is the value of the file that comes first, with any() and with all()",
            "route by ae_title and let the application choose the series",
        )
        return
    path = parameter.split(".")
    if path[:2] == ["context", "executions"] and len(path) > 3:
        yield from _execution_faults(workflow, task, path[2:], condition)
    elif not (
        (path[:-1] == ["context", "input", "patient_details"] and path[-1] in _PATIENT_KEYS)
        or (path[:-1] == ["context", "workflow"] and path[-1] in _WORKFLOW_KEYS)
    ):
        yield FileFault(
            condition.place,
            "condition",
            f"{parameter!r} does not exist and is NULL",
            "write context.executions.TASK.KEY, context.input.patient_details.KEY or "
            "context.workflow.KEY",
        )


def _execution_faults(
    workflow: ClinicalWorkflow, task: Task, path: list[str], condition: LocatedText
) -> Iterator[FileFault]:
    name, key = path[0].strip("'"), path[1].lower()
    earlier = workflow.task_by_id.get(name)
    if earlier is None or (earlier is not task and name not in workflow.ids_before(task)):
        yield FileFault(
            condition.place,
            "condition",
            f"task {name!r} has not run when the condition is evaluated",
            f"write {task.id.value!r} or a task before it",
        )
    elif key not in _EXECUTION_KEYS:
        yield FileFault(
            condition.place,
            "condition",
            f"a task has no property {path[1]!r}",
            f"write one of {', '.join(_EXECUTION_KEYS)}",
        )
    elif key == "result":
        yield from _result_faults(earlier, path[2:], condition)


def _result_faults(earlier: Task, path: list[str], condition: LocatedText) -> Iterator[FileFault]:
    name, kind = earlier.id.value, earlier.type.value
    if kind == CLINICAL_REVIEW and path[:1] and path[0] not in ANSWER_KEYS:
        yield FileFault(
            condition.place,
            "condition-result",
            f"result.{path[0]} of review {name!r} is always NULL: an answer has no such value",
            f"write one of {', '.join(ANSWER_KEYS)}",
        )
    elif kind not in ("argo", CLINICAL_REVIEW):
        yield FileFault(
            condition.place,
            "condition-result",
            f"result.* of task {name!r} is always NULL: the Workflow Manager reads metadata.json "
            f"of argo tasks and the answers of clinical reviews, and this is a task of type "
            f"{kind!r}",
            "let a mandatory artifact decide, or run the task under argo",
        )

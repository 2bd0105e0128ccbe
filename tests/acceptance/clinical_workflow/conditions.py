"""Evaluates conditions as the Workflow Manager does.

Its peculiarities are kept: AND and OR have the same rank and group to the right, texts are compared
without the case of letters, a number without quotes counts as an empty text, and a condition that
can't be read is false.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from tests.acceptance.clinical_workflow.workflow_instance import WorkflowInstance

NULL = "NULL"
_PARAMETER = re.compile(r"\{\{(.*?)\}\}")
_KEYWORD = re.compile(r"\s(and|And|AND|or|Or|OR)\s")
_OPERAND = r"'[^']*'|\[[^\]]*\]|(?i:null)|-?\d+(?:\.\d+)?"
_OPERATOR = r"==|!=|<=|>=|=<|=>|<|>|(?i:not_contains|contains)"
_COMPARISON = re.compile(rf"({_OPERAND})\s*({_OPERATOR})\s*({_OPERAND})")


class _CannotReadError(Exception):
    pass


def is_true(conditions: Sequence[str], instance: WorkflowInstance) -> bool:
    """Returns whether all conditions of a task destination hold.

    Raises:
        NotImplementedError: The conditions have nested brackets, or ask for DICOM values or
            attributes of the patient, which the stand-in lacks.
    """
    if len(conditions) == 1:
        text = conditions[0]
    else:
        text = " AND ".join(f"({condition})" for condition in conditions)
    try:
        return _evaluate(_resolved(text, instance))
    except _CannotReadError:
        return False


def _resolved(text: str, instance: WorkflowInstance) -> str:
    def value(match: re.Match[str]) -> str:
        found = _value(match[1].strip(), instance) or ""
        if found.strip().upper() in ("", NULL, "UNDEFINED"):
            found = NULL
        is_list = found.startswith("[") and found.endswith("]")
        return found if is_list else f"'{found}'"

    return _PARAMETER.sub(value, text)


def _value(parameter: str, instance: WorkflowInstance) -> str | None:
    if parameter.startswith("context.executions"):
        return _value_of_task(parameter.removeprefix("context.executions").split("."), instance)
    if parameter.startswith(("context.dicom.series", "context.input.patient_details")):
        raise NotImplementedError(parameter)
    if parameter.startswith("context.workflow"):
        template = instance.template
        known = {"name": template.name, "description": template.description}
        return known.get(parameter.removeprefix("context.workflow."))
    return None


def _value_of_task(path: Sequence[str], instance: WorkflowInstance) -> str | None:
    task = instance.task(path[1].strip("'"))
    if task is None:
        return None
    key = path[2].lower()
    if key == "result":
        found = task.result.get(path[3]) if len(path) > 3 else None
        return None if found is None else str(found)
    return {
        "task_id": task.task_id,
        "status": task.status.value,
        "execution_id": task.execution_id,
        "output_dir": task.output_directory,
        "task_type": task.template.type,
        "previous_task_id": task.previous_task_id,
    }.get(key)


def _evaluate(text: str) -> bool:
    keyword = _KEYWORD.search(text)
    if keyword is None:
        return _compare(text)
    left, right = text[: keyword.start()], text[keyword.end() :]
    if keyword[1].upper() == "AND":
        return _compare(left) and _evaluate(right)
    return _compare(left) or _evaluate(right)


def _compare(text: str) -> bool:
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if text.startswith("(") or text.endswith(")"):
        raise NotImplementedError("nested brackets")
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise _CannotReadError(text)
    left, right = (_operand(match[group]) for group in (1, 3))
    operator = match[2].upper()
    if operator.endswith("CONTAINS"):
        return _contains(match[1], match[3]) is (operator == "CONTAINS")
    if operator in ("==", "!="):
        return (left.strip().casefold() == right.strip().casefold()) is (operator == "==")
    try:
        numbers = Decimal(left), Decimal(right)
    except InvalidOperation as error:
        raise _CannotReadError(text) from error
    below, equal = numbers[0] < numbers[1], numbers[0] == numbers[1]
    return {"<": below, ">": not below and not equal}.get(
        operator, (below if "<" in operator else not below) or equal
    )


def _operand(text: str) -> str:
    if text[0] in "'[":
        return text[1:-1] or NULL
    return NULL if text.upper() == NULL else ""


def _contains(left: str, right: str) -> bool:
    lists = [
        [item.strip().strip("\"'") for item in _operand(text).split(",")] for text in (left, right)
    ]
    if left.startswith("[") and right.startswith("["):
        return bool(set(lists[0]) & set(lists[1]))
    if left.startswith("["):
        return _operand(right) in lists[0]
    return _operand(left) in lists[1]

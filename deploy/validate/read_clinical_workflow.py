"""Reads a clinical workflow into dataclasses, with the line of each value."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deploy.container_interface import is_totalmap_image
from deploy.validate.file_fault import Place
from deploy.validate.yaml_positions import LocatedText, LocatedValue

DEFAULT_TIMEOUT_MINUTES = 60.0  # taskTimeoutMinutes in the Workflow Manager's settings


@dataclass(frozen=True)
class Artifact:
    """An input or output of a task."""

    name: LocatedText
    value: LocatedText
    mandatory: bool
    mandatory_place: Place
    type: LocatedText


@dataclass(frozen=True)
class TaskDestination:
    """A task that follows another one, with the conditions on which it follows."""

    name: LocatedText
    conditions: tuple[LocatedText, ...]


@dataclass(frozen=True)
class LocatedNumber:
    """A number and its line; None if the document has no number there."""

    value: float | None
    place: Place


@dataclass(frozen=True)
class Task:
    """A task of a clinical workflow.

    Attributes:
        exports: The names of the export destinations.
    """

    place: Place
    id: LocatedText
    type: LocatedText
    args: Mapping[str, LocatedText]
    args_place: Place
    destinations: tuple[TaskDestination, ...]
    exports: tuple[LocatedText, ...]
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]
    timeout_minutes: LocatedNumber

    @property
    def limit_minutes(self) -> float:
        """The minutes after which the Workflow Manager stops the task, by default 60."""
        minutes = self.timeout_minutes.value
        return DEFAULT_TIMEOUT_MINUTES if minutes is None or minutes == -1 else minutes

    @property
    def is_totalmap(self) -> bool:
        """Whether the task runs our image; then its folders and failures are known."""
        return is_totalmap_image(self.args["container_image"].value if self.image else "")

    @property
    def image(self) -> LocatedText | None:
        """The image of a docker task."""
        return self.args.get("container_image") if self.type.value == "docker" else None


@dataclass(frozen=True)
class ClinicalWorkflow:
    """A clinical workflow.

    Attributes:
        export_destinations: The destinations that its section informatics_gateway lists.
    """

    place: Place
    export_destinations: tuple[LocatedText, ...]
    tasks: tuple[Task, ...]
    retention_days: LocatedNumber
    predicate: tuple[LocatedText, ...]

    @cached_property
    def task_by_id(self) -> Mapping[str, Task]:
        """The tasks by their IDs; of two tasks with one ID the first."""
        return {task.id.value: task for task in reversed(self.tasks)}

    def ids_before(self, task: Task) -> frozenset[str]:
        """Returns the IDs of all tasks that have run before this one starts."""
        found: set[str] = set()
        wanted = {task.id.value}
        while wanted:
            wanted = {
                earlier.id.value
                for earlier in self.tasks
                if any(destination.name.value in wanted for destination in earlier.destinations)
            } - found
            found |= wanted
        return frozenset(found)


def read_clinical_workflow(document: LocatedValue) -> ClinicalWorkflow:
    """Reads all values that can be read; `schema_faults` reports values of the wrong type."""
    gateway = _get(document, "informatics_gateway")
    return ClinicalWorkflow(
        place=document.place,
        export_destinations=_get(gateway, "export_destinations").as_texts(),
        tasks=tuple(_task(task) for task in _get(document, "tasks").items),
        retention_days=_number(_get(document, "dataRetentionDays")),
        predicate=_get(document, "predicate").as_texts(),
    )


def _task(value: LocatedValue) -> Task:
    args = _get(value, "args")
    artifacts = _get(value, "artifacts")
    destinations = _get(value, "task_destinations").items
    exports = _get(value, "export_destinations").items
    return Task(
        place=value.place,
        id=_get(value, "id").as_text(),
        type=_get(value, "type").as_text(),
        # The case of letters matters in the keys of arguments, and in no other key.
        args={entry.key: entry.value.as_text() for entry in args.entries},
        args_place=args.place,
        destinations=tuple(
            TaskDestination(_get(item, "name").as_text(), _get(item, "conditions").as_texts())
            for item in destinations
        ),
        exports=tuple(_get(item, "name").as_text() for item in exports),
        inputs=tuple(_artifact(item) for item in _get(artifacts, "input").items),
        outputs=tuple(_artifact(item) for item in _get(artifacts, "output").items),
        timeout_minutes=_number(_get(value, "timeout_minutes")),
    )


def _artifact(value: LocatedValue) -> Artifact:
    mandatory = _get(value, "mandatory")
    return Artifact(
        name=_get(value, "name").as_text(),
        value=_get(value, "value").as_text(),
        mandatory=mandatory.text.lower() != "false",
        mandatory_place=mandatory.place,
        type=_get(value, "type").as_text(),
    )


def _number(value: LocatedValue) -> LocatedNumber:
    try:
        return LocatedNumber(float(value.text), value.place)
    except ValueError:
        return LocatedNumber(None, value.place)


def _get(value: LocatedValue, key: str) -> LocatedValue:
    return value.get(key, any_case=True)

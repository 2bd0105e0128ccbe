"""A clinical workflow of the Workflow Manager, read into types that know their lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deploy.validate.file_fault import Place
from deploy.validate.yaml_positions import Node, Text

TOTALMAP = "totalmap"  # name of our image, without registry and tag
DEFAULT_TIMEOUT_MINUTES = 60.0  # taskTimeoutMinutes of the Workflow Manager's settings


@dataclass(frozen=True)
class Artifact:
    """An input or output of a task."""

    name: Text
    value: Text
    mandatory: bool
    mandatory_place: Place
    type: Text


@dataclass(frozen=True)
class Destination:
    """A task that comes next, and when."""

    name: Text
    conditions: tuple[Text, ...]


@dataclass(frozen=True)
class Number:
    """A number as it is written, or None."""

    value: float | None
    place: Place


@dataclass(frozen=True)
class Task:
    """One task."""

    place: Place
    id: Text
    type: Text
    args: Mapping[str, Text]
    args_place: Place
    destinations: tuple[Destination, ...]
    exports: tuple[Text, ...]
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]
    timeout_minutes: Number

    @property
    def limit_minutes(self) -> float:
        """After which the Workflow Manager stops the task; its default where nothing is said."""
        minutes = self.timeout_minutes.value
        return DEFAULT_TIMEOUT_MINUTES if minutes is None or minutes == -1 else minutes

    @property
    def is_totalmap(self) -> bool:
        """Says whether the task runs our image, so that its folders and failures are known."""
        return is_totalmap_image(self.args["container_image"].value if self.image else "")

    @property
    def image(self) -> Text | None:
        """The image of a docker task."""
        return self.args.get("container_image") if self.type.value == "docker" else None


@dataclass(frozen=True)
class Workflow:
    """The whole document."""

    place: Place
    name: Text
    version: Text
    gateway: Node
    ae_title: Text
    origins: tuple[Text, ...]
    export_destinations: tuple[Text, ...]
    tasks_place: Place
    tasks: tuple[Task, ...]
    retention_days: Number
    predicate: tuple[Text, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Task]:
        """The tasks by their ids; of two with the same id the first."""
        return {task.id.value: task for task in reversed(self.tasks)}

    def before(self, task: Task) -> frozenset[str]:
        """Returns the ids of all tasks that have run when this one starts."""
        found: set[str] = set()
        wanted = {task.id.value}
        while wanted:
            wanted = {
                one.id.value
                for one in self.tasks
                if any(destination.name.value in wanted for destination in one.destinations)
            } - found
            found |= wanted
        return frozenset(found)


def is_totalmap_image(image: str) -> bool:
    """Says whether an image reference names our image in whatever registry."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0] == TOTALMAP


def read_workflow(node: Node) -> Workflow:
    """Reads what can be read; `shape_findings` says what can't."""
    gateway = _get(node, "informatics_gateway")
    tasks = _get(node, "tasks")
    return Workflow(
        place=node.place,
        name=_get(node, "name").as_text(),
        version=_get(node, "version").as_text(),
        gateway=gateway,
        ae_title=_get(gateway, "ae_title").as_text(),
        origins=_get(gateway, "data_origins").as_texts(),
        export_destinations=_get(gateway, "export_destinations").as_texts(),
        tasks_place=tasks.place,
        tasks=tuple(_task(one) for one in tasks.items),
        retention_days=_number(_get(node, "dataRetentionDays")),
        predicate=_get(node, "predicate").as_texts(),
    )


def _task(node: Node) -> Task:
    args = _get(node, "args")
    artifacts = _get(node, "artifacts")
    return Task(
        place=node.place,
        id=_get(node, "id").as_text(),
        type=_get(node, "type").as_text(),
        # Keys of arguments are taken to the letter, unlike all others.
        args={entry.key: entry.value.as_text() for entry in args.entries},
        args_place=args.place,
        destinations=tuple(
            Destination(_get(one, "name").as_text(), _get(one, "conditions").as_texts())
            for one in _get(node, "task_destinations").items
        ),
        exports=tuple(
            _get(one, "name").as_text() for one in _get(node, "export_destinations").items
        ),
        inputs=tuple(_artifact(one) for one in _get(artifacts, "input").items),
        outputs=tuple(_artifact(one) for one in _get(artifacts, "output").items),
        timeout_minutes=_number(_get(node, "timeout_minutes")),
    )


def _artifact(node: Node) -> Artifact:
    mandatory = _get(node, "mandatory")
    return Artifact(
        name=_get(node, "name").as_text(),
        value=_get(node, "value").as_text(),
        mandatory=mandatory.text.lower() != "false",
        mandatory_place=mandatory.place,
        type=_get(node, "type").as_text(),
    )


def _number(node: Node) -> Number:
    try:
        return Number(float(node.text) if node.kind in ("number", "text") else None, node.place)
    except ValueError:  # `shape_findings` says so
        return Number(None, node.place)


def _get(node: Node, *keys: str) -> Node:
    return node.get(*keys, any_case=True)

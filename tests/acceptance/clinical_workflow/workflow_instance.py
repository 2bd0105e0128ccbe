"""Defines a clinical workflow, and its instance for one study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from tests.acceptance.clinical_workflow.events import TaskStatus


class ArtifactTemplate(BaseModel):
    """An input or output of a task in a clinical workflow."""

    name: str
    value: str = ""
    mandatory: bool = True


class ArtifactTemplates(BaseModel):
    """The inputs and outputs of a task in a clinical workflow."""

    input: tuple[ArtifactTemplate, ...] = ()
    output: tuple[ArtifactTemplate, ...] = ()


class DestinationTemplate(BaseModel):
    """A task that follows, or a PACS, with the conditions."""

    name: str
    conditions: tuple[str, ...] = ()


class TaskTemplate(BaseModel):
    """A task in a clinical workflow."""

    id: str
    type: str
    args: Mapping[str, str] = {}
    artifacts: ArtifactTemplates = ArtifactTemplates()
    task_destinations: tuple[DestinationTemplate, ...] = ()
    export_destinations: tuple[DestinationTemplate, ...] = ()


class WorkflowTemplate(BaseModel):
    """A clinical workflow."""

    name: str
    description: str = ""
    tasks: tuple[TaskTemplate, ...]

    def task(self, task_id: str) -> TaskTemplate:
        """Returns the task with an ID."""
        return next(task for task in self.tasks if task.id == task_id)


@dataclass(kw_only=True)
class TaskExecution:
    """A task of an instance.

    Attributes:
        result: What conditions read as `result.KEY`.
        output_directory: The folder of the task in the object store.
        inputs: The path in the object store of each input.
        outputs: The path in the object store of each output that exists.
    """

    template: TaskTemplate
    execution_id: str
    status: TaskStatus
    output_directory: str
    arguments: dict[str, str]
    previous_task_id: str
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        """The ID of the task in the clinical workflow."""
        return self.template.id


class InstanceStatus(StrEnum):
    """The status of an instance."""

    CREATED = "Created"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(kw_only=True)
class WorkflowInstance:
    """A clinical workflow that runs for one study."""

    id: str
    payload_id: str
    correlation_id: str
    template: WorkflowTemplate
    status: InstanceStatus = InstanceStatus.CREATED
    tasks: list[TaskExecution] = field(default_factory=list)

    def task(self, task_id: str) -> TaskExecution | None:
        """Returns the execution of a task, or None if it has not been created."""
        return next((task for task in self.tasks if task.task_id == task_id), None)

    def statuses(self) -> dict[str, TaskStatus]:
        """Returns the status of each task by its ID."""
        return {task.task_id: task.status for task in self.tasks}

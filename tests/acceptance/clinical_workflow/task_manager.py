"""Stands in for the Task Manager: gives each task to the plug-in of its type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tests.acceptance.clinical_workflow.events import TaskStatus, TaskUpdateEvent
from tests.acceptance.clinical_workflow.message_bus import CannotHandleError, Handler, MessageBus
from tests.acceptance.task_manager.events import TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.messages import Topic

APPLICATION = "4c9072a1-35f5-4d85-847d-dafca22244a8"  # the ID of the Task Manager


@dataclass(frozen=True)
class Progress:
    """The status of a task, and the metadata that a plug-in adds to those of its callback."""

    status: TaskStatus
    metadata: Mapping[str, object] = field(default_factory=dict)


class Plugin(Protocol):
    """Runs the tasks of a type."""

    def execute(self, event: TaskDispatchEvent) -> None:
        """Starts a task.

        Raises:
            CannotHandleError: The task can't run.
        """

    def progress(self, event: TaskDispatchEvent, callback: TaskCallbackEvent) -> Progress:
        """Returns the status of a task after its callback."""


class TaskManager:
    """Starts tasks, and reports their status to the Workflow Manager."""

    def __init__(self, bus: MessageBus, plugins: Mapping[str, Plugin]) -> None:
        self._bus = bus
        self._plugins = plugins
        self._events: dict[str, TaskDispatchEvent] = {}

    @property
    def handlers(self) -> Mapping[Topic, Handler]:
        """The function for each topic."""
        return {Topic.DISPATCH: self._dispatch, Topic.CALLBACK: self._callback}

    def _dispatch(self, body: bytes) -> None:
        event = TaskDispatchEvent.model_validate_json(body)
        self._events[event.execution_id] = event
        try:
            self._plugins[event.type].execute(event)
        except CannotHandleError:
            self._report(event, TaskStatus.FAILED, reason="PluginError")
            raise
        self._report(event, TaskStatus.ACCEPTED)

    def _callback(self, body: bytes) -> None:
        callback = TaskCallbackEvent.model_validate_json(body)
        event = self._events.get(callback.execution_id)
        if event is None:
            raise CannotHandleError(f"no execution {callback.execution_id}")
        progress = self._plugins[event.type].progress(event, callback)
        metadata = {"JobIdentity": callback.identity, **callback.metadata, **progress.metadata}
        self._report(event, progress.status, metadata=metadata)

    def _report(
        self,
        event: TaskDispatchEvent,
        status: TaskStatus,
        *,
        reason: str = "None",
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        update = TaskUpdateEvent(
            workflow_instance_id=event.workflow_instance_id,
            task_id=event.task_id,
            execution_id=event.execution_id,
            correlation_id=event.correlation_id,
            status=status,
            reason=reason,
            outputs=() if metadata is None else event.outputs,
            metadata=metadata or {},
        )
        self._bus.send(Topic.UPDATE, update, event.correlation_id, APPLICATION)

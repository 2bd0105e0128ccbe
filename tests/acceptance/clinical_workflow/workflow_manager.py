"""Stands in for the Workflow Manager: creates, dispatches and completes the tasks of a study."""

import uuid
from collections.abc import Mapping

from tests.acceptance.clinical_workflow.artifact_paths import exists, input_paths
from tests.acceptance.clinical_workflow.conditions import is_true
from tests.acceptance.clinical_workflow.events import (
    ExportCompleteEvent,
    ExportRequestEvent,
    TaskStatus,
    TaskUpdateEvent,
)
from tests.acceptance.clinical_workflow.message_bus import CannotHandleError, Handler, MessageBus
from tests.acceptance.clinical_workflow.workflow_instance import (
    DestinationTemplate,
    InstanceStatus,
    TaskExecution,
    WorkflowInstance,
    WorkflowTemplate,
)
from tests.acceptance.task_manager.events import Storage, TaskDispatchEvent
from tests.acceptance.task_manager.messages import Topic
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.workflow_manager import APPLICATION, BUCKET

_ENDED = (TaskStatus.SUCCEEDED, TaskStatus.PARTIAL_FAIL)
# {status: statuses after which it is not taken}
_NOT_AFTER = {
    TaskStatus.ACCEPTED: {TaskStatus.CREATED, TaskStatus.FAILED, TaskStatus.SUCCEEDED},
    TaskStatus.SUCCEEDED: {TaskStatus.FAILED},
    TaskStatus.FAILED: {TaskStatus.SUCCEEDED},
    TaskStatus.PARTIAL_FAIL: {TaskStatus.SUCCEEDED, TaskStatus.FAILED},
}


class WorkflowManager:
    """Carries studies through one clinical workflow.

    Attributes:
        instances: By their IDs.
    """

    def __init__(self, template: WorkflowTemplate, bus: MessageBus, store: ObjectStore) -> None:
        self._template = template
        self._bus = bus
        self._store = store
        self.instances: dict[str, WorkflowInstance] = {}

    @property
    def handlers(self) -> Mapping[Topic, Handler]:
        """The function for each topic."""
        return {Topic.UPDATE: self._update, Topic.EXPORT_COMPLETE: self._export_complete}

    def start(self, payload_id: str) -> WorkflowInstance:
        """Starts the workflow for a study that the Informatics Gateway has stored."""
        instance = WorkflowInstance(
            id=str(uuid.uuid4()),
            payload_id=payload_id,
            correlation_id=str(uuid.uuid4()),
            template=self._template,
        )
        self.instances[instance.id] = instance
        router = self._execution(instance, self._template.tasks[0].id, "")
        assert router.template.type == "router"
        instance.tasks.append(router)
        self._follow(instance, router)
        return instance

    def _update(self, body: bytes) -> None:
        event = TaskUpdateEvent.model_validate_json(body)
        instance, task = self._find(event.workflow_instance_id, event.task_id)
        if event.status is task.status:
            return
        if task.status in _NOT_AFTER[event.status]:
            raise CannotHandleError(f"{task.task_id}: {event.status} after {task.status}")
        task.result |= event.metadata
        has_failed = instance.status is InstanceStatus.FAILED or any(
            other.status is TaskStatus.FAILED for other in instance.tasks
        )
        if event.status is not TaskStatus.SUCCEEDED or has_failed:
            # Also after a rejected review, PartialFail: no task follows.
            self._update_instance(instance, task, event.status)
            task.status = event.status
            return
        outputs = {output.name: output.relative_root_path for output in event.outputs}
        task.outputs = {name: path for name, path in outputs.items() if exists(self._store, path)}
        if any(
            output.mandatory and output.name not in task.outputs
            for output in task.template.artifacts.output
        ):
            self._complete(instance, task, TaskStatus.FAILED)
        else:
            self._follow(instance, task)

    def _export_complete(self, body: bytes) -> None:
        event = ExportCompleteEvent.model_validate_json(body)
        instance, task = self._find(event.workflow_instance_id, event.export_task_id)
        if event.status == "Success":
            self._follow(instance, task)
        else:
            self._complete(instance, task, TaskStatus.FAILED)

    def _find(self, instance_id: str, task_id: str) -> tuple[WorkflowInstance, TaskExecution]:
        instance = self.instances.get(instance_id)
        task = instance.task(task_id) if instance else None
        if instance is None or task is None:
            raise CannotHandleError(f"no task {task_id} of instance {instance_id}")
        return instance, task

    def _follow(self, instance: WorkflowInstance, task: TaskExecution) -> None:
        """Creates and dispatches the tasks that follow a success, and completes the task."""
        created = [
            self._execution(instance, destination.name, task.task_id)
            for destination in task.template.task_destinations
            if self._is_reached(instance, task, destination)
        ]
        if any(execution.status is TaskStatus.FAILED for execution in created):
            self._complete(instance, task, TaskStatus.FAILED)
            return
        if not created:
            self._update_instance(instance, task, TaskStatus.SUCCEEDED)
        instance.tasks += created
        for execution in created:
            self._dispatch(instance, execution)
        self._complete(instance, task, TaskStatus.SUCCEEDED)

    def _is_reached(
        self, instance: WorkflowInstance, task: TaskExecution, destination: DestinationTemplate
    ) -> bool:
        outputs = {output.name for output in task.template.artifacts.output}
        following = instance.template.task(destination.name)
        if any(
            artifact.mandatory and artifact.name in outputs
            for artifact in following.artifacts.input
        ):
            return False  # waits for an announcement that only remote applications send
        conditions = [text for text in destination.conditions if text.strip()]
        if conditions and not is_true(destination.conditions, instance):
            return False
        return instance.task(destination.name) is None

    def _execution(
        self, instance: WorkflowInstance, task_id: str, previous_task_id: str
    ) -> TaskExecution:
        template, execution_id = instance.template.task(task_id), str(uuid.uuid4())
        inputs = input_paths(template.artifacts.input, instance, self._store)
        return TaskExecution(
            template=template,
            execution_id=execution_id,
            status=TaskStatus.FAILED if inputs is None else TaskStatus.CREATED,
            output_directory=f"{instance.payload_id}/workflows/{instance.id}/{execution_id}",
            arguments=dict(template.args),
            previous_task_id=previous_task_id,
            inputs=inputs or {},
        )

    def _dispatch(self, instance: WorkflowInstance, task: TaskExecution) -> None:
        if task.template.type == "router":
            self._follow(instance, task)
        elif task.template.type == "export":
            self._request_export(instance, task)
        else:
            self._bus.send(
                Topic.DISPATCH,
                self._dispatch_event(instance, task),
                instance.correlation_id,
                APPLICATION,
            )
            task.status = TaskStatus.DISPATCHED

    def _dispatch_event(self, instance: WorkflowInstance, task: TaskExecution) -> TaskDispatchEvent:
        def storage(name: str, path: str) -> Storage:
            return Storage(
                name=name, endpoint=self._store.endpoint, bucket=BUCKET, relative_root_path=path
            )

        task.arguments["workflow_name"] = instance.template.name
        reviewed_id = task.arguments.get("reviewed_task_id")
        for other in instance.tasks:
            if other.task_id.lower() == reviewed_id:  # as it is: in capitals it finds none
                task.arguments["reviewed_execution_id"] = other.execution_id
        return TaskDispatchEvent(
            workflow_instance_id=instance.id,
            task_id=task.task_id,
            execution_id=task.execution_id,
            payload_id=instance.payload_id,
            correlation_id=instance.correlation_id,
            type=task.template.type,
            status="Created",
            task_plugin_arguments=task.arguments,
            inputs=tuple(storage(name, path) for name, path in task.inputs.items()),
            outputs=tuple(
                storage(output.name, f"{task.output_directory}/{output.name}")
                for output in task.template.artifacts.output
            ),
            intermediate_storage=storage(task.task_id, task.output_directory),
        )

    def _request_export(self, instance: WorkflowInstance, task: TaskExecution) -> None:
        files = [
            key
            for path in task.inputs.values()
            for key in self._store.keys(BUCKET, path)
            if key.lower().endswith(".dcm")
        ]
        if not files:
            self._complete(instance, task, TaskStatus.FAILED)
            return
        event = ExportRequestEvent(
            workflow_instance_id=instance.id,
            export_task_id=task.task_id,
            correlation_id=instance.correlation_id,
            payload_id=instance.payload_id,
            files=tuple(files),
            destinations=tuple(pacs.name for pacs in task.template.export_destinations),
        )
        self._bus.send(Topic.EXPORT_REQUEST, event, instance.correlation_id, APPLICATION)
        task.status = TaskStatus.DISPATCHED

    def _complete(
        self, instance: WorkflowInstance, task: TaskExecution, status: TaskStatus
    ) -> None:
        if status is TaskStatus.FAILED:
            self._update_instance(instance, task, status)
        task.status = status

    def _update_instance(
        self, instance: WorkflowInstance, task: TaskExecution, status: TaskStatus
    ) -> None:
        if instance.status is InstanceStatus.FAILED:
            return
        others = [other.status for other in instance.tasks if other is not task]
        if TaskStatus.FAILED in (status, *others):
            instance.status = InstanceStatus.FAILED
        elif status in _ENDED and all(other in _ENDED for other in others):
            instance.status = InstanceStatus.SUCCEEDED

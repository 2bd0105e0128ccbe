"""Stands in for the plug-in argo, and for Argo: runs the container of a WorkflowTemplate."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tests.acceptance.clinical_workflow.events import TaskStatus
from tests.acceptance.clinical_workflow.message_bus import MessageBus
from tests.acceptance.clinical_workflow.task_manager import Progress
from tests.acceptance.task_manager.container_runner import ContainerTask, Mount, Runner
from tests.acceptance.task_manager.events import Storage, TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.messages import Topic
from tests.acceptance.task_manager.object_store import ObjectStore

CALLBACK_APPLICATION = "16988a78-87b5-4168-a5c3-2cfc2bab8e54"


class ArgoPlugin:
    """Runs the only template of a WorkflowTemplate.

    Attributes:
        exit_statuses: Of the containers, by execution ID.
    """

    def __init__(
        self, template: Mapping[str, Any], runner: Runner, bus: MessageBus, store: ObjectStore
    ) -> None:
        (self._template,) = template["spec"]["templates"]
        self._name = template["metadata"]["name"]
        self._runner = runner
        self._bus = bus
        self._store = store
        self.exit_statuses: dict[str, int] = {}

    def execute(self, event: TaskDispatchEvent) -> None:
        """Runs the container to its end, as a workflow of Argo with an exit hook does."""
        assert event.task_plugin_arguments["workflow_template_name"] == self._name
        with tempfile.TemporaryDirectory() as folder:
            self.exit_statuses[event.execution_id] = self._run(event, Path(folder))
        callback = TaskCallbackEvent(
            workflow_instance_id=event.workflow_instance_id,
            task_id=event.task_id,
            execution_id=event.execution_id,
            correlation_id=event.correlation_id,
            identity=f"{self._name}-{event.execution_id[:5]}",
            outputs=event.outputs,
        )
        self._bus.send(Topic.CALLBACK, callback, event.correlation_id, CALLBACK_APPLICATION)

    def progress(self, event: TaskDispatchEvent, callback: TaskCallbackEvent) -> Progress:
        """Returns the end of the workflow, with the content of metadata.json."""
        del callback
        if self.exit_statuses[event.execution_id]:
            return Progress(TaskStatus.FAILED)
        place = event.intermediate_storage
        for key in self._store.keys(place.bucket, place.relative_root_path):
            if PurePosixPath(key).name.lower() == "metadata.json":
                metadata = json.loads(self._store.get(place.bucket, key))
                return Progress(TaskStatus.SUCCEEDED, metadata)
        return Progress(TaskStatus.SUCCEEDED)

    def _run(self, event: TaskDispatchEvent, folder: Path) -> int:
        inputs = self._mounts("inputs", event.inputs, folder)
        for storage, mount in zip(event.inputs, inputs, strict=True):
            self._store.download(storage.bucket, storage.relative_root_path, mount.source)
        outputs = self._mounts("outputs", event.outputs, folder)
        container = self._template["container"]
        status = self._runner.run(
            ContainerTask(
                name=event.execution_id,
                mounts=(*inputs, *outputs),
                environment={item["name"]: item["value"] for item in container["env"]},
                entrypoint=tuple(container["command"]),
                command=tuple(container.get("args", ())),
                user=None,
            )
        )
        for storage, mount in zip(event.outputs, outputs, strict=True):
            self._store.upload(mount.source, storage.bucket, storage.relative_root_path)
        return status

    def _mounts(self, kind: str, storages: tuple[Storage, ...], folder: Path) -> tuple[Mount, ...]:
        artifacts = self._template[kind]["artifacts"]
        path_by_name = {artifact["name"]: artifact["path"] for artifact in artifacts}
        mounts = []
        for storage in storages:
            source = folder / kind / storage.name
            source.mkdir(parents=True)
            mounts.append(
                Mount(source=source, target=path_by_name[storage.name], read_only=kind == "inputs")
            )
        return tuple(mounts)

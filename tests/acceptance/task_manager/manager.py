"""Stands in for the Task Manager: takes tasks, runs them, collects outputs, sends callbacks."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pika.spec import Basic
from pydantic import ValidationError

from tests.acceptance.task_manager.container_runner import ContainerTask, Mount, Runner
from tests.acceptance.task_manager.events import Storage, TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.messages import (
    Topic,
    declare,
    missing_property,
    open_channel,
    properties_of,
    publish,
)
from tests.acceptance.task_manager.object_store import ObjectStore

APPLICATION = "Docker"
ENVIRONMENT_PREFIX = "env_"
LOOK_UP_SECONDS = 0.1


class TaskManager:
    """Runs the tasks of one broker, one after the other.

    Attributes:
        exit_statuses: Of the tasks that were run, by their execution IDs.
    """

    def __init__(self, port: int, store: ObjectStore, folder: Path, runner: Runner) -> None:
        self._port = port
        self._store = store
        self._folder = folder
        self._runner = runner
        self.exit_statuses: dict[str, int] = {}

    def serve(self, should_end: Callable[[], bool]) -> None:
        """Takes tasks until it should end; waits for a broker that was killed."""
        while not should_end():
            try:
                with open_channel(self._port) as channel:
                    self._serve(channel, should_end)
            except AMQPError:
                time.sleep(LOOK_UP_SECONDS)  # until it tries to reach the broker again

    def _serve(self, channel: BlockingChannel, should_end: Callable[[], bool]) -> None:
        declare(channel)
        # One at a time: whatever is delivered when this process is killed counts as a delivery,
        # and the fourth is a task's last.
        channel.basic_qos(prefetch_count=1)
        deliveries = channel.consume(Topic.DISPATCH, inactivity_timeout=LOOK_UP_SECONDS)
        for method, properties, body in deliveries:
            if method is not None:
                self._take(channel, method, properties, body)
            if should_end():
                return

    def _take(
        self,
        channel: BlockingChannel,
        method: Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        try:
            event = TaskDispatchEvent.model_validate_json(body)
        except ValidationError:
            event = None
        if event is None or missing_property(properties):
            channel.basic_nack(method.delivery_tag, requeue=False)
            return
        before = (properties.headers or {}).get("x-delivery-count", 0)
        print(f"delivered {event.execution_id} {before}", flush=True)  # noqa: T201
        callback = self._execute(event)
        sent = properties_of(callback, callback.correlation_id, APPLICATION)
        publish(channel, Topic.CALLBACK, sent, callback.body())
        channel.basic_ack(method.delivery_tag)

    def _execute(self, event: TaskDispatchEvent) -> TaskCallbackEvent:
        """Runs a task from the start, even if it was delivered before."""
        # A container of an earlier delivery may still write into the folder of that delivery.
        home = self._folder / event.execution_id
        home.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=home))
        task = self._prepare(event, folder)
        self.exit_statuses[event.execution_id] = self._runner.run(task)
        # The plug-in ignores the exit status, too.
        for output in event.outputs:
            self._store.upload(
                folder / "outputs" / output.name, output.bucket, output.relative_root_path
            )
        return TaskCallbackEvent(
            workflow_instance_id=event.workflow_instance_id,
            task_id=event.task_id,
            execution_id=event.execution_id,
            correlation_id=event.correlation_id,
            identity=task.name,
            outputs=event.outputs,
        )

    def _prepare(self, event: TaskDispatchEvent, folder: Path) -> ContainerTask:
        """Lays out the folders, and returns mounts and environment as the plug-in makes them."""
        arguments = event.task_plugin_arguments
        for artifact in event.inputs:
            place = folder / "inputs" / artifact.name
            place.mkdir(parents=True)
            self._store.download(artifact.bucket, artifact.relative_root_path, place)
        for artifact in event.outputs:
            (folder / "outputs" / artifact.name).mkdir(parents=True)
        user = arguments.get("user")
        if user:
            subprocess.run(["chown", "-R", user, folder], check=True)
        return ContainerTask(
            name=event.execution_id,
            mounts=(
                *_mounts(event, event.inputs, folder / "inputs", read_only=True),
                *_mounts(event, event.outputs, folder / "outputs", read_only=False),
            ),
            environment={
                name.removeprefix(ENVIRONMENT_PREFIX): value
                for name, value in arguments.items()
                if name.startswith(ENVIRONMENT_PREFIX)
            },
            entrypoint=tuple(arguments["entrypoint"].split(",")),
            command=tuple(arguments["command"].split(",")),
            user=user,
        )


def _mounts(
    event: TaskDispatchEvent, artifacts: Iterable[Storage], folder: Path, *, read_only: bool
) -> Iterable[Mount]:
    """Yields the mounts: the argument with the name of an artifact holds its path."""
    for artifact in artifacts:
        target = event.task_plugin_arguments[artifact.name].rstrip("/")
        yield Mount(source=folder / artifact.name, target=target, read_only=read_only)

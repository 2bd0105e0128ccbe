"""Stands in for the Workflow Manager, which sends tasks and receives their callbacks."""

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from tests.acceptance.task_manager.events import Storage, TaskDispatchEvent
from tests.acceptance.task_manager.messages import Topic, open_channel, properties_of, publish
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.conftest import REPOSITORY
from tests.waiting import WAIT_SECONDS

BUCKET = "monaideploy"
APPLICATION = "16988a78-87b5-4168-a5c3-2cfc2bab8e54"  # the ID of the Workflow Manager
INPUT = "env_HOLOSCAN_INPUT_PATH"
OUTPUT = "env_HOLOSCAN_OUTPUT_PATH"
LOOK_SECONDS = 0.1  # between two checks of a queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that was taken from a queue."""

    properties: pika.BasicProperties
    body: bytes


def dispatch_event(
    store: ObjectStore, payload_id: str, root: str, arguments: Mapping[str, str]
) -> TaskDispatchEvent:
    """Returns the task of running a MAP on the files below a root of the object store.

    Args:
        arguments: Of the Docker plug-in. As in a clinical workflow, the artifacts are called like
            the arguments that say where they are mounted.
    """
    instance, execution = str(uuid.uuid4()), str(uuid.uuid4())
    directory = f"{payload_id}/workflows/{instance}/{execution}"

    def storage(name: str, path: str) -> Storage:
        return Storage(name=name, endpoint=store.endpoint, bucket=BUCKET, relative_root_path=path)

    return TaskDispatchEvent(
        workflow_instance_id=instance,
        task_id="totalmap",
        execution_id=execution,
        payload_id=payload_id,
        correlation_id=str(uuid.uuid4()),
        type="docker",
        status="Dispatched",
        task_plugin_arguments=arguments,
        inputs=(storage(INPUT, root),),
        outputs=(storage(OUTPUT, f"{directory}/{OUTPUT}"),),
        intermediate_storage=storage(f"{execution}-intermediate", directory),
    )


def send(port: int, events: Iterable[TaskDispatchEvent]) -> int:
    """Publishes tasks, each until the broker has confirmed it.

    Returns:
        How many were sent more than once, since a broker ended before it answered.
    """
    waiting = [(properties_of(event, event.correlation_id, APPLICATION), event) for event in events]
    again = 0
    deadline = time.monotonic() + WAIT_SECONDS
    while waiting:
        is_sending = False
        try:
            with open_channel(port) as channel:
                while waiting:
                    properties, event = waiting[0]
                    is_sending = True
                    publish(channel, Topic.DISPATCH, properties, event.body())
                    waiting.pop(0)
        except AMQPError:
            assert time.monotonic() < deadline, "the broker does not take the tasks"
            again += is_sending
            time.sleep(LOOK_SECONDS)
    return again


def take_all(port: int, queue: str) -> list[Message]:
    """Returns the messages of a queue, and removes them."""
    taken: list[Message] = []
    with open_channel(port) as channel:
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None:
                return taken
            taken.append(Message(properties=properties, body=body))
            channel.basic_ack(method.delivery_tag)


def depth(port: int, queue: str) -> int:
    """Returns how many messages wait in a queue; waits for a broker that was killed."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with open_channel(port) as channel:
                count: int = channel.queue_declare(queue, passive=True).method.message_count
                return count
        except AMQPError:
            assert time.monotonic() < deadline, "the broker does not come back"
            time.sleep(LOOK_SECONDS)


class ManagerProcess:
    """The stand-in as a process that can be killed and started anew."""

    def __init__(self, port: int, store: ObjectStore, folder: Path, command: Sequence[str]) -> None:
        module = [sys.executable, "-m", "tests.acceptance.task_manager"]
        where = ["--broker", str(port), "--store", store.endpoint, "--folder", str(folder)]
        self._command = [*module, *where, "--", *command]
        self._log = folder / "manager.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and does not wait for it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """Ends it at once."""
        process = self._running()
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Ends it after the running task."""
        process = self._running()
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0, self.said()

    def said(self) -> str:
        """Returns what it has written since its first start."""
        return self._log.read_text()

    def delivery_counts(self) -> list[int]:
        """Returns for each delivery how many earlier deliveries of the task failed."""
        return [int(count) for count in re.findall(r"^delivered \S+ (\d+)$", self.said(), re.M)]

    def close(self) -> None:
        """Ends it if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        assert self._process.poll() is None, f"it has ended by itself: {self.said()}"
        return self._process

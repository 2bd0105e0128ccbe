"""No task of MONAI's Task Manager is lost when its consumer or its broker is killed."""

import hashlib
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import wait_until

pytest.importorskip("pika", reason="pika is not installed (requirements-dev.txt)")
pytest.importorskip("boto3", reason="boto3 is not installed (requirements-dev.txt)")
pytest.importorskip("moto", reason="moto is not installed (requirements-dev.txt)")

from pika.exceptions import AMQPError

from tests.acceptance.task_manager.checks import check_callback, objects
from tests.acceptance.task_manager.container_runner import ProcessRunner
from tests.acceptance.task_manager.events import TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.manager import TaskManager
from tests.acceptance.task_manager.messages import (
    DELIVERY_LIMIT,
    EXCHANGE,
    Topic,
    open_channel,
    properties_of,
)
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.rabbitmq_broker import Broker
from tests.acceptance.task_manager.workflow_manager import (
    APPLICATION,
    BUCKET,
    INPUT,
    OUTPUT,
    ManagerProcess,
    Message,
    depth,
    dispatch_event,
    send,
    take_all,
)

TASK_SECONDS = 600

# A hundred small tasks test the messages.

QUICK = (
    'cd "$HOLOSCAN_INPUT_PATH" && sleep 0.05 && '
    "find . -name '*.dcm' -exec sha256sum {} + > \"$HOLOSCAN_OUTPUT_PATH/sums.txt\""
)
QUICK_COMMAND = ("sh", "-c", QUICK)
QUICK_ARGUMENTS = {
    "server_url": "unix:///run/docker.sock",
    "container_image": "quick",
    "entrypoint": "sh,-c",
    "command": "true",
    "temp_storage_container_path": "/var/lib/mde/",
    INPUT: "/input",
    OUTPUT: "/output",
}
N_TASKS = 100
SEED = 5
KILLS = ("consumer", "broker", "consumer", "consumer", "broker", "consumer")
SENT_FIRST, SENT_AFTER_A_KILL = 40, 30
CALLBACKS_BETWEEN_KILLS = (2, 7)
LATE_SECONDS = 0.3


def quick_event(store: ObjectStore, content: bytes) -> TaskDispatchEvent:
    payload_id = str(uuid.uuid4())
    key = f"{payload_id}/dcm/1.2/1.2.3/1.2.3.4.dcm"
    store.put(BUCKET, key, content)
    store.put(BUCKET, f"{key}.json", b"{}")
    return dispatch_event(store, payload_id, f"{payload_id}/dcm", QUICK_ARGUMENTS)


def quick_output(content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  ./1.2/1.2.3/1.2.3.4.dcm\n".encode()


def execution_id(callback: Message) -> str:
    return TaskCallbackEvent.model_validate_json(callback.body).execution_id


def etag_of(content: bytes) -> str:
    """Returns the ETag of S3 for an object that was written in one piece."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def etags(store: ObjectStore) -> dict[str, dict[str, set[str]]]:
    """Returns the ETags of all versions of each object: {folder: {name: {etag}}}."""
    written: dict[str, dict[str, set[str]]] = {}
    for version in store.versions(BUCKET):
        folder, _, name = version.key.rpartition("/")
        written.setdefault(folder, {}).setdefault(name, set()).add(version.etag)
    return written


def wait_for_callbacks(broker: Broker, count: int) -> None:
    wait_until(lambda: depth(broker.port, Topic.CALLBACK) >= count, f"{count} callbacks")


def test_a_task_that_is_delivered_twice_has_the_same_outputs(
    empty_broker: Broker, store: ObjectStore, tmp_path: Path
) -> None:
    port, event = empty_broker.port, quick_event(store, b"x")
    send(port, [event, event])
    manager = TaskManager(port, store, tmp_path, ProcessRunner(command=QUICK_COMMAND))
    deadline = time.monotonic() + TASK_SECONDS
    manager.serve(lambda: depth(port, Topic.CALLBACK) == 2 or time.monotonic() > deadline)
    for callback in take_all(port, Topic.CALLBACK):
        check_callback(callback, event)
    root = event.outputs[0].relative_root_path
    assert objects(store, root) == {"sums.txt": quick_output(b"x")}
    first, second = store.versions(BUCKET, root)
    assert first == second


def kill_in_turn(
    broker: Broker,
    manager: ManagerProcess,
    waiting: list[TaskDispatchEvent],
    rng: np.random.Generator,
) -> int:
    """Kills consumer and broker while tasks run, and sends the waiting tasks.

    Returns:
        The number of tasks that were sent again.
    """
    sent_again = 0
    for victim in KILLS:
        more = int(rng.integers(*CALLBACKS_BETWEEN_KILLS))
        wait_for_callbacks(broker, depth(broker.port, Topic.CALLBACK) + more)
        time.sleep(rng.uniform(0, LATE_SECONDS))  # so that the kill comes at any time of a task
        assert depth(broker.port, Topic.CALLBACK) < N_TASKS, "no task is left that could be lost"
        if victim == "consumer":
            manager.kill()
            manager.start()
        else:
            broker.kill()
            broker.start()
            sent_again += send(broker.port, waiting[:SENT_AFTER_A_KILL])
            del waiting[:SENT_AFTER_A_KILL]
    assert not waiting, "every task was sent"
    return sent_again


def callbacks_of_all(broker: Broker, manager: ManagerProcess) -> list[Message]:
    """Waits for the callbacks of all tasks and until the manager has finished repeated tasks."""
    callbacks: list[Message] = []

    def are_back() -> bool:
        callbacks.extend(take_all(broker.port, Topic.CALLBACK))
        is_back = len(set(map(execution_id, callbacks))) == N_TASKS
        return is_back and depth(broker.port, Topic.DISPATCH) == 0

    wait_until(are_back, "all callbacks")
    manager.stop()
    return callbacks + take_all(broker.port, Topic.CALLBACK)


def test_no_task_is_lost_when_consumer_and_broker_are_killed(
    empty_broker: Broker, store: ObjectStore, tmp_path: Path
) -> None:
    broker, rng = empty_broker, np.random.default_rng(SEED)
    contents = [rng.bytes(1000) for _ in range(N_TASKS)]
    events = [quick_event(store, content) for content in contents]
    send(broker.port, events[:SENT_FIRST])
    with closing(ManagerProcess(broker.port, store, tmp_path, QUICK_COMMAND)) as manager:
        manager.start()
        sent_again = kill_in_turn(broker, manager, events[SENT_FIRST:], rng)
        callbacks = callbacks_of_all(broker, manager)
    for topic in Topic:
        assert depth(broker.port, topic) == depth(broker.port, topic.dead_letters) == 0
    by_id = {event.execution_id: event for event in events}
    assert set(map(execution_id, callbacks)) == set(by_id)
    for callback in callbacks:
        check_callback(callback, by_id[execution_id(callback)])
    written = etags(store)
    for event, content in zip(events, contents, strict=True):
        expected = {"sums.txt": {etag_of(quick_output(content))}}
        assert written[event.outputs[0].relative_root_path] == expected
    twice = len(callbacks) - N_TASKS
    assert twice <= len(KILLS) + sent_again, "a kill costs one callback at most"
    counts = manager.delivery_counts()
    assert 1 <= max(counts) <= DELIVERY_LIMIT, "no kill has interrupted a task"
    print(  # noqa: T201  shown by pytest -rP
        f"{len(KILLS)} kills: {len(counts)} deliveries of {N_TASKS} tasks, {sent_again} sent "
        f"again, {twice} callbacks twice, delivery count {max(counts)} at most"
    )


# The delivery limit of the contract


@pytest.mark.parametrize(("prefetch", "lost"), [(0, 10), (1, 1)])
def test_messages_delivered_to_four_killed_consumers_become_dead_letters(
    empty_broker: Broker, store: ObjectStore, prefetch: int, lost: int
) -> None:
    """MONAI's subscribers set no limit (prefetch 0), so all waiting messages are delivered."""
    port = empty_broker.port
    send(port, [quick_event(store, b"never read") for _ in range(10)])
    for _ in range(DELIVERY_LIMIT + 1):
        with open_channel(port) as channel:
            channel.basic_qos(prefetch_count=prefetch)
            deliveries = channel.consume(Topic.DISPATCH)
            for _ in range(prefetch or 10):
                next(deliveries)
            channel.connection.close()
    wait_until(lambda: depth(port, Topic.DISPATCH.dead_letters) >= lost, f"{lost} dead letters")
    wait_until(lambda: depth(port, Topic.DISPATCH) == 10 - lost, "the rest to be ready again")
    assert depth(port, Topic.DISPATCH.dead_letters) == lost


def test_a_killed_broker_counts_as_a_delivery(empty_broker: Broker, store: ObjectStore) -> None:
    broker = empty_broker
    send(broker.port, [quick_event(store, b"never read")])
    with suppress(AMQPError), open_channel(broker.port) as channel:
        next(channel.consume(Topic.DISPATCH))
        broker.kill()
    broker.start()
    broker.wait_until_up()
    with open_channel(broker.port) as channel:
        method, properties, _ = next(channel.consume(Topic.DISPATCH))
        assert properties.headers["x-delivery-count"] == 1
        channel.basic_ack(method.delivery_tag)


def test_a_message_without_a_required_property_is_refused(
    empty_broker: Broker, store: ObjectStore, tmp_path: Path
) -> None:
    port = empty_broker.port
    event = quick_event(store, b"x")
    properties = properties_of(event, event.correlation_id, APPLICATION)
    properties.message_id = None
    with open_channel(port) as channel:
        channel.basic_publish(EXCHANGE, Topic.DISPATCH, event.body(), properties, mandatory=True)
        complete = properties_of(event, event.correlation_id, APPLICATION)
        channel.basic_publish(EXCHANGE, Topic.DISPATCH, b"{}", complete, mandatory=True)
    manager = TaskManager(port, store, tmp_path, ProcessRunner(command=QUICK_COMMAND))
    deadline = time.monotonic() + TASK_SECONDS
    manager.serve(
        lambda: depth(port, Topic.DISPATCH.dead_letters) == 2 or time.monotonic() > deadline
    )
    assert depth(port, Topic.DISPATCH.dead_letters) == 2
    assert depth(port, Topic.CALLBACK) == 0
    assert not list(tmp_path.iterdir())

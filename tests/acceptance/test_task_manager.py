"""A MAP fulfils the contracts of MONAI's Task Manager, and its messages survive kills."""

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from tests.waiting import wait_until

pytest.importorskip("pika", reason="pika is not installed (requirements-dev.txt)")
pytest.importorskip("boto3", reason="boto3 is not installed (requirements-dev.txt)")
pytest.importorskip("moto", reason="moto is not installed (requirements-dev.txt)")

from pika.exceptions import AMQPError

from tests.acceptance.docker_engine import DockerEngine
from tests.acceptance.task_manager.container_runner import DockerRunner, ProcessRunner, Runner
from tests.acceptance.task_manager.events import TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.informatics_gateway import receive_study
from tests.acceptance.task_manager.manager import TaskManager
from tests.acceptance.task_manager.messages import (
    DELIVERY_LIMIT,
    EXCHANGE,
    PERSISTENT,
    Topic,
    missing_property,
    open_channel,
    properties_of,
)
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.object_store_server import running_store
from tests.acceptance.task_manager.rabbitmq_broker import Broker, running_broker
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
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.phantom.study import WrittenStudy, write_study

USER = "1000:1000"

# As in a clinical workflow. Variables that the MAP specification and the packager spell differently
# have both spellings.
MAP_ARGUMENTS = {
    "server_url": "unix:///run/docker.sock",
    "container_image": "totalmap",
    "entrypoint": "/bin/sh,-c",
    "command": "exec /var/holoscan/tools",
    "temp_storage_container_path": "/var/lib/mde/",
    "task_timeout_minutes": "30",
    INPUT: "/var/holoscan/input/",
    OUTPUT: "/var/holoscan/output/",
    "env_HOLOSCAN_WORKDIR": "/var/holoscan/",
    "env_HOLOSCAN_MODEL_PATH": "/opt/holoscan/models/",
    "env_HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "env_HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "env_HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
    "env_HOLOSCAN_DOCS": "/opt/holoscan/docs/",
    "env_HOLOSCAN_DOCS_PATH": "/opt/holoscan/docs/",
    "env_HOLOSCAN_LOGS": "/var/holoscan/logs/",
    "env_HOLOSCAN_LOGS_PATH": "/var/holoscan/logs/",
    # The quality rules may reject what the demo model finds in a phantom.
    "env_TOTALMAP_QUALITY__REJECTED": "deliver",
}
IN_THE_IMAGE = {
    "/opt/holoscan/models": DEMO_MODELS,
    "/var/holoscan/app.yaml": REPOSITORY / "app.yaml",
}
TASK_SECONDS = 600


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running_store(tmp_path_factory.mktemp("store")) as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def empty_broker(broker: Broker) -> Broker:
    """The broker with nothing in its queues."""
    broker.wait_until_up()
    for topic in Topic:
        take_all(broker.port, topic)
        take_all(broker.port, topic.dead_letters)
    return broker


@pytest.fixture(scope="module", params=["process", "container"])
def map_is_container(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "container")


@pytest.fixture(scope="module")
def map_arguments(map_is_container: bool) -> dict[str, str]:
    """Arguments of the Docker plug-in for the MAP."""
    return MAP_ARGUMENTS | ({"user": USER} if map_is_container else {})


@pytest.fixture(scope="module")
def map_runner(map_is_container: bool, request: pytest.FixtureRequest) -> Runner:
    """The MAP: its container, or the same command as a plain process."""
    if map_is_container:
        engine: DockerEngine = request.getfixturevalue("engine")
        image: str = request.getfixturevalue("own_image")
        host = f"unix://{engine.socket}"
        return DockerRunner(image=image, host=host, options=("--runtime=nvidia",))
    return ProcessRunner(
        command=(sys.executable, "-m", "app"), folders=IN_THE_IMAGE, cwd=REPOSITORY
    )


# One study through the MAP


@dataclass(frozen=True, kw_only=True)
class Done:
    """The remains of a finished task of the MAP."""

    event: TaskDispatchEvent
    message: Message
    exit_status: int
    files: dict[str, bytes]
    inputs: dict[str, bytes]

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 5, size=64, n_slices=30)


@pytest.fixture(scope="module")
def run_map(
    broker: Broker,
    store: ObjectStore,
    map_runner: Runner,
    map_arguments: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    def run(files: list[Path], arguments: dict[str, str]) -> Done:
        payload_id = str(uuid.uuid4())
        root = receive_study(store, BUCKET, payload_id, files)
        event = dispatch_event(store, payload_id, root, map_arguments | arguments)
        folder = tmp_path_factory.mktemp("manager")
        manager = TaskManager(broker.port, store, folder, map_runner)
        send(broker.port, [event])
        deadline = time.monotonic() + TASK_SECONDS
        manager.serve(lambda: bool(manager.exit_statuses) or time.monotonic() > deadline)
        (message,) = take_all(broker.port, Topic.CALLBACK)
        (attempt,) = (folder / event.execution_id).iterdir()
        return Done(
            event=event,
            message=message,
            exit_status=manager.exit_statuses[event.execution_id],
            files=objects(store, event.outputs[0].relative_root_path),
            inputs=contents(attempt / "inputs" / INPUT),
        )

    return run


def objects(store: ObjectStore, root: str) -> dict[str, bytes]:
    keys = store.keys(BUCKET, f"{root}/")
    return {key.removeprefix(f"{root}/"): store.get(BUCKET, key) for key in keys}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def metadata_for_conditions(store: ObjectStore, event: TaskDispatchEvent) -> Any:
    """Returns the metadata that the Argo plug-in offers to the conditions of a workflow."""
    directory = f"{event.payload_id}/workflows/{event.workflow_instance_id}/{event.execution_id}"
    keys = store.keys(BUCKET, directory)
    (found,) = [key for key in keys if PurePosixPath(key).name.lower() == "metadata.json"]
    return json.loads(store.get(BUCKET, found))


@pytest.fixture(scope="module")
def succeeded(run_map: Any, study: WrittenStudy) -> Done:
    done: Done = run_map(files_of(study.folder), {})
    return done


@pytest.fixture(scope="module")
def refused(run_map: Any, study: WrittenStudy) -> Done:
    """A study of a localizer only, with folders that do not end with a slash."""
    folders = {name: MAP_ARGUMENTS[name].rstrip("/") for name in (INPUT, OUTPUT)}
    done: Done = run_map(files_of(study.localizer.folder), folders)
    return done


def check_callback(message: Message, event: TaskDispatchEvent) -> None:
    callback = TaskCallbackEvent.model_validate_json(message.body)
    for name in ("workflow_instance_id", "task_id", "execution_id", "correlation_id", "outputs"):
        assert getattr(callback, name) == getattr(event, name)
    assert missing_property(message.properties) is None
    assert message.properties.correlation_id == event.correlation_id
    assert message.properties.delivery_mode == PERSISTENT
    assert message.properties.type == "TaskCallbackEvent"
    assert message.properties.timestamp


def test_the_map_takes_a_task_and_its_results_are_collected(
    succeeded: Done, study: WrittenStudy
) -> None:
    assert succeeded.exit_status == 0, succeeded.files
    status = succeeded.json("status.json")
    assert status["outcome"] == "succeeded"
    assert status["series"][0]["series_instance_uid"] == study.thin_soft.series_uid
    assert {result["path"].rstrip("/") for result in status["results"]} <= {
        *succeeded.files,
        *(PurePosixPath(name).parent.as_posix() for name in succeeded.files),
    }
    assert not [name for name in succeeded.files if name.endswith(".part")]


def test_every_dicom_result_can_be_exported(succeeded: Done) -> None:
    is_dicom = {name for name, content in succeeded.files.items() if content[128:132] == b"DICM"}
    assert {"results/seg.dcm", "results/sr.dcm", "results/rtstruct.dcm"} <= is_dicom
    # The Workflow Manager exports what ends like this, in small letters, and nothing else.
    assert is_dicom == {name for name in succeeded.files if name.endswith(".dcm")}


def test_json_files_beside_the_input_are_ignored(succeeded: Done) -> None:
    neighbours = [name for name in succeeded.inputs if name.endswith(".dcm.json")]
    assert len(neighbours) == len(succeeded.inputs) / 2 > 30
    assert succeeded.json("status.json")["ignored_files"] == len(neighbours)


def test_the_input_is_not_changed(succeeded: Done, refused: Done, store: ObjectStore) -> None:
    for done in (succeeded, refused):
        assert done.inputs == objects(store, done.event.inputs[0].relative_root_path)


def test_the_callback_event_names_the_task(succeeded: Done, refused: Done) -> None:
    for done in (succeeded, refused):
        check_callback(done.message, done.event)


def test_conditions_read_the_outcome_of_a_success(succeeded: Done, store: ObjectStore) -> None:
    metadata = metadata_for_conditions(store, succeeded.event)
    status = succeeded.json("status.json")
    assert metadata["outcome"] == "succeeded"
    assert metadata["structures_found"] == len(status["structures"]) > 0
    assert "exception" not in metadata


def test_a_study_without_a_suitable_series_fails_with_an_outcome(
    refused: Done, store: ObjectStore
) -> None:
    assert refused.exit_status == 65
    # The Docker plug-in calls this a success: a workflow must find nothing to export.
    assert set(refused.files) == {"status.json", "metadata.json"}
    metadata = metadata_for_conditions(store, refused.event)
    assert metadata["outcome"] == "failed"
    assert metadata["exception"] == "NoSuitableSeries"
    assert metadata["exception_message"] == refused.json("status.json")["error"]["message"]


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

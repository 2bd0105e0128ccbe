"""A MAP fulfils the contracts of MONAI's Task Manager."""

import json
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

pytest.importorskip("pika", reason="pika is not installed (requirements-dev.txt)")
pytest.importorskip("boto3", reason="boto3 is not installed (requirements-dev.txt)")
pytest.importorskip("moto", reason="moto is not installed (requirements-dev.txt)")

from tests.acceptance.docker_engine import DockerEngine
from tests.acceptance.task_manager.checks import check_callback, objects
from tests.acceptance.task_manager.container_runner import DockerRunner, ProcessRunner, Runner
from tests.acceptance.task_manager.events import TaskDispatchEvent
from tests.acceptance.task_manager.informatics_gateway import receive_study
from tests.acceptance.task_manager.manager import TaskManager
from tests.acceptance.task_manager.messages import Topic
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.rabbitmq_broker import Broker
from tests.acceptance.task_manager.workflow_manager import (
    BUCKET,
    INPUT,
    OUTPUT,
    Message,
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

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.config import ContainerSection
from gateway.store.file_storage import INPUT_NAME, OUTPUT_NAME, SETTINGS_NAME
from gateway.store.job import Judgement, KeptResult
from gateway.work.application_runner import ContainerRunner, Outcome, container_name
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from totalmap.finding import Verdict
from totalmap.run_log import SilentObserver

NAME = "totalmap-host-1-0123abcd"
SEG = {"path": "results/seg.dcm", "kind": "seg", "sop_instance_uid": "2.25.1"}


@pytest.fixture
def docker(tmp_path: Path) -> DockerStandIn:
    return DockerStandIn(tmp_path / "docker")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a prepared job."""
    job = tmp_path / ("0123456789abcdef" * 4)
    (job / INPUT_NAME).mkdir(parents=True)
    (job / INPUT_NAME / "one.dcm").touch()
    (job / SETTINGS_NAME).write_text("logging: {}\n")
    return job


def runner(docker: DockerStandIn, models: Path | None = None, **more: object) -> ContainerRunner:
    return ContainerRunner(
        ContainerSection.model_validate({"docker": str(docker.command), **more}), models, NAME
    )


def run(docker: DockerStandIn, folder: Path) -> Outcome:
    return runner(docker).run(folder, SilentObserver())


def test_the_worker_reads_results_of_the_application_from_status_json(
    docker: DockerStandIn, folder: Path
) -> None:
    docker.succeeds(SEG)
    outcome = run(docker, folder)
    assert outcome.failure is None
    assert outcome.results == (
        KeptResult(path="results/seg.dcm", kind="seg", sop_instance_uid="2.25.1"),
    )
    assert docker.text("input") == "one.dcm\n"
    assert docker.text("settings.yaml") == "logging: {}\n"


def test_results_that_the_worker_holds_back_have_a_reason(
    docker: DockerStandIn, folder: Path
) -> None:
    reasons = [("review", "A hole."), ("reject", "Left and right are swapped.")]
    docker.succeeds(SEG, verdict=Verdict.REJECT, findings=reasons, held="Swapped.")
    outcome = run(docker, folder)
    assert outcome.failure is None
    assert outcome.judgement == Judgement(
        verdict=Verdict.REJECT, reasons=("Left and right are swapped.",), is_held=True
    )
    assert len(outcome.results) == 1


def test_a_container_of_the_worker_runs_without_network_and_sees_only_its_job(
    docker: DockerStandIn, folder: Path, tmp_path: Path
) -> None:
    docker.succeeds()
    one = runner(docker, tmp_path / "models", image="map:1", memory_gb=6.5, gpus="1")
    one.run(folder, SilentObserver())
    (words,) = docker.calls()
    assert words[:4] == ["run", "--rm", "--name", NAME]
    assert words[-1] == "map:1"
    following = dict(pairwise(words))
    assert following["--user"] == f"{os.getuid()}:{os.getgid()}"
    assert following["--memory"] == "6.5g"
    assert following["--gpus"] == "1"
    assert following["--cap-drop"] == "ALL"
    assert following["--security-opt"] == "no-new-privileges"
    assert {"--network=none", "--read-only"} <= set(words)
    mounts = {after for word, after in pairwise(words) if word == "--volume"}
    assert mounts == {
        f"{folder / INPUT_NAME}:/var/holoscan/input:ro",
        f"{folder / OUTPUT_NAME}:/var/holoscan/output",
        f"{folder / SETTINGS_NAME}:/var/holoscan/app.yaml:ro",
        f"{tmp_path / 'models'}:/opt/holoscan/models:ro",
    }


def test_without_models_and_gpus_in_the_settings_the_worker_gives_docker_neither(
    docker: DockerStandIn, folder: Path
) -> None:
    docker.succeeds()
    run(docker, folder)
    (words,) = docker.calls()
    assert "--gpus" not in words
    assert not any(word.endswith(":/opt/holoscan/models:ro") for word in words)


def test_the_worker_removes_a_container_that_was_left_behind(
    docker: DockerStandIn, folder: Path
) -> None:
    runner(docker).warm_up(folder / SETTINGS_NAME)
    assert docker.calls() == [["rm", "--force", NAME]]


def test_each_worker_has_its_own_container_name(tmp_path: Path) -> None:
    gateways = (tmp_path / "one", tmp_path / "two")
    names = {
        container_name(worker, gateway) for worker in ("host-1", "host-2") for gateway in gateways
    }
    assert len(names) == 4
    assert container_name("host-1", tmp_path / "one") in names, "the same after each start"
    odd = container_name("a host/1", tmp_path)
    assert re.fullmatch(r"totalmap-a-host-1-[0-9a-f]{8}", odd), "Docker takes no other characters"


@pytest.mark.parametrize(("exit_status", "is_final"), [(65, True), (66, True), (75, False)])
def test_the_worker_reads_the_reason_of_a_failed_run_from_status_json(
    docker: DockerStandIn, folder: Path, exit_status: int, is_final: bool
) -> None:
    docker.fails(exit_status, "no CT series")
    failure = run(docker, folder).failure
    assert failure is not None
    assert (failure.message, failure.is_final) == ("no CT series", is_final)


@pytest.mark.parametrize("exit_status", [0, 1, 137, 139])
def test_a_worker_container_without_status_json_counts_as_killed(
    docker: DockerStandIn, folder: Path, exit_status: int
) -> None:
    docker.ends(exit_status)
    failure = run(docker, folder).failure
    assert failure is not None
    assert failure.message == f"the container ended with {exit_status} and left no status.json"
    assert not failure.is_final


@pytest.mark.parametrize("status", [{}, [], {"error": None}, {"error": None, "results": [{}]}, 1])
def test_the_worker_takes_a_status_json_of_another_layout_as_missing(
    docker: DockerStandIn, folder: Path, status: object
) -> None:
    docker.leaves(status)
    failure = run(docker, folder).failure
    assert failure is not None
    assert "left no status.json" in failure.message


@pytest.mark.parametrize("exit_status", [125, 126, 127])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"warning\nUnable to find image 'totalmap'\n", "Unable to find image 'totalmap'"),
        (b"\xff\xfe no text\n", " no text"),
        (b"", "docker ended with 12"),
    ],
)
def test_a_worker_container_that_docker_does_not_start_is_no_final_failure(
    docker: DockerStandIn, folder: Path, exit_status: int, said: bytes, reason: str
) -> None:
    docker.ends(exit_status, said)
    failure = run(docker, folder).failure
    assert failure is not None
    assert failure.message.startswith("the container was not started: ")
    assert reason in failure.message
    assert "warning" not in failure.message
    assert not failure.is_final


def test_the_worker_names_a_missing_docker_command(docker: DockerStandIn, folder: Path) -> None:
    docker.command.unlink()
    runner(docker).abandon()
    failure = run(docker, folder).failure
    assert failure is not None
    assert failure.message.endswith("docker: No such file or directory")
    assert not failure.is_final

"""Tests that a running gateway takes a changed gateway.yaml, or refuses it, as a whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import yaml

from gateway.store.events import EventKind
from gateway.store.job import Job, JobState
from gateway.store.reload_events import last_reload
from tests.phantom.study import write_series
from tests.sending import associate
from tests.servers import LOOPBACK
from tests.service import SMALL, Service, running_service
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from tests.waiting import WAIT_SECONDS, wait_until

ROLES = ("receive", "dispatch", "web", "work")


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> DockerStandIn:
    stand_in = DockerStandIn(tmp_path_factory.mktemp("docker") / "docker")
    stand_in.succeeds()
    return stand_in


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, docker: DockerStandIn) -> Iterator[Service]:
    with running_service(
        tmp_path_factory.mktemp("service"),
        work={"runner": "container", "container": {"docker": str(docker.command)}},
    ) as running:
        yield running


def edit(service: Service, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes gateway.yaml."""
    document = yaml.safe_load(service.file.read_text())
    change(document)
    service.file.write_text(yaml.safe_dump(document))


def reload(service: Service) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "cli", "gateway", "reload", str(service.file)]
    return subprocess.run(words, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)


def processes(service: Service) -> dict[str, int | None]:
    return {role: service.pid(role) for role in ROLES}


def wait_until_all_run(service: Service) -> dict[str, int | None]:
    url = f"http://{LOOPBACK}:{service.settings.web.port}/health"

    def is_healthy() -> bool:
        try:
            return httpx.get(url, timeout=WAIT_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_healthy, "healthy")
    return processes(service)


def send_study(service: Service, folder: Path, seed: int) -> Job:
    """Sends a study, and returns its job once it is running."""
    series = write_series(folder, seed, SMALL)
    service.send(folder)
    header = pydicom.dcmread(series.paths[0], stop_before_pixels=True)
    return service.wait_for(service.job_of(header.StudyInstanceUID), JobState.RUNNING)


def test_a_settings_reload_replaces_each_gateway_process_after_its_work_and_loses_none(
    service: Service, docker: DockerStandIn, tmp_path: Path
) -> None:
    before = wait_until_all_run(service)
    docker.hold.touch()
    job = send_study(service, tmp_path / "study", 3)
    (instance, *_) = write_series(tmp_path / "other", 4, SMALL).paths
    association = associate(service.settings.receive.port)

    def change(document: dict[str, Any]) -> None:
        document["receive"]["senders"] = [{"ae_title": "CT2"}]
        document["work"]["attempts"] = 5
        document["rules"] = [{"name": "new", "senders": ["CT2"]}]

    edit(service, change)
    done = reload(service)
    assert done.returncode == 0, done.stderr
    assert "uses the new settings; changed: receive, rules, work." in done.stdout
    wait_until(lambda: service.pid("dispatch") not in (None, before["dispatch"]), "replaced")
    wait_until(lambda: service.pid("web") not in (None, before["web"]), "replaced")
    assert (service.pid("receive"), service.pid("work")) == (before["receive"], before["work"])
    assert association.send_c_store(pydicom.dcmread(instance)).Status == 0x0000
    association.release()
    docker.hold.unlink()
    finished = service.wait_for(job, JobState.SEGMENTED)
    assert (finished.attempts, finished.run, finished.rule) == (1, 1, "ct")
    wait_until(lambda: service.pid("receive") not in (None, before["receive"]), "replaced")
    wait_until(lambda: service.pid("work") not in (None, before["work"]), "replaced")
    wait_until_all_run(service)
    assert associate(service.settings.receive.port, "CT1").is_rejected
    taken = associate(service.settings.receive.port, "CT2")
    assert taken.is_established
    taken.release()


def test_a_reload_refuses_gateway_settings_that_can_not_be_used_as_a_whole(
    service: Service,
) -> None:
    before, text = wait_until_all_run(service), service.file.read_text()
    for section, key, value, says in (
        ("receive", "prot", 104, "receive.prot"),
        ("receive", "port", 104, "receive.port can't be changed while the gateway runs"),
        ("web", "certificate_file", "/nowhere.pem", "web.certificate_file names can't be read"),
    ):
        document = yaml.safe_load(text)
        document[section][key] = value
        service.file.write_text(yaml.safe_dump({**document, "deliver": {"at_once": 3}}))
        done = reload(service)
        assert done.returncode == 64
        assert says in done.stderr
    assert processes(service) == before
    os.kill(before["dispatch"] or 0, signal.SIGKILL)
    wait_until(lambda: service.pid("dispatch") not in (None, before["dispatch"]), "started again")
    wait_until_all_run(service)  # with the old settings
    service.file.write_text(text)
    assert "nothing has changed" in reload(service).stdout


def test_a_hangup_signal_reloads_the_gateway_settings_and_the_outcome_is_recorded(
    service: Service,
) -> None:
    wait_until_all_run(service)
    (machine,) = [path.name for path in (service.settings.storage_folder / "machines").iterdir()]

    def outcome() -> tuple[EventKind, str | None] | None:
        found = last_reload(service.database, machine)
        return None if found is None else (found[1].kind, found[1].detail)

    edit(service, lambda document: document.update(retention={"history_days": -1}))
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: (outcome() or ("",))[0] == EventKind.NOT_RELOADED, "refused")
    assert "retention" in str(outcome())
    edit(service, lambda document: document.update(retention={"history_days": 99}))
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: outcome() == (EventKind.RELOADED, "changed: retention"), "accepted")

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from gateway.config import GatewaySettings, load_gateway_settings
from gateway.folder_locks import machine_name
from gateway.store.conflict import ConflictKind, Contradiction
from gateway.store.conflicts import ConflictList
from gateway.store.destination_states import DestinationStates
from gateway.store.job import JobState
from gateway.store.workers import WorkerList
from tests.conftest import REPOSITORY
from tests.unit.gateway.instances import ONE, SECOND
from tests.unit.gateway.web.filling import Filled, open_filled


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    destination = "{name: pacs, dicom: {ae_title: PACS, address: 127.0.0.1}}"
    path.write_text(
        f"storage_folder: {tmp_path / 'storage'}\n"
        f"rules: [{{name: ct, destinations: [pacs]}}]\ndestinations: [{destination}]\n"
    )
    return path


@pytest.fixture
def settings(file: Path) -> GatewaySettings:
    return load_gateway_settings(file)


@pytest.fixture
def gateway(settings: GatewaySettings) -> Iterator[Filled]:
    filled = open_filled(settings)
    with filled.database:
        yield filled


def run(*words: object, entered: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, words)], input=entered)


def test_the_status_command_shows_jobs_workers_destinations_and_disk_of_the_gateway(
    gateway: Filled, file: Path
) -> None:
    running, waiting, dead = (gateway.open_job(f"1.2.{n}") for n in range(3))
    gateway.begin(running)
    gateway.jobs.progress(running, "segment", 3, 12)
    gateway.jobs.make_urgent(waiting, "anna")
    gateway.die(dead, "no series has 10 slices")
    WorkerList(gateway.database).see("host-1", "cpu", running)
    WorkerList(gateway.database).pause("anna", is_paused=True)
    done = run("status", file)
    assert done.exit_code == 0, done.output
    for expected in (
        "Jobs: 1 queued, 1 running, 0 segmented, 0 held, 1 dead, 0 cancelled, 0 superseded",
        "segment, 3 of 12 tiles, for ",
        "no series has 10 slices",
        f"Worker host-1 on cpu: works on {running[:12]}, seen ",
        "Destination pacs: not known whether it answers; 0 waiting, 0 of them failing, 0 given up",
        "Paused: no more jobs are started.",
        "GB are free; with less than 2 nothing is received",
    ):
        assert expected in done.stdout
    assert "│ urgent" in done.stdout


def test_the_status_command_says_whether_a_destination_of_the_gateway_answers(
    gateway: Filled, file: Path
) -> None:
    states = DestinationStates(gateway.database)
    states.save("pacs", None, time.time())
    assert "Destination pacs: answers; 0 waiting" in run("status", file).stdout
    states.save("pacs", "no connection", time.time())
    said = run("status", file).stdout
    assert re.search(r"pacs: AWAY since 2\S+ [\d:]+ \(no connection\); 0 waiting", said)


def test_the_status_command_marks_a_lost_worker_of_the_gateway(
    gateway: Filled, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WorkerList(gateway.database).see("host-1", "cpu", None)
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert "LOST" in run("status", file).stdout


@pytest.mark.parametrize("characters", [8, 64])
def test_the_commands_retry_cancel_and_urgent_change_a_gateway_job(
    gateway: Filled, file: Path, characters: int
) -> None:
    job_id = gateway.open_job("1.2")

    def changed(command: str) -> Result:
        return run("gateway", command, job_id[:characters], "-c", file)

    def state() -> JobState | None:
        job = gateway.jobs.job(job_id)
        return job.state if job else None

    assert changed("urgent").exit_code == 0
    assert changed("cancel").exit_code == 0
    assert state() is JobState.CANCELLED
    refused = changed("cancel")
    assert refused.exit_code == 64
    assert "This job is already finished." in refused.output
    assert changed("retry").exit_code == 0
    assert state() is JobState.QUEUED
    assert "This job has not failed" in changed("retry").output


@pytest.mark.parametrize(("start", "says"), [("zz", "no jobs begin with zz"), ("", "2 jobs begin")])
def test_a_gateway_command_refuses_a_job_id_that_is_unknown_or_ambiguous(
    gateway: Filled, file: Path, start: str, says: str
) -> None:
    for n in range(3):
        gateway.open_job(f"1.2.{n}")
    done = run("gateway", "cancel", start, "-c", file)
    assert done.exit_code == 64
    assert says in done.output


def test_the_commands_pause_resume_and_drain_change_the_gateway_queue(
    gateway: Filled, file: Path
) -> None:
    worker_list = WorkerList(gateway.database)
    assert run("gateway", "pause", file).exit_code == 0
    assert worker_list.is_paused()
    assert run("gateway", "resume", file).exit_code == 0
    assert not worker_list.is_paused()
    assert run("gateway", "drain", file).exit_code == 0
    assert worker_list.is_draining()


def test_the_command_line_lists_held_studies_of_the_gateway_without_patients(
    gateway: Filled, file: Path
) -> None:
    assert run("gateway", "held", file).stdout == "Held studies: 0\n"
    second = replace(SECOND, sender="CT2")
    gateway.ledger.add([ONE, second])
    found = Contradiction(
        instance=second, kinds=frozenset({ConflictKind.PATIENT}), keywords=("PatientID",)
    )
    ConflictList(gateway.database).hold(ONE.study_instance_uid, [found])
    said = run("gateway", "held", file).stdout
    for expected in ("Held studies: 1", "…1.2", "patient", "Patient ID", "1 instances", "CT2"):
        assert expected in said


def test_the_status_command_says_whether_a_gateway_runs_and_since_when(
    gateway: Filled, file: Path
) -> None:
    never = run("status", file).stdout
    assert "No gateway runs: nothing is received; `totalmap serve` starts one" in never
    WorkerList(gateway.database).see("host-1", "cpu", None)
    since = datetime.now().astimezone().strftime("%Y-%m-%d %H:")
    assert f"No gateway runs, and has not run since {since}" in run("status", file).stdout
    with machine_name(gateway.storage.folder) as machine:
        assert f"The gateway runs on {machine} since {since}" in run("status", file).stdout
    with machine_name(gateway.storage.folder, only_work=True) as machine:
        said = run("status", file).stdout
    assert "No gateway runs" in said
    assert f"{machine} segments since {since}" in said


# Each command, with the words that it needs besides the settings file.
COMMANDS = {
    "status": (),
    **dict.fromkeys(("gateway retry", "gateway cancel", "gateway urgent"), ("12ab",)),
    **dict.fromkeys(
        (
            *("gateway held", "gateway confirm-clock", "gateway pause", "gateway resume"),
            *("gateway drain", "gateway repair", "gateway reload"),
        ),
        (),
    ),
    "gateway backup": ("backup",),
    "gateway downgrade": ("0.1.0",),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", [(), ("--config",)], ids=["argument", "option"])
def test_a_command_for_a_gateway_that_never_ran_names_the_remedy_and_creates_nothing(
    file: Path,
    command: str,
    option: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command.split(), *COMMANDS[command], *option, file)
    assert done.exit_code == 64, done.output
    assert "holds no ledger of a gateway: name the gateway.yaml" in done.output
    assert done.output.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.yaml"]


def test_the_gateway_check_command_before_the_first_start_creates_nothing(
    file: Path, tmp_path: Path
) -> None:
    done = run("gateway", "check", file)
    assert "SQLite in the storage folder, which the first start makes" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.yaml"]


def test_a_gateway_command_changes_nothing_in_a_ledger_of_an_earlier_version(
    file: Path, tmp_path: Path
) -> None:
    with ZipFile(REPOSITORY / "tests" / "store-0.1.0.zip") as store:
        store.extractall(tmp_path / "storage")
    ledger = tmp_path / "storage" / "ledger.sqlite"
    before = ledger.read_bytes()
    done = run("status", file)
    assert done.exit_code == 64
    assert "start the gateway with this version, which upgrades the ledger" in done.output
    assert ledger.read_bytes() == before

import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from sqlalchemy import text, update
from structlog.testing import capture_logs

from gateway.config import GatewaySettings, ReceiveSection, SenderSection, WebSection
from gateway.heartbeat import HeartbeatTable, HeartbeatWatch, ProcessState
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.store.database import LEDGER_FILE
from gateway.store.ledger_damage import DamagedLedger
from gateway.store.schema import DELIVERIES, JOBS, STUDIES, WORKERS
from gateway.web.health import DRAINED, ask_receiver
from gateway.web.server import running_web
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.web.filling import Filled
from tests.waiting import WAIT_SECONDS, wait_until

AN_HOUR = 3600.0
NOT_YET = "has not answered yet"


@pytest.fixture
def working(gateway: Filled) -> Filled:
    """A gateway with a worker."""
    gateway.worker_list.see("box-1", "cpu", None)
    return gateway


def change(gateway: Filled, statement: Any) -> None:
    with gateway.database.transaction() as connection:
        connection.execute(statement)


def health(client: httpx.Client) -> httpx.Response:
    """Returns /health once every part has answered, which takes longer on a busy machine."""
    answers: list[httpx.Response] = []

    def have_all_answered() -> bool:
        answers.append(client.get("/health"))
        return not any(NOT_YET in reason for reason in answers[-1].json()["reasons"])

    wait_until(have_all_answered, "answered by every part")
    return answers[-1]


def reasons(client: httpx.Client) -> list[str]:
    answer = health(client)
    said = answer.json()
    assert answer.status_code == (503 if said["reasons"] else 200)
    assert said["status"] == ("failing" if said["reasons"] else "ok")
    return list(said["reasons"])


def test_the_health_check_of_a_working_gateway_finds_no_fault(
    stranger: httpx.Client, working: Filled, instance: Path
) -> None:
    working.open_job(working.receive(instance))
    working.receive(instance)
    assert reasons(stranger) == []
    said = health(stranger).json()
    assert said["workers_seen"] == 1
    assert said["free_bytes"] > 0


def test_the_health_check_names_a_missing_worker(stranger: httpx.Client, gateway: Filled) -> None:
    assert reasons(stranger) == ["0 of 1 workers were seen within 30 s"]
    gateway.worker_list.see("box-1", "cpu", None)
    assert reasons(stranger) == []
    change(gateway, update(WORKERS).values(seen_at=time.time() - 31))
    assert reasons(stranger) == ["0 of 1 workers were seen within 30 s"]


def test_the_health_check_names_a_dispatcher_that_does_nothing(
    stranger: httpx.Client, working: Filled, instance: Path
) -> None:
    working.receive(instance)
    change(working, update(STUDIES).values(last_received_at=time.time() - AN_HOUR))
    assert reasons(stranger) == ["the dispatcher has not passed on 1 studies that are complete"]
    change(working, update(STUDIES).values(n_passed_on=1))
    job = working.open_job("1.2")
    working.succeed(job)
    working.open_job("1.3")
    assert reasons(stranger) == []
    for table in (JOBS, DELIVERIES):
        change(working, update(table).values(created_at=time.time() - AN_HOUR))
    assert reasons(stranger) == ["the dispatcher has not queued 2 jobs or deliveries"]
    change(working, update(JOBS).values(is_enqueued=True))
    change(working, update(DELIVERIES).values(run=2))  # since when, nobody knows
    assert reasons(stranger) == []


def test_the_health_check_names_a_damaged_ledger(stranger: httpx.Client, working: Filled) -> None:
    assert reasons(stranger) == []
    ledger = working.storage.folder / LEDGER_FILE
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.write_bytes(b"no database here" + ledger.read_bytes()[16:])
    with pytest.raises(DamagedLedger):
        working.database.check()
    assert reasons(stranger) == [
        "the ledger is damaged: nothing is received; the log names the remedy"
    ]


def test_the_health_check_names_a_full_disk(tmp_path: Path, receiver: int) -> None:
    settings = GatewaySettings(
        storage_folder=tmp_path / "storage",
        receive=ReceiveSection(port=receiver, keep_free_gb=1e6),
        web=WebSection(port=0),
    )
    with running_web(settings) as port:
        url = f"http://{LOOPBACK}:{port}"
        with httpx.Client(base_url=url, timeout=WAIT_SECONDS) as client:
            _, disk = sorted(reasons(client))
    assert "receive.keep_free_gb is 1e+06" in disk


def test_the_health_check_names_a_database_that_does_not_answer(
    stranger: httpx.Client, gateway: Filled
) -> None:
    change(gateway, text("DROP TABLE workers"))
    assert reasons(stranger) == ["the database does not answer"]
    assert stranger.get("/metrics").status_code == 503
    assert "sqlite" not in stranger.get("/metrics").text


def test_the_health_check_names_a_receiver_that_does_not_listen(working: Filled) -> None:
    receive = working.settings.receive.model_copy(update={"port": free_port()})
    settings = working.settings.model_copy(update={"receive": receive})
    with (
        running_web(settings) as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as one,
    ):
        assert reasons(one) == [f"no receiver listens at port {receive.port}: Connection refused"]


def test_the_health_check_names_a_receiver_that_hangs_without_delay(working: Filled) -> None:
    """The kernel accepts connections for a process that does nothing."""
    with socket.create_server((LOOPBACK, 0), backlog=1000) as listening:
        receive = working.settings.receive.model_copy(update={"port": listening.getsockname()[1]})
        settings = working.settings.model_copy(update={"receive": receive})
        with (
            running_web(settings) as port,
            httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client,
        ):
            said = client.get("/health")
        assert said.status_code == 503
        assert f"the receiver {NOT_YET}" in said.json()["reasons"]


def test_the_health_check_of_a_drained_gateway_says_that_it_receives_nothing(
    stranger: httpx.Client, working: Filled
) -> None:
    working.worker_list.drain("anna")
    assert reasons(stranger) == [DRAINED]


def test_the_health_check_names_a_process_without_heartbeat() -> None:
    table = HeartbeatTable.create(["supervisor", "dispatch", "receive", "drained"])
    watch = HeartbeatWatch(table)
    table.beat(0, ProcessState.RUNNING)
    table.beat(2, ProcessState.HANGING)
    table.beat(3, ProcessState.STOPPED)
    watch.look()
    assert watch.reasons() == [
        "the process `dispatch` is starting",
        "the process `receive` does not answer",
    ]
    table.close()


def test_the_receiver_always_answers_the_c_echo_of_its_own_gateway(
    working: Filled, intake: Intake
) -> None:
    own = working.settings.receive.model_copy(
        update={
            "port": 0,
            "senders": (SenderSection(ae_title="CT1"),),
            "max_associations": 1,
        }
    )
    with capture_logs() as events, running_receiver(own, intake, working.storage) as port:
        receive = own.model_copy(update={"port": port})
        assert [*ask_receiver(receive)] == []
        stranger = AE("TOTALMAP")  # which would send images, too
        stranger.add_requested_context(Verification)
        stranger.add_requested_context(CTImageStorage)
        assert stranger.associate(LOOPBACK, port, ae_title="TOTALMAP").is_rejected
    rejected = [event["who"] for event in events if event["event"] == "sender_rejected"]
    assert rejected == ["TOTALMAP"], "its own question is not one of them"

"""Tests how the receiver leaves before it is replaced: no association in use is ended."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pydicom
import pytest

from gateway.config import GatewaySettings, ReceiveSection
from gateway.receive.listening_server import Leave
from gateway.receive.receive_process import receiving
from tests.phantom.study import write_series
from tests.sending import associate
from tests.service import SMALL
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    receive = ReceiveSection(
        port=0,
        keep_free_gb=0.0,
        processes=1,
        request_seconds=NEVER_SECONDS,
        pdu_seconds=NEVER_SECONDS,
        idle_seconds=NEVER_SECONDS,
    )
    return GatewaySettings(storage_folder=tmp_path / "storage", receive=receive)


@pytest.fixture
def stop() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def leaving(leave: Leave, stop: Event) -> Thread:
    thread = Thread(target=leave.wait_until_free, args=[stop])
    thread.start()
    return thread


def is_refused(port: int) -> bool:
    """Tells whether the receiver takes no association; releases one that it takes."""
    association = associate(port)
    if association.is_established:
        association.release()
        return False
    return True


def test_a_dicom_receiver_about_to_be_replaced_accepts_until_it_has_no_association(
    settings: GatewaySettings, stop: Event, tmp_path: Path
) -> None:
    (instance, *_) = write_series(tmp_path / "study", 5, SMALL).paths
    leave = Leave()
    with receiving(settings, leave=leave) as port:
        first = associate(port)
        asked = leaving(leave, stop)
        second = associate(port)
        first.release()
        assert asked.is_alive()
        assert second.send_c_store(pydicom.dcmread(instance)).Status == 0x0000
        second.release()
        asked.join(WAIT_SECONDS)
        assert not associate(port).is_established


def test_a_dicom_receiver_to_be_replaced_that_is_never_free_stops_accepting_after_a_while(
    settings: GatewaySettings, stop: Event, tmp_path: Path
) -> None:
    (instance, *_) = write_series(tmp_path / "study", 6, SMALL).paths
    leave = Leave(patience_seconds=0.0)
    with receiving(settings, leave=leave) as port:
        association = associate(port)
        asked = leaving(leave, stop)
        wait_until(lambda: is_refused(port), "refused")
        assert association.send_c_store(pydicom.dcmread(instance)).Status == 0x0000
        assert asked.is_alive()
        association.release()
        asked.join(WAIT_SECONDS)


def test_a_dicom_receiver_that_has_to_stop_does_not_wait_for_its_associations(
    settings: GatewaySettings, stop: Event
) -> None:
    leave = Leave()
    with receiving(settings, leave=leave) as port:
        association = associate(port)
        asked = leaving(leave, stop)
        stop.set()
        asked.join(WAIT_SECONDS)
    wait_until(lambda: not association.is_established, "aborted")

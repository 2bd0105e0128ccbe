"""Tests that every event arrives once in the audit file and at a syslog collector."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4
from xml.etree.ElementTree import Element, fromstring

import pydicom
import pytest

from gateway.audit.auditor import EVENTS_AT_ONCE, Auditor
from gateway.config import AuditSection, GatewaySettings, SyslogSection
from gateway.receive.intake import Intake, ReceivedFile
from gateway.store.audit_events import record_logged_in, record_received, record_started_up
from gateway.store.database import Connection, Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.audit.collectors import (
    Listening,
    stream_collector,
    udp_collector,
)
from tests.waiting import WAIT_SECONDS, wait_until

PATIENT_ID = "PAT-4711"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.xml"


def auditor(database: Database, storage: Storage, **places: object) -> Auditor:
    audit = AuditSection.model_validate(places)
    return Auditor(GatewaySettings(audit=audit), storage, database)


def messages(file: Path) -> list[Element]:
    lines = file.read_bytes().splitlines()
    return [fromstring(line) for line in lines]  # noqa: S314  our own


def events(found: Sequence[Element]) -> list[str]:
    return [item.attrib["csd-code"] for root in found for item in root.iter("EventID")]


def ids(root: Element) -> list[str]:
    found = root.iter("ParticipantObjectIdentification")
    return [item.attrib["ParticipantObjectID"] for item in found]


def wrote(writer: Auditor, listening: Listening) -> bool:
    """Writes again, and returns whether anything has come to a collector."""
    writer.write()
    return not listening.got.empty()


def receive(intake: Intake, storage: Storage, series: WrittenSeries) -> str:
    """Takes a study of a patient in; returns its UID."""
    for path in series.paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientID = PATIENT_ID
        taken = storage.incoming / uuid4().hex
        dataset.save_as(taken)
        intake.take(ReceivedFile(path=taken, sender="CT1", transfer="first"))
    return str(dataset.StudyInstanceUID)


def test_the_audit_message_on_a_received_study_names_the_patient_and_counts_instances(
    database: Database,
    storage: Storage,
    intake: Intake,
    file: Path,
    phantom_series: WrittenSeries,
) -> None:
    study = receive(intake, storage, phantom_series)
    record_received(database, "first", "10.0.0.7")
    auditor(database, storage, file=file).write()
    (root,) = messages(file)
    assert ids(root) == [study, PATIENT_ID]
    (sop_class,) = root.iter("SOPClass")
    assert sop_class.attrib["NumberOfInstances"] == str(len(phantom_series.paths))
    assert sop_class.attrib["UID"] == "1.2.840.10008.5.1.4.1.1.2"


def record_delivered(connection: Connection, study: str, job_id: str) -> None:
    record(
        connection,
        EventKind.DELIVERED,
        study,
        object_kind=ObjectKind.DELIVERY,
        object_name="pacs",
        job_id=job_id,
    )


def test_the_audit_reads_the_patient_id_from_results_when_the_sources_are_deleted(
    database: Database, storage: Storage, file: Path, phantom_copy: Path
) -> None:
    output = storage.output_folder("j")
    output.mkdir(parents=True)
    (output / "status.json").write_text("{}")
    dataset = pydicom.dcmread(next(phantom_copy.rglob("*.dcm")))
    dataset.PatientID = PATIENT_ID
    dataset.save_as(output / "seg.dcm")
    with database.transaction() as connection:
        record_delivered(connection, "1.2", "j")
        record_delivered(connection, "1.3", "k")
    auditor(database, storage, file=file).write()
    assert [ids(root) for root in messages(file)] == [["1.2", PATIENT_ID], ["1.3", "unknown"]]


def test_several_auditors_write_each_audit_event_once(
    database: Database, storage: Storage, file: Path
) -> None:
    record_started_up(database, "receive")
    first = auditor(database, storage, file=file)
    first.write()
    first.write()
    record_logged_in(database, "anna", "10.0.0.7")
    with database.transaction() as connection:
        record(connection, EventKind.COMPLETE, "1.2", object_kind=ObjectKind.STUDY)
    auditor(database, storage, file=file).write()
    auditor(database, storage, file=file).write()
    assert events(messages(file)) == ["110100", "110114"]


def test_the_auditor_writes_many_events_in_batches_and_leaves_none_out(
    database: Database, storage: Storage, file: Path
) -> None:
    with database.transaction() as connection:
        for number in range(EVENTS_AT_ONCE + 10):
            record(
                connection,
                EventKind.STARTED_UP,
                "",
                object_kind=ObjectKind.PROCESS,
                who=f"p{number}",
            )
    writer = auditor(database, storage, file=file)
    writer.write()
    assert len(messages(file)) == EVENTS_AT_ONCE
    writer.write()
    assert len(messages(file)) == EVENTS_AT_ONCE + 10


def test_the_audit_file_may_be_rotated_and_is_readable_by_its_group_only(
    database: Database, storage: Storage, file: Path
) -> None:
    before = os.umask(0o022)
    try:
        writer = auditor(database, storage, file=file)
        record_started_up(database, "receive")
        writer.write()
        file.rename(file.with_suffix(".1"))
        record_started_up(database, "dispatch")
        writer.write()
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert len(messages(file.with_suffix(".1"))) == len(messages(file)) == 1


def test_an_audit_line_cut_off_by_a_crash_does_not_damage_the_next_line(
    database: Database, storage: Storage, file: Path
) -> None:
    file.write_bytes(b"<AuditMessage><Event")
    record_started_up(database, "receive")
    auditor(database, storage, file=file).write()
    torn, whole = file.read_bytes().splitlines()
    assert torn == b"<AuditMessage><Event"
    assert fromstring(whole).tag == "AuditMessage"  # noqa: S314  our own


def test_an_audit_file_that_can_not_be_written_is_tried_again(
    database: Database, storage: Storage, file: Path
) -> None:
    file.mkdir()
    record_started_up(database, "receive")
    writer = auditor(database, storage, file=file)
    writer.write()
    file.rmdir()
    writer.write()
    assert events(messages(file)) == ["110100"]


def test_a_syslog_collector_gets_the_same_audit_messages_as_the_file(
    database: Database, storage: Storage, file: Path
) -> None:
    record_started_up(database, "receive")
    with udp_collector() as listening:
        syslog = SyslogSection(host=LOOPBACK, port=listening.port)
        auditor(database, storage, file=file, syslog=syslog.model_dump()).write()
        assert listening.next().endswith(file.read_bytes().strip())


def test_an_unreachable_syslog_collector_gets_all_audit_messages_later_and_delays_no_file(
    database: Database, storage: Storage, file: Path
) -> None:
    port = free_port()
    syslog = {"host": LOOPBACK, "port": port, "protocol": "tcp", "retry_seconds": 0.001}
    writer = auditor(database, storage, file=file, syslog=syslog)
    for process in ("receive", "dispatch"):
        record_started_up(database, process)
        writer.write()
    assert len(messages(file)) == 2
    with stream_collector(port=port) as listening:
        wait_until(lambda: wrote(writer, listening), "in the collector")
        for user in (b"receive@", b"dispatch@"):
            assert user in listening.got.get(timeout=WAIT_SECONDS)
        writer.write()
        assert listening.got.empty()


def test_without_an_audit_place_no_audit_message_is_written(
    database: Database, storage: Storage
) -> None:
    record_started_up(database, "receive")
    auditor(database, storage).write()


def test_audit_events_and_log_hold_no_patient_id(
    database: Database,
    storage: Storage,
    intake: Intake,
    ledger: Ledger,
    file: Path,
    phantom_series: WrittenSeries,
    capfd: pytest.CaptureFixture[str],
) -> None:
    receive(intake, storage, phantom_series)
    record_received(database, "first")
    file.mkdir()
    auditor(database, storage, file=file).write()
    logged = capfd.readouterr()
    assert "audit_not_written" in logged.out + logged.err
    assert PATIENT_ID not in logged.out + logged.err
    assert all(PATIENT_ID not in repr(instance) for instance in ledger.instances())

"""Tests every audit message against the schema of PS3.15 A.5.1.1 and the tables of PS3.15 A.5.3."""

from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from lxml import etree  # type: ignore[import-untyped]

from gateway.audit.audit_message import AuditedStudy, AuditSource, audit_message, is_failure
from gateway.config import (
    DestinationSection,
    DicomDestination,
    GatewaySettings,
    StowDestination,
)
from gateway.store.events import Event, EventKind, ObjectKind, Outcome

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parent / "audit_message.rng"))
CT = "1.2.840.10008.5.1.4.1.1.2"
SOURCE = AuditSource(
    host="box",
    settings=GatewaySettings(
        destinations=(
            DestinationSection(
                name="pacs", dicom=DicomDestination(ae_title="PACS", address="10.0.0.1")
            ),
            DestinationSection.model_validate(
                {"name": "web", "stow": StowDestination(url="https://archive.example/dicom-web")}  # type: ignore[arg-type]  # pydantic reads it
            ),
        )
    ),
)
STUDY = AuditedStudy(patient_id="PAT-7", instances={})
EVENT = Event(
    at=1_700_000_000.25,
    study_instance_uid="1.2.3",
    job_id=None,
    kind=EventKind.RECEIVED,
    who=None,
    detail=None,
)
GATEWAY = "totalmap@box"
TO_PACS: dict[str, Any] = {"object_kind": ObjectKind.DELIVERY, "object_name": "pacs", "job_id": "j"}


def message(study: AuditedStudy | None = STUDY, **values: object) -> Element:
    text = audit_message(replace(EVENT, **values), study, SOURCE)  # type: ignore[arg-type]
    assert text is not None
    SCHEMA.assertValid(etree.fromstring(text))
    return fromstring(text)  # noqa: S314  our own


def code(element: Element | None) -> tuple[str, str, str]:
    assert element is not None
    csd = element.attrib
    return csd["csd-code"], csd["codeSystemName"], csd["originalText"]


def event_of(root: Element) -> tuple[str, str, str]:
    """Of a message, the code of its event, its action and its outcome."""
    identification = root.find("EventIdentification")
    assert identification is not None
    value, system, _ = code(identification.find("EventID"))
    assert system == "DCM"
    attributes = identification.attrib
    return value, attributes["EventActionCode"], attributes["EventOutcomeIndicator"]


def event_type(root: Element) -> str:
    return code(root.find("EventIdentification/EventTypeCode"))[0]


def participants(root: Element) -> list[tuple[str, str, str | None]]:
    """The user, whether it is the requestor, and the role, of each participant."""
    return [
        (
            element.attrib["UserID"],
            element.attrib["UserIsRequestor"],
            None if element.find("RoleIDCode") is None else code(element.find("RoleIDCode"))[0],
        )
        for element in root.findall("ActiveParticipant")
    ]


def objects(root: Element) -> list[tuple[str, str, str, str]]:
    """The id, its type, the type of the object and its role, of each object."""
    return [
        (
            element.attrib["ParticipantObjectID"],
            code(element.find("ParticipantObjectIDTypeCode"))[0],
            element.attrib["ParticipantObjectTypeCode"],
            element.attrib["ParticipantObjectTypeCodeRole"],
        )
        for element in root.findall("ParticipantObjectIdentification")
    ]


STUDY_AND_PATIENT = [("1.2.3", "110180", "2", "3"), ("PAT-7", "2", "1", "1")]


def test_the_audit_schema_rejects_an_audit_message_with_a_wrong_code_outcome_or_time() -> None:
    text = audit_message(EVENT, STUDY, SOURCE)
    assert text is not None
    for right, wrong in (
        (b"csd-code", b"code"),
        (b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="1"'),
        (b"<ParticipantObjectName />", b""),
        (b"+00:00", b" o'clock"),
    ):
        assert right in text
        assert not SCHEMA.validate(etree.fromstring(text.replace(right, wrong)))


def test_receipt_of_a_study_is_audited_as_a_transfer_from_the_sender_to_the_gateway() -> None:
    study = replace(STUDY, instances={CT: 300})
    root = message(study, who="CT1", detail="300 instances", address="10.0.0.7")
    assert event_of(root) == ("110104", "C", "0")
    assert participants(root) == [("CT1", "true", "110153"), (GATEWAY, "false", "110152")]
    sender, gateway = root.findall("ActiveParticipant")
    assert sender.attrib["NetworkAccessPointID"] == "10.0.0.7"
    assert sender.attrib["NetworkAccessPointTypeCode"] == "2"
    assert gateway.attrib["AlternativeUserID"] == "AETITLES=TOTALMAP"
    assert gateway.attrib["NetworkAccessPointTypeCode"] == "1"
    assert objects(root) == STUDY_AND_PATIENT
    (sop_class,) = root.iter("SOPClass")
    assert sop_class.attrib == {"UID": CT, "NumberOfInstances": "300"}
    identification = root.find("EventIdentification")
    assert identification is not None
    assert identification.attrib["EventDateTime"] == "2023-11-14T22:13:20.250+00:00"
    assert root.find("ParticipantObjectIdentification/ParticipantObjectName") is not None
    source = root.find("AuditSourceIdentification")
    assert source is not None
    assert source.attrib["AuditSourceID"] == GATEWAY


@pytest.mark.parametrize(
    ("kind", "outcome", "indicator"),
    [
        (EventKind.DELIVERED, Outcome.SUCCESS, "0"),
        (EventKind.NOT_DELIVERED, Outcome.MINOR_FAILURE, "4"),
        (EventKind.DEAD, Outcome.SERIOUS_FAILURE, "8"),
    ],
)
def test_a_delivery_is_audited_as_a_transfer_to_the_destination(
    kind: EventKind, outcome: Outcome, indicator: str
) -> None:
    reason = None if outcome is Outcome.SUCCESS else "PACS at 10.0.0.1:104 can't be reached"
    root = message(kind=kind, detail=reason, outcome=outcome, **TO_PACS)
    assert event_of(root) == ("110104", "R", indicator)
    assert participants(root) == [(GATEWAY, "true", "110153"), ("pacs", "false", "110152")]
    _, destination = root.findall("ActiveParticipant")
    assert destination.attrib["AlternativeUserID"] == "AETITLES=PACS"
    assert destination.attrib["NetworkAccessPointID"] == "10.0.0.1"
    assert objects(root) == STUDY_AND_PATIENT
    said = root.findtext("EventIdentification/EventOutcomeDescription")
    assert said == reason


def test_the_audit_message_on_a_stow_delivery_holds_the_url_of_the_destination() -> None:
    root = message(kind=EventKind.DELIVERED, **{**TO_PACS, "object_name": "web"})
    _, destination = root.findall("ActiveParticipant")
    assert destination.attrib["NetworkAccessPointID"] == "https://archive.example/dicom-web"
    assert destination.attrib["NetworkAccessPointTypeCode"] == "5"


def test_the_audit_message_names_a_destination_that_is_no_longer_in_the_settings() -> None:
    root = message(kind=EventKind.DELIVERED, **{**TO_PACS, "object_name": "former"})
    assert participants(root)[1] == ("former", "false", "110152")


@pytest.mark.parametrize(
    ("kind", "object_kind", "outcome", "event"),
    [
        (EventKind.SEGMENTED, ObjectKind.JOB, Outcome.SUCCESS, ("110103", "C", "0")),
        (EventKind.DEAD, ObjectKind.JOB, Outcome.SERIOUS_FAILURE, ("110103", "C", "8")),
        (EventKind.DELETED, ObjectKind.RESULTS, Outcome.SUCCESS, ("110103", "D", "0")),
    ],
)
def test_segmentation_and_deletion_of_results_are_audited_as_accesses_to_instances(
    kind: EventKind, object_kind: ObjectKind, outcome: Outcome, event: tuple[str, str, str]
) -> None:
    # the detail is for people alone, whatever it looks like
    root = message(
        kind=kind, object_kind=object_kind, outcome=outcome, detail="to pacs: 5 files", job_id="j"
    )
    assert event_of(root) == event
    assert participants(root) == [(GATEWAY, "true", None)]
    assert objects(root) == STUDY_AND_PATIENT


def test_deletion_of_sources_causes_a_study_deleted_audit_message() -> None:
    root = message(kind=EventKind.DELETED, object_kind=ObjectKind.SOURCES)
    assert event_of(root) == ("110105", "D", "0")
    assert participants(root) == [(GATEWAY, "true", None)]
    assert objects(root) == STUDY_AND_PATIENT


@pytest.mark.parametrize("kind", [EventKind.RETRIED, EventKind.CANCELLED, EventKind.MADE_URGENT])
def test_a_user_who_changes_a_job_causes_a_procedure_record_audit_message(kind: EventKind) -> None:
    root = message(kind=kind, object_kind=ObjectKind.JOB, who="anna", job_id="j")
    assert event_of(root) == ("110111", "U", "0")
    assert participants(root) == [("anna@box", "true", None), (GATEWAY, "false", None)]
    assert objects(root) == STUDY_AND_PATIENT


def test_a_user_who_views_a_study_causes_an_instances_accessed_audit_message() -> None:
    root = message(kind=EventKind.VIEWED, who="anna", address="10.0.0.7")
    assert event_of(root) == ("110103", "R", "0")
    assert participants(root)[0] == ("anna@box", "true", None)
    assert objects(root) == STUDY_AND_PATIENT


def test_a_search_causes_an_audit_message_with_the_attributes_and_not_their_values() -> None:
    root = message(
        None,
        kind=EventKind.SEARCHED,
        object_kind=ObjectKind.SEARCH,
        study_instance_uid="",
        who="anna",
        detail="patient, first_date",
        address="10.0.0.7",
    )
    assert event_of(root) == ("110112", "E", "0")
    assert participants(root) == [("anna@box", "true", "110153"), (GATEWAY, "false", "110152")]
    assert objects(root) == [("1.2.840.10008.5.1.4.1.2.2.1", "110181", "2", "3")]
    (query,) = root.iter("ParticipantObjectQuery")
    assert b64decode(query.text or "") == b"patient, first_date"


@pytest.mark.parametrize(
    ("kind", "outcome", "indicator"),
    [
        (EventKind.LOGGED_IN, Outcome.SUCCESS, "0"),
        (EventKind.LOGIN_FAILED, Outcome.MINOR_FAILURE, "4"),
        (EventKind.LOGIN_FAILED, Outcome.SERIOUS_FAILURE, "8"),
        (EventKind.LOGGED_OUT, Outcome.SUCCESS, "0"),
    ],
)
def test_a_login_or_logout_causes_a_user_authentication_audit_message(
    kind: EventKind, outcome: Outcome, indicator: str
) -> None:
    root = message(
        None,
        kind=kind,
        object_kind=ObjectKind.SESSION,
        outcome=outcome,
        study_instance_uid="",
        who="anna",
        address="10.0.0.7",
    )
    assert event_of(root) == ("110114", "E", indicator)
    assert event_type(root) == ("110123" if kind is EventKind.LOGGED_OUT else "110122")
    assert participants(root) == [("anna@box", "true", None), (GATEWAY, "false", None)]
    user = root.find("ActiveParticipant")
    assert user is not None
    assert user.attrib["NetworkAccessPointID"] == "10.0.0.7"
    assert objects(root) == []


@pytest.mark.parametrize(
    ("kind", "type_code"),
    [
        (EventKind.ACCOUNT_ADDED, "110137"),
        (EventKind.ACCOUNT_REMOVED, "110137"),
        (EventKind.PASSWORD_CHANGED, "110137"),
        (EventKind.SESSIONS_ENDED, "110137"),
        (EventKind.ROLE_CHANGED, "110136"),
    ],
)
def test_a_changed_account_causes_an_audit_security_alert_that_names_both_users(
    kind: EventKind, type_code: str
) -> None:
    root = message(
        None,
        kind=kind,
        object_kind=ObjectKind.ACCOUNT,
        object_name="bert",
        study_instance_uid="",
        who="anna",
        detail="from viewer to operator",
        address="10.0.0.7",
    )
    assert event_of(root) == ("110113", "E", "0")
    assert event_type(root) == type_code
    assert participants(root) == [("anna@box", "true", None), (GATEWAY, "false", None)]
    assert objects(root) == [("bert", "11", "2", "11")]
    (detail,) = root.iter("ParticipantObjectDetail")
    said = b64decode(detail.attrib["value"]).decode()
    assert said == f"{kind}: from viewer to operator"


@pytest.mark.parametrize(
    ("kind", "type_code"), [(EventKind.REJECTED, "110126"), (EventKind.REFUSED, "110132")]
)
def test_a_rejected_sender_causes_an_audit_security_alert(kind: EventKind, type_code: str) -> None:
    root = message(
        None,
        kind=kind,
        object_kind=ObjectKind.CONNECTION,
        outcome=Outcome.MINOR_FAILURE,
        study_instance_uid="",
        who="STRANGER",
        detail="not one of receive.senders",
        address="10.0.0.9",
    )
    assert event_of(root) == ("110113", "E", "4")
    assert event_type(root) == type_code
    assert participants(root) == [(GATEWAY, "false", None), ("STRANGER", "false", None)]
    assert objects(root) == [("10.0.0.9", "110182", "2", "13")]
    detail = root.find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail is not None
    assert detail.attrib["type"] == "Alert Description"
    assert b64decode(detail.attrib["value"]) == b"not one of receive.senders"


@pytest.mark.parametrize(
    ("kind", "type_code"), [(EventKind.STARTED_UP, "110120"), (EventKind.SHUT_DOWN, "110121")]
)
def test_a_process_that_starts_or_stops_causes_an_application_activity_audit_message(
    kind: EventKind, type_code: str
) -> None:
    root = message(None, kind=kind, study_instance_uid="", who="receive")
    assert event_of(root) == ("110100", "E", "0")
    assert event_type(root) == type_code
    assert participants(root) == [("receive@box", "false", "110150")]
    assert objects(root) == []


@pytest.mark.parametrize(
    ("kind", "outcome"), [(EventKind.RELOADED, "0"), (EventKind.NOT_RELOADED, "4")]
)
def test_settings_that_are_read_again_cause_an_audit_security_alert(
    kind: EventKind, outcome: str
) -> None:
    event = replace(
        EVENT, kind=kind, object_kind=ObjectKind.SETTINGS, object_name="host-1", detail="changed"
    )
    if outcome != "0":
        event = replace(event, outcome=Outcome.MINOR_FAILURE)
    text = audit_message(event, None, SOURCE)
    assert text is not None
    root = etree.fromstring(text)
    SCHEMA.assertValid(root)
    identification = root.find("EventIdentification")
    assert identification is not None
    assert identification.get("EventOutcomeIndicator") == outcome
    types = [code.get("csd-code") for code in identification.findall("EventTypeCode")]
    assert types == ["110131"]
    assert {part.get("UserIsRequestor") for part in root.findall("ActiveParticipant")} == {"false"}


def test_internal_steps_of_the_gateway_cause_no_audit_message() -> None:
    silent = {
        EventKind.COMPLETE,
        EventKind.NOT_WANTED,
        EventKind.QUEUED,
        EventKind.SUPERSEDED,
        EventKind.STARTED,
        EventKind.POSTPONED,
        EventKind.HELD,
        EventKind.COMMITTED,
        EventKind.NOT_COMMITTED,
        EventKind.CONFLICT,
        EventKind.CLOCK_JUMPED,
        EventKind.CLOCK_CONFIRMED,
        EventKind.PAUSED,
        EventKind.RESUMED,
        EventKind.DRAINING,
    }
    said = {kind for kind in EventKind if audit_message(replace(EVENT, kind=kind), STUDY, SOURCE)}
    assert said == set(EventKind) - silent


def test_foreign_text_in_an_audit_event_becomes_one_line_of_valid_ascii() -> None:
    bad = "Müller\n\x00\x1b]\ud800<b>&\"'" + "x" * 100_000
    for kind in EventKind:
        event = replace(EVENT, kind=kind, object_name=bad, who=bad, detail=bad, address=bad)
        text = audit_message(event, replace(STUDY, patient_id=bad), SOURCE)
        if text is not None:
            SCHEMA.assertValid(etree.fromstring(text))
            assert b"\n" not in text
            assert text.isascii()
            assert len(text) < 32768, "PS3.15 A.6"


def test_an_event_with_a_failed_outcome_is_audited_as_a_failure() -> None:
    assert is_failure(replace(EVENT, outcome=Outcome.SERIOUS_FAILURE))
    assert is_failure(replace(EVENT, outcome=Outcome.MINOR_FAILURE))
    assert not is_failure(EVENT)

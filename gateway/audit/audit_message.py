"""Writes events as DICOM audit messages (PS3.15 A.5), in the XML of PS3.15 A.5.1.1."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from xml.etree.ElementTree import Element, SubElement, tostring

from gateway.config import DestinationSection, GatewaySettings
from gateway.store.decisions import EVENT_OF_DECISION
from gateway.store.events import Event, EventKind, ObjectKind, Outcome

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedStudy:
    """The data of a study in a message, besides its UID.

    Attributes:
        patient_id: The Patient ID; `UNKNOWN` if there is no file of the study any more.
        instances: The number of instances of each SOP class, if the message is about them.
    """

    patient_id: str
    instances: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """The source of the messages.

    Attributes:
        host: The name of this machine.
    """

    settings: GatewaySettings
    host: str


def audit_message(event: Event, study: AuditedStudy | None, source: AuditSource) -> bytes | None:
    """Returns the message for an event; None if the event does not belong to the audit trail.

    It is one line of ASCII, so that it needs no byte order mark in syslog (RFC 5424 6.4).

    Args:
        event: The event.
        study: The study of the event; None: it has none.
        source: The source of the message.
    """
    kind = _kind(event)
    if kind is None:
        return None
    root = Element("AuditMessage")
    _add_event(root, event, kind)
    for participant in kind.participants(event, source):
        _add_participant(root, participant)
    own = SubElement(root, "AuditSourceIdentification", AuditSourceID=_at(source, _PROGRAM))
    SubElement(own, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    if kind.event_id is _SECURITY_ALERT:
        _add_alert(root, event)
    elif kind.event_id is _QUERY:
        _add_query(root, event)
    elif study is not None:
        _add_study(root, event.study_instance_uid, study)
        _add_patient(root, study.patient_id)
    message: bytes = tostring(root, encoding="us-ascii")
    return message


def is_failure(event: Event) -> bool:
    """Returns whether the message for an event says that something failed."""
    return event.outcome is not Outcome.SUCCESS


@dataclass(frozen=True, slots=True)
class _Code:
    value: str
    system: str
    meaning: str


def _dcm(value: int, meaning: str) -> _Code:
    return _Code(str(value), "DCM", meaning)


# PS3.16 D
_ACTIVITY = _dcm(110100, "Application Activity")
_INSTANCES_ACCESSED = _dcm(110103, "DICOM Instances Accessed")
_INSTANCES_TRANSFERRED = _dcm(110104, "DICOM Instances Transferred")
_STUDY_DELETED = _dcm(110105, "DICOM Study Deleted")
_PROCEDURE_RECORD = _dcm(110111, "Procedure Record")
_QUERY = _dcm(110112, "Query")
_SECURITY_ALERT = _dcm(110113, "Security Alert")
_USER_AUTHENTICATION = _dcm(110114, "User Authentication")
_APPLICATION_START = _dcm(110120, "Application Start")
_APPLICATION_STOP = _dcm(110121, "Application Stop")
_LOGIN = _dcm(110122, "Login")
_LOGOUT = _dcm(110123, "Logout")
_NODE_AUTHENTICATION = _dcm(110126, "Node Authentication")
_SOFTWARE_CONFIGURATION = _dcm(110131, "Software Configuration")
_RESTRICTED_FUNCTION = _dcm(110132, "Use of Restricted Function")
_ROLES_CHANGED = _dcm(110136, "Security Roles Changed")
_USER_ATTRIBUTES_CHANGED = _dcm(110137, "User Security Attributes Changed")
_APPLICATION = _dcm(110150, "Application")
_DESTINATION_ROLE = _dcm(110152, "Destination Role ID")
_SOURCE_ROLE = _dcm(110153, "Source Role ID")
_STUDY_INSTANCE_UID = _dcm(110180, "Study Instance UID")
_SOP_CLASS_UID = _dcm(110181, "SOP Class UID")
_NODE_ID = _dcm(110182, "Node ID")
_PATIENT_NUMBER = _Code("2", "RFC-3881", "Patient Number")
_USER_IDENTIFIER = _Code("11", "RFC-3881", "User Identifier")

# PS3.15 A.5.1.1
_CREATE, _READ, _UPDATE, _DELETE, _EXECUTE = "C", "R", "U", "D", "E"
_MACHINE, _IP_ADDRESS, _URI = "1", "2", "5"
_PERSON, _SYSTEM_OBJECT = "1", "2"
_PATIENT, _REPORT, _SECURITY_USER, _SECURITY_RESOURCE = "1", "3", "11", "13"
_APPLICATION_SERVER = "4"

_PROGRAM = "totalmap"
# Study Root Query/Retrieve Information Model - FIND (PS3.4 C.4.1), which the page's search is like.
_STUDY_QUERY = "1.2.840.10008.5.1.4.1.2.2.1"
# The longest text from elsewhere, so that a message stays below the 32768 bytes of PS3.15 A.6.
_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Participant:
    """PS3.15 A.5.2, Active Participant."""

    user: str
    is_requestor: bool
    role: _Code | None = None
    ae_title: str | None = None
    address: str | None = None


def _received(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participants when a sender sends instances to the gateway."""
    sender = _Participant(
        user=event.who or UNKNOWN, is_requestor=True, role=_SOURCE_ROLE, address=event.address
    )
    return [sender, _gateway(source, role=_DESTINATION_ROLE)]


def _sent(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participants when the gateway sends instances to a destination."""
    name = event.object_name or UNKNOWN
    section = source.settings.destination(name)
    destination = _Participant(
        user=name,
        is_requestor=False,
        role=_DESTINATION_ROLE,
        ae_title=section.dicom.ae_title if section and section.dicom else None,
        address=_address(section) if section else None,
    )
    return [_gateway(source, is_requestor=True, role=_SOURCE_ROLE), destination]


def _by_gateway(_event: Event, source: AuditSource) -> Sequence[_Participant]:
    return [_gateway(source, is_requestor=True)]


def _by_user(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participants of an action of a user, whose address is required (PS3.15 A.5.3.12)."""
    user = _Participant(
        user=_at(source, event.who or UNKNOWN),
        is_requestor=True,
        address=event.address or UNKNOWN,
    )
    return [user, _gateway(source)]


def _searched(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participants of a query (PS3.15 A.5.3.10): who asks, and who answers."""
    user, _ = _by_user(event, source)
    return [replace(user, role=_SOURCE_ROLE), _gateway(source, role=_DESTINATION_ROLE)]


def _process(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participant when a process of the gateway starts or stops."""
    return [_gateway(source, name=event.who or _PROGRAM, role=_APPLICATION)]


def _rejected(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participants of an alert; nobody may be the requestor (PS3.15 A.5.3.11)."""
    rejected = _Participant(user=event.who or UNKNOWN, is_requestor=False, address=event.address)
    return [_gateway(source), rejected]


def _settings_read(event: Event, source: AuditSource) -> Sequence[_Participant]:
    """The participants when the settings are read again; nobody is known who asked for it."""
    return [_gateway(source), _gateway(source, name=event.object_name or UNKNOWN)]


def _gateway(
    source: AuditSource,
    *,
    name: str = _PROGRAM,
    is_requestor: bool = False,
    role: _Code | None = None,
) -> _Participant:
    return _Participant(
        user=_at(source, name),
        is_requestor=is_requestor,
        role=role,
        ae_title=source.settings.receive.ae_title,
        address=source.host,
    )


@dataclass(frozen=True, slots=True)
class _MessageKind:
    event_id: _Code
    action: str
    participants: Callable[[Event, AuditSource], Sequence[_Participant]]
    event_type: _Code | None = None


_LOGIN_MESSAGE = _MessageKind(_USER_AUTHENTICATION, _EXECUTE, _by_user, _LOGIN)
_ACCOUNT_CHANGED = _MessageKind(_SECURITY_ALERT, _EXECUTE, _by_user, _USER_ATTRIBUTES_CHANGED)
# A job is a procedure step that a user has changed. Application Activity is about a program
# that starts or stops, and the instances are not touched.
_JOB_CHANGED = _MessageKind(_PROCEDURE_RECORD, _UPDATE, _by_user)
# "R": a sender does not know what the receiver holds
_DELIVERY = _MessageKind(_INSTANCES_TRANSFERRED, _READ, _sent)
_SEGMENTATION = _MessageKind(_INSTANCES_ACCESSED, _CREATE, _by_gateway)
_RELOAD = _MessageKind(_SECURITY_ALERT, _EXECUTE, _settings_read, _SOFTWARE_CONFIGURATION)
_CHANGES_OF_JOBS = (
    *(EventKind.RETRIED, EventKind.CANCELLED, EventKind.MADE_URGENT, EventKind.CONFLICT_DECIDED),
    *EVENT_OF_DECISION.values(),
)
_KINDS: Mapping[EventKind, _MessageKind] = {
    # "C": instances that the gateway held already are not on record again
    EventKind.RECEIVED: _MessageKind(_INSTANCES_TRANSFERRED, _CREATE, _received),
    EventKind.DELIVERED: _DELIVERY,
    EventKind.NOT_DELIVERED: _DELIVERY,
    EventKind.SEGMENTED: _SEGMENTATION,
    EventKind.DEAD: _SEGMENTATION,
    EventKind.VIEWED: _MessageKind(_INSTANCES_ACCESSED, _READ, _by_user),
    EventKind.SEARCHED: _MessageKind(_QUERY, _EXECUTE, _searched),
    EventKind.DELETED: _MessageKind(_STUDY_DELETED, _DELETE, _by_gateway),
    **dict.fromkeys(_CHANGES_OF_JOBS, _JOB_CHANGED),
    EventKind.LOGGED_IN: _LOGIN_MESSAGE,
    EventKind.LOGIN_FAILED: _LOGIN_MESSAGE,
    EventKind.LOGGED_OUT: _MessageKind(_USER_AUTHENTICATION, _EXECUTE, _by_user, _LOGOUT),
    EventKind.ACCOUNT_ADDED: _ACCOUNT_CHANGED,
    EventKind.ACCOUNT_REMOVED: _ACCOUNT_CHANGED,
    EventKind.PASSWORD_CHANGED: _ACCOUNT_CHANGED,
    EventKind.SESSIONS_ENDED: _ACCOUNT_CHANGED,
    EventKind.ROLE_CHANGED: _MessageKind(_SECURITY_ALERT, _EXECUTE, _by_user, _ROLES_CHANGED),
    EventKind.REJECTED: _MessageKind(_SECURITY_ALERT, _EXECUTE, _rejected, _NODE_AUTHENTICATION),
    EventKind.REFUSED: _MessageKind(_SECURITY_ALERT, _EXECUTE, _rejected, _RESTRICTED_FUNCTION),
    EventKind.RELOADED: _RELOAD,
    EventKind.NOT_RELOADED: _RELOAD,
    EventKind.STARTED_UP: _MessageKind(_ACTIVITY, _EXECUTE, _process, _APPLICATION_START),
    EventKind.SHUT_DOWN: _MessageKind(_ACTIVITY, _EXECUTE, _process, _APPLICATION_STOP),
}
# Events whose message depends on the kind of object.
_KINDS_BY_OBJECT: Mapping[tuple[EventKind, ObjectKind], _MessageKind] = {
    (EventKind.DEAD, ObjectKind.DELIVERY): _DELIVERY,
    # not the study, but what was made of it
    (EventKind.DELETED, ObjectKind.RESULTS): _MessageKind(
        _INSTANCES_ACCESSED, _DELETE, _by_gateway
    ),
}
_INDICATORS: Mapping[Outcome, str] = {
    Outcome.SUCCESS: "0",
    Outcome.MINOR_FAILURE: "4",
    Outcome.SERIOUS_FAILURE: "8",
}


def _kind(event: Event) -> _MessageKind | None:
    return _KINDS_BY_OBJECT.get((event.kind, event.object_kind), _KINDS.get(event.kind))


def _add_event(root: Element, event: Event, kind: _MessageKind) -> None:
    identification = SubElement(
        root,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=_INDICATORS[event.outcome],
    )
    _add_code(identification, "EventID", kind.event_id)
    if kind.event_type is not None:
        _add_code(identification, "EventTypeCode", kind.event_type)
    if event.outcome is not Outcome.SUCCESS and event.detail:
        SubElement(identification, "EventOutcomeDescription").text = _plain(event.detail)


def _add_participant(root: Element, participant: _Participant) -> None:
    attributes = {
        "UserID": _plain(participant.user),
        "UserIsRequestor": "true" if participant.is_requestor else "false",
    }
    if participant.ae_title is not None:
        attributes["AlternativeUserID"] = f"AETITLES={participant.ae_title}"
    if participant.address is not None:
        attributes["NetworkAccessPointID"] = _plain(participant.address)
        attributes["NetworkAccessPointTypeCode"] = _address_type(participant.address)
    element = SubElement(root, "ActiveParticipant", attributes)
    if participant.role is not None:
        _add_code(element, "RoleIDCode", participant.role)


def _add_study(root: Element, study_instance_uid: str, study: AuditedStudy) -> None:
    element = _add_object(
        root, study_instance_uid, _STUDY_INSTANCE_UID, kind=_SYSTEM_OBJECT, role=_REPORT
    )
    if study.instances:
        description = SubElement(element, "ParticipantObjectDescription")
        for sop_class, number in sorted(study.instances.items()):
            SubElement(description, "SOPClass", UID=sop_class, NumberOfInstances=str(number))


def _add_patient(root: Element, patient_id: str) -> None:
    _add_object(root, patient_id, _PATIENT_NUMBER, kind=_PERSON, role=_PATIENT)


def _add_alert(root: Element, event: Event) -> None:
    """PS3.15 A.5.3.11, Alert Subject."""
    if event.object_kind is ObjectKind.ACCOUNT:
        element = _add_object(
            root,
            event.object_name or UNKNOWN,
            _USER_IDENTIFIER,
            kind=_SYSTEM_OBJECT,
            role=_SECURITY_USER,
        )
        said = f"{event.kind}: {event.detail}" if event.detail else event.kind
    else:
        said = event.detail or ""
        node = event.address or event.who or UNKNOWN
        element = _add_object(root, node, _NODE_ID, kind=_SYSTEM_OBJECT, role=_SECURITY_RESOURCE)
    value = b64encode(_plain(said).encode()).decode()
    SubElement(element, "ParticipantObjectDetail", type="Alert Description", value=value)


def _add_query(root: Element, event: Event) -> None:
    """PS3.15 A.5.3.10, SOP Queried: the attributes that were searched by, without their values."""
    query = b64encode(_plain(event.detail or "").encode()).decode()
    _add_object(root, _STUDY_QUERY, _SOP_CLASS_UID, kind=_SYSTEM_OBJECT, role=_REPORT, query=query)


def _add_object(
    root: Element, name: str, id_type: _Code, *, kind: str, role: str, query: str | None = None
) -> Element:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_plain(name),
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _add_code(element, "ParticipantObjectIDTypeCode", id_type)
    # The schema demands one of them; the name of the patient stays out of it.
    if query is None:
        SubElement(element, "ParticipantObjectName")
    else:
        SubElement(element, "ParticipantObjectQuery").text = query
    return element


def _add_code(parent: Element, name: str, code: _Code) -> None:
    attributes = {
        "csd-code": code.value,
        "codeSystemName": code.system,
        "originalText": code.meaning,
    }
    SubElement(parent, name, attributes)


def _at(source: AuditSource, name: str) -> str:
    """PS3.15 A.5.2.1."""
    return f"{name}@{source.host}"


def _address(destination: DestinationSection) -> str | None:
    if destination.dicom is not None:
        return destination.dicom.address
    return str(destination.stow.url) if destination.stow is not None else None


def _address_type(address: str) -> str:
    if "://" in address:
        return _URI
    try:
        ip_address(address)
    except ValueError:
        return _MACHINE
    return _IP_ADDRESS


def _plain(text: str) -> str:
    """Returns a text, cut, without line ends and without characters that XML can't hold."""
    return "".join(character if character.isprintable() else "?" for character in text[:_LONGEST])

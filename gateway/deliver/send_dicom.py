"""Sends DICOM files by C-STORE (PS3.4 B)."""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.config import DicomDestination
from gateway.deliver.dimse_replies import KEEP_REPLIES
from totalmap.errors import ResourceError

# What every DICOM node takes (PS3.5 10.1), and nearly every one.
_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_SUCCESS, _WARNING_CLASS = 0x0000, 0xB000


def send_dicom(destination: DicomDestination, files: Sequence[Path]) -> None:
    """Sends files over one association, in the order given.

    A file goes as it is where the destination takes its transfer syntax, else as uncompressed.

    Raises:
        ResourceError: The destination did not take all of them; with the reason.
    """
    with association(destination, _contexts(files)) as established:
        for path in files:
            _store(established, pydicom.dcmread(path))


def echo(destination: DicomDestination) -> None:
    """Asks a destination for an answer, by C-ECHO (PS3.4 A).

    Raises:
        ResourceError: It does not answer as it should; with the reason.
    """
    with association(destination, [(Verification, [ImplicitVRLittleEndian])]) as established:
        status = established.send_c_echo().get("Status")
        if status != _SUCCESS:
            raise ResourceError(f"{_name(destination)} answers C-ECHO with {status_text(status)}")


@contextmanager
def association(
    destination: DicomDestination,
    contexts: Iterable[tuple[UID, Sequence[UID]]],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Association]:
    """Yields an association that is established; it is released at the end, aborted on a failure.

    Args:
        destination: With whom.
        contexts: SOP classes, each with the transfer syntaxes to offer for it.
        roles: Those that are not the usual ones (PS3.7 D.3.3.4).
        handlers: Of what the other side asks for.

    Raises:
        ResourceError: It is not established; with the reason.
    """
    entity = AE(destination.calling_ae_title)
    entity.connection_timeout = destination.connect_seconds
    entity.acse_timeout = destination.connect_seconds
    entity.dimse_timeout = destination.connect_seconds
    entity.network_timeout = destination.connect_seconds
    entity.maximum_pdu_size = 0
    for sop_class, syntaxes in contexts:
        for syntax in syntaxes:
            entity.add_requested_context(sop_class, syntax)
    established = entity.associate(
        destination.address,
        destination.port,
        ae_title=destination.ae_title,
        ext_neg=[*roles],
        evt_handlers=[KEEP_REPLIES, *handlers],
        tls_args=_tls(destination),
    )
    if not established.is_established:
        raise ResourceError(_why_not(destination, established))
    try:
        yield established
    except BaseException:
        established.abort()
        raise
    established.release()


def _contexts(files: Sequence[Path]) -> Iterable[tuple[UID, Sequence[UID]]]:
    wanted: dict[UID, dict[UID, None]] = {}
    for path in files:
        meta = pydicom.filereader.read_file_meta_info(path)
        syntaxes = (UID(meta.TransferSyntaxUID), *_UNCOMPRESSED)
        wanted.setdefault(UID(meta.MediaStorageSOPClassUID), {}).update(dict.fromkeys(syntaxes))
    return [(sop_class, list(syntaxes)) for sop_class, syntaxes in wanted.items()]


def _store(established: Association, dataset: Dataset) -> None:
    sop_class = UID(dataset.SOPClassUID)
    accepted = {
        context.transfer_syntax[0]
        for context in established.accepted_contexts
        if context.abstract_syntax == sop_class
    }
    peer = established.acceptor.ae_title.strip()
    if not accepted:
        raise ResourceError(f"{peer} does not take objects of {sop_class.name}")
    own = dataset.file_meta.TransferSyntaxUID
    if own not in accepted:
        if own.is_encapsulated or not accepted & set(_UNCOMPRESSED):
            raise ResourceError(f"{peer} does not take {sop_class.name} as {own.name}")
        other = next(one for one in _UNCOMPRESSED if one in accepted)
        dataset.file_meta.TransferSyntaxUID = other
        dataset.set_original_encoding(
            is_implicit_vr=other.is_implicit_VR, is_little_endian=other.is_little_endian
        )
    if not established.is_established:
        raise ResourceError(f"{peer} ended the association")
    status = established.send_c_store(dataset).get("Status")
    if status is None:
        raise ResourceError(f"{peer} did not answer, or ended the association")
    if status != _SUCCESS and status & 0xF000 != _WARNING_CLASS:
        raise ResourceError(f"{peer} answers to {sop_class.name} with {status_text(status)}")


def _tls(destination: DicomDestination) -> "tuple[ssl.SSLContext, str] | None":
    if destination.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=destination.ca_file)
        if destination.certificate_file is not None:
            context.load_cert_chain(destination.certificate_file, destination.key_file)
    except OSError as error:  # SSLError is one
        raise ResourceError(f"the certificates for {_name(destination)}: {error}") from error
    return context, destination.address


def _why_not(destination: DicomDestination, tried: Association) -> str:
    if tried.is_rejected:
        answer = tried.acceptor.primitive
        reason = answer.reason_str if answer else "without a reason"
        return f"{_name(destination)} rejects the association: {reason}"
    if tried.rejected_contexts:
        names = {UID(str(one.abstract_syntax)).name for one in tried.rejected_contexts}
        return f"{_name(destination)} does not offer {', '.join(sorted(names))}"
    return f"{_name(destination)} can't be reached, or does not answer as a DICOM node"


def _name(destination: DicomDestination) -> str:
    return f"{destination.ae_title} at {destination.address}:{destination.port}"


def status_text(status: int | None) -> str:
    """Returns a status of DIMSE (PS3.7 C) for a message; None: there was no answer."""
    return "nothing" if status is None else f"status 0x{status:04X}"

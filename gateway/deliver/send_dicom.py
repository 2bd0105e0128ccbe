"""Sends DICOM files by C-STORE (PS3.4 B)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.config import DicomDestination
from gateway.outgoing_association import association, peer_name, status_text
from totalmap.errors import ResourceError

# Nearly every DICOM node takes the first, and every one the second (PS3.5 10.1).
_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_SUCCESS, _WARNING_CLASS = 0x0000, 0xB000


def send_dicom(destination: DicomDestination, files: Sequence[Path]) -> None:
    """Sends files over one association, in the order given.

    A file is sent in its transfer syntax if the destination takes that, else uncompressed; of
    compressed pixels, only those in RLE are decompressed, in which we write images.

    Raises:
        ResourceError: The destination did not take all of them; with the reason.
    """
    with association(destination, _contexts(files)) as established:
        for path in files:
            _store(established, pydicom.dcmread(path))


def echo(destination: DicomDestination) -> None:
    """Tests a destination by C-ECHO (PS3.4 A).

    Raises:
        ResourceError: It does not answer as it should; with the reason.
    """
    with association(destination, [(Verification, [ImplicitVRLittleEndian])]) as established:
        status = established.send_c_echo().get("Status")
        if status != _SUCCESS:
            raise ResourceError(
                f"{peer_name(destination)} answers C-ECHO with {status_text(status)}"
            )


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
    if own == RLELossless and own not in accepted:
        dataset.decompress(generate_instance_uid=False)
        own = dataset.file_meta.TransferSyntaxUID
    if own not in accepted:
        if own.is_encapsulated or not accepted & set(_UNCOMPRESSED):
            raise ResourceError(f"{peer} does not take {sop_class.name} as {own.name}")
        other = next(syntax for syntax in _UNCOMPRESSED if syntax in accepted)
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

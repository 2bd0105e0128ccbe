"""Storage commitment (PS3.4 J): a promise to keep what was sent."""

from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from gateway.config import DicomDestination
from gateway.send_dicom import association
from totalmap.errors import ResourceError

_REQUEST = 1  # PS3.4 J.3.2.1.1
_SUCCESS = 0x0000


def request_commitment(destination: DicomDestination, files: Sequence[Path]) -> str:
    """Asks a destination to promise to keep files that it has; returns the transaction's UID.

    The answer comes later, in an association of its own.

    Raises:
        ResourceError: It does not take the request; with the reason.
    """
    request = Dataset()
    request.TransactionUID = generate_uid(prefix=None)
    request.ReferencedSOPSequence = [_reference(path) for path in files]
    contexts = [(StorageCommitmentPushModel, [ImplicitVRLittleEndian])]
    with association(destination, contexts) as established:
        answer, _ = established.send_n_action(
            request, _REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        status = answer.get("Status")
        if status != _SUCCESS:
            raise ResourceError(
                f"{destination.ae_title} does not take a request for storage commitment"
            )
    return str(request.TransactionUID)


def _reference(path: Path) -> Dataset:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference

"""Lists the transfer syntaxes whose pixels can be decoded."""

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

# In the order of preference: cheap to decode first, lossless before lossy.
PREFERRED: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    *reversed(JPEG2000TransferSyntaxes),
    *JPEGLSTransferSyntaxes,
    RLELossless,
    *reversed(JPEGTransferSyntaxes),
    ExplicitVRBigEndian,
)
DECODABLE = frozenset(PREFERRED)

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

# Where there is a choice, the first of these is the best: what costs least to decode, and what is
# without loss before what may have some.
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

"""Re-encodes DICOM files into the transfer syntaxes that hospitals send."""

from __future__ import annotations

import tempfile
from pathlib import Path

import gdcm
import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
BY_PYDICOM = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
BY_GDCM = {
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
}
BY_OPENJPH = (HTJ2KLossless, HTJ2KLosslessRPCL)
ALL_SYNTAXES: tuple[UID, ...] = (*NATIVE, *BY_PYDICOM, *BY_GDCM, *BY_OPENJPH)
"""All lossless."""


def transcode(path: Path, syntax: UID) -> None:
    """Re-encodes a file in place, without loss and under the same SOP Instance UID.

    Args:
        path: an image with one sample a pixel and 16 bits allocated, signed or unsigned, of one
            frame or several, in any of ALL_SYNTAXES.
        syntax: one of ALL_SYNTAXES.
    """
    ds = pydicom.dcmread(path)
    values = ds.pixel_array
    values = values.astype(values.dtype.newbyteorder("="))  # a big-endian file's are swapped
    _set_native(ds, values, syntax if syntax in NATIVE else ExplicitVRLittleEndian)
    if syntax in BY_PYDICOM:
        ds.compress(syntax, values, generate_instance_uid=False)
    elif syntax in BY_GDCM:
        _set_frames(ds, _gdcm_frames(ds, syntax), syntax)
    elif syntax in BY_OPENJPH:
        frames = values.reshape(-1, ds.Rows, ds.Columns)
        _set_frames(ds, [_htj2k(frame) for frame in frames], syntax)
    elif syntax not in NATIVE:
        raise ValueError(f"no encoder for {syntax.name}")
    pydicom.dcmwrite(path, ds, enforce_file_format=True)


def _set_native(ds: Dataset, values: NDArray[np.integer], syntax: UID) -> None:
    """Gives the dataset pixels that are not compressed, in the syntax's byte order."""
    little, big = values.dtype.newbyteorder("<"), values.dtype.newbyteorder(">")
    ds.PixelData = values.astype(little if syntax.is_little_endian else big).tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta.TransferSyntaxUID = syntax


def _set_frames(ds: Dataset, frames: list[bytes], syntax: UID) -> None:
    """Gives the dataset compressed frames."""
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax


def _gdcm_frames(ds: Dataset, syntax: UID) -> list[bytes]:
    """Returns the frames of a dataset with native pixels, compressed by GDCM."""
    with tempfile.TemporaryDirectory() as folder:
        native, compressed = Path(folder, "native.dcm"), Path(folder, "compressed.dcm")
        pydicom.dcmwrite(native, ds, enforce_file_format=True)
        reader, writer = gdcm.ImageReader(), gdcm.ImageWriter()
        change = gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(str(native))
        writer.SetFileName(str(compressed))
        change.SetTransferSyntax(gdcm.TransferSyntax(BY_GDCM[syntax]))
        done = reader.Read()
        change.SetInput(reader.GetImage())
        done = done and change.Change()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not (done and writer.Write()):
            raise RuntimeError(f"GDCM cannot compress {ds.SOPInstanceUID} to {syntax.name}")
        pixels = pydicom.dcmread(compressed).PixelData
    return list(generate_frames(pixels, number_of_frames=int(ds.get("NumberOfFrames", 1))))


def _htj2k(frame: NDArray[np.integer]) -> bytes:
    """Returns a High-Throughput JPEG 2000 codestream: reversible, RPCL, with TLM markers."""
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True, tlm=True))

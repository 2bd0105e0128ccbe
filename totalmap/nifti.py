"""Reads a NIfTI image into a volume.

Format: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and nifti2.h. Only single files
(`.nii`, `.nii.gz`) are read, not pairs of `.hdr` and `.img`.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from numpy.typing import NDArray

from totalmap.dicom.geometry import (
    NEGLIGIBLE_TILT_DEGREES,
    Affine,
    Geometry,
    nifti_geometry,
)
from totalmap.dicom.pixels import INT16, Voxels
from totalmap.dicom.slice_audit import refuse_size, tilt_findings
from totalmap.dicom.volume import Volume
from totalmap.errors import InputError, UnsupportedGeometry
from totalmap.settings import GeometrySection
from totalmap.texts.catalogue import Message

SUFFIXES = (".nii", ".nii.gz")
_GZIP_SIGNATURE = b"\x1f\x8b"
# The first number of a header is its length, in the byte order of the file.
_IMAGE_CLASSES = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}
# Offset of the magic number, "n+1" or "n+2" for a single file, by header length.
_MAGIC_AT = {348: 344, 540: 4}
_HEADER_BYTES = 540
# Exceptions of nibabel, gzip and zlib for a damaged file.
_BROKEN = (
    *(ImageFileError, HeaderDataError, HeaderTypeError, OSError, EOFError, ValueError),
    *(zlib.error, struct.error, OverflowError),
)
_CHUNK_BYTES = 1 << 20
# Bytes may follow the voxels, but only so many are read.
_MAX_BYTES_BEHIND = 16 << 20
# Two affines are the same if no element differs by more.
_SAME_AFFINE_MM = 0.01


def is_nifti(path: Path) -> bool:
    """Returns whether a file has the suffix or the header of a NIfTI image."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    try:
        with _opened(path) as file:
            return _header_length(file.read(_HEADER_BYTES)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def read_nifti(path: Path, modality: str, policy: GeometrySection) -> Volume:
    """Returns the voxels of an image and their geometry.

    Whole numbers in the range of int16 become int16, as DICOM pixels do; all others float32.

    Args:
        path: A single NIfTI-1 or NIfTI-2 file, compressed by gzip or not.
        modality: CT or MR, since a NIfTI file does not name it.
        policy: The size limits.

    Raises:
        InputError: The file can't be read, is no image in three dimensions, holds no plain
            numbers, or does not say where its voxels lie.
        UnsupportedGeometry: Its axes are not perpendicular, or it is too small or too large.
    """
    with _opened(path) as file:
        image = _parsed(file)
        geometry = _geometry(image, policy)
        voxels = _voxels(image, geometry)
        _read_to_end(file)
    return Volume(
        voxels=voxels,
        geometry=geometry,
        modality=modality,
        slices=(),
        findings=(
            Message("warning.nifti_modality", modality=modality),
            *_ambiguity(image),
            *tilt_findings(geometry),
        ),
        folder="",
    )


def read_nifti_geometry(path: Path, policy: GeometrySection) -> Geometry:
    """Returns the geometry of an image; reads only its header.

    Raises:
        InputError, UnsupportedGeometry: As in `read_nifti`.
    """
    with _opened(path) as file:
        return _geometry(_parsed(file), policy)


def read_nifti_extensions(path: Path) -> tuple[bytes, ...]:
    """Returns the contents of the extensions of an image's header; reads no voxels.

    Raises:
        InputError: The file can't be read.
    """
    with _opened(path) as file:
        found = (extension.get_content() for extension in _parsed(file).header.extensions)
        return tuple(content for content in found if isinstance(content, bytes))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Yields the file; gzip is decompressed while it is read."""
    with path.open("rb") as raw:
        is_packed = raw.read(len(_GZIP_SIGNATURE)) == _GZIP_SIGNATURE
        raw.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_packed else raw


def _header_length(head: bytes) -> int | None:
    """Returns the length of the NIfTI header of a file; None for other files."""
    for order in "<>":
        length = int(struct.unpack(f"{order}i", head[:4].ljust(4, b"\0"))[0])
        at = _MAGIC_AT.get(length)
        if at is not None and head[at : at + 2] == b"n+":
            return length
    return None


def _parsed(file: BinaryIO) -> Any:
    """Returns the image; its voxels are not read yet."""
    try:
        length = _header_length(file.read(_HEADER_BYTES))
        file.seek(0)
        if length is None:
            raise InputError("the NIfTI file does not begin with a NIfTI header")
        return _IMAGE_CLASSES[length].from_stream(file)
    except _BROKEN as error:
        raise _damaged(error) from error


def _geometry(image: Any, policy: GeometrySection) -> Geometry:
    shape = image.header.get_data_shape()
    _check_shape(shape)
    if not (image.header["sform_code"] > 0 or image.header["qform_code"] > 0):
        raise InputError(
            "the NIfTI file does not say where its voxels lie (qform and sform are both 0): "
            "left and right would be a guess"
        )
    affine_ras = _affine(image)
    geometry = nifti_geometry(affine_ras, shape[:3])
    _refuse_skew(geometry)
    refuse_size(geometry, policy)
    return geometry


def _check_shape(shape: tuple[int, ...]) -> None:
    sizes = " x ".join(map(str, shape))
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise InputError(
            f"the NIfTI file has {len(shape)} dimensions ({sizes}): give one image of three"
        )
    if min(shape) < 1:
        raise InputError(f"the NIfTI file holds no voxel ({sizes})")


def _affine(image: Any) -> Affine:
    try:
        affine: Affine = np.asarray(image.affine, dtype=np.float64)
    except _BROKEN as error:
        raise _damaged(error) from error
    # The determinant of a valid affine is about the product of its spacings.
    columns = affine[:3, :3]
    size = float(np.prod(np.linalg.norm(columns, axis=0)))
    if not np.isfinite(affine).all() or abs(np.linalg.det(columns)) <= 1e-3 * size:
        raise InputError(
            "the NIfTI file gives its voxels no position in space: its qform or sform is not a "
            "transform of three dimensions"
        )
    return affine


def _refuse_skew(geometry: Geometry) -> None:
    i, j, _ = geometry.affine_lps[:3, :3].T
    cosine = abs(float(i @ j)) / float(np.linalg.norm(i) * np.linalg.norm(j))
    skew_degrees = float(np.degrees(np.arcsin(min(cosine, 1.0))))
    if skew_degrees > NEGLIGIBLE_TILT_DEGREES:
        raise UnsupportedGeometry(
            f"the first two axes of the NIfTI file are {skew_degrees:.1f} degrees off a right "
            f"angle, and at most {NEGLIGIBLE_TILT_DEGREES} are allowed: resample it first"
        )


def _ambiguity(image: Any) -> Iterator[str]:
    """Yields a warning if sform and qform differ, since programs differ in the one they use."""
    header = image.header
    if not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return
    try:
        difference_mm = float(np.abs(header.get_sform() - header.get_qform()).max())
    except _BROKEN:
        difference_mm = np.inf
    if not difference_mm <= _SAME_AFFINE_MM:
        yield "the sform and the qform of the NIfTI file differ: the sform was used"


def _voxels(image: Any, geometry: Geometry) -> Voxels:
    """Returns the values, scaled, (k, j, i)."""
    if image.get_data_dtype().kind not in "iuf":
        raise InputError("the NIfTI file holds colours or complex numbers: give plain values")
    try:
        values = np.asanyarray(image.dataobj)
    except _BROKEN as error:
        raise _damaged(error) from error
    i, j, k = geometry.shape[::-1]
    return _stored(values.reshape((i, j, k), order="F").transpose(2, 1, 0))


def _read_to_end(file: BinaryIO) -> None:
    """Reads the rest of the file, since gzip compares its checksum only at the end."""
    behind = 0
    try:
        while chunk := file.read(_CHUNK_BYTES):
            behind += len(chunk)
            if behind > _MAX_BYTES_BEHIND:
                raise InputError(
                    f"more than {_MAX_BYTES_BEHIND} bytes follow the voxels of the NIfTI file: it "
                    "is damaged"
                )
    except _BROKEN as error:
        raise _damaged(error) from error


def _stored(values: NDArray[Any]) -> Voxels:
    with np.errstate(over="ignore"):
        narrow = values if values.dtype.kind != "f" else values.astype(np.float32, copy=False)
    bad = 0 if narrow.dtype.kind != "f" else int(np.count_nonzero(~np.isfinite(narrow)))
    if bad:
        raise InputError(
            f"{bad} of {values.size} voxels of the NIfTI file are not a number or infinite: "
            "replace them, by -1024 in a CT"
        )
    fits = INT16.min <= values.min() and values.max() <= INT16.max
    if fits and (narrow.dtype.kind != "f" or np.array_equal(values, np.rint(values))):
        whole: NDArray[np.int16] = values.astype(np.int16)
        return whole
    fractional: NDArray[np.float32] = narrow.astype(np.float32, copy=False)
    return fractional


def _damaged(error: Exception) -> InputError:
    # Messages of the libraries may quote the name of the file.
    return InputError(
        f"the NIfTI file can't be read ({type(error).__name__}): it is damaged or not complete"
    )

"""Decodes the pixels of slices into output values: HU for CT."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from totalmap.dicom.compressed_images import decode_rle, jpeg2000_size, jpeg_size
from totalmap.dicom.frame import Rescale
from totalmap.dicom.header import BROKEN_FILE
from totalmap.dicom.instance import Instance, PixelFormat, read_dataset
from totalmap.dicom.slices import Slice
from totalmap.errors import ResourceError

Voxels = NDArray[np.int16] | NDArray[np.float32]
Stored = NDArray[np.integer[Any]]
Batch = Sequence[tuple[int, Slice]]
"""Slices of one file, with their indices in the volume."""

# Decoders and the disk release the lock of the interpreter.
DECODERS = 4
FRAMES_AT_ONCE = 32
INT16 = np.iinfo(np.int16)


class _Codec(NamedTuple):
    """Decoder of the codestreams of some transfer syntaxes.

    Attributes:
        size: Returns the declared rows and columns of a codestream.
    """

    syntaxes: Sequence[UID]
    size: Callable[[bytes], tuple[int, int]]
    decode: Callable[[bytes], NDArray[Any]]


# One library for all codestreams: its codecs release the lock of the interpreter, and raise an
# exception if an image is damaged. Other plugins of pydicom block all threads, and GDCM may crash
# the process.
CODECS = (
    _Codec(JPEG2000TransferSyntaxes, jpeg2000_size, imagecodecs.jpeg2k_decode),
    _Codec(JPEGLSTransferSyntaxes, jpeg_size, imagecodecs.jpegls_decode),
    _Codec(JPEGTransferSyntaxes, jpeg_size, imagecodecs.jpeg8_decode),
)

UNCHANGED = Rescale(slope=1.0, intercept=0.0)
# Padding becomes air if its value exceeds the range of 12 bits, since a network would take it for
# metal. Other padding stays unchanged, as in TotalSegmentator.
DENSEST_HU = 3071
AIR_HU = -1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecodable:
    """A slice whose pixels can't be decoded, and the type of the error."""

    slice: Slice
    error: str


def decode_slices(slices: Sequence[Slice]) -> tuple[Voxels, tuple[Undecodable, ...]]:
    """Returns the output values of slices of one size (Modality LUT, PS3.3 C.11.1).

    Returns:
        (k, j, i) in the order of the slices: int16, or float32 if a rescale is fractional or a
        value is outside the range of int16; and the slices that can't be decoded, whose voxels are
        undefined.

    Raises:
        ResourceError: The memory is too small.
    """
    shape = len(slices), slices[0].instance.rows, slices[0].instance.columns
    try:
        return _decoded_volume(slices, shape)
    except MemoryError as error:
        size = " x ".join(map(str, shape))
        raise ResourceError(f"{size} voxels do not fit into the memory") from error


def _decoded_volume(
    slices: Sequence[Slice], shape: tuple[int, int, int]
) -> tuple[Voxels, tuple[Undecodable, ...]]:
    volume = np.empty(shape, np.int16)
    wide: dict[int, Voxels] = {}

    def decode(batch: Batch) -> Sequence[Undecodable]:
        try:
            for k, values in _decoded(batch):
                if values.dtype == np.int16:
                    volume[k] = values
                else:
                    wide[k] = values
        except (*BROKEN_FILE, OSError) as error:
            return [Undecodable(slice=item, error=type(error).__name__) for _, item in batch]
        return []

    with ThreadPoolExecutor(DECODERS) as pool:
        undecodable = tuple(item for lost in pool.map(decode, _batches(slices)) for item in lost)
    if not wide:
        return volume, undecodable
    widened = volume.astype(np.float32)
    for k, values in wide.items():
        widened[k] = values
    return widened, undecodable


def _batches(slices: Sequence[Slice]) -> Iterator[Batch]:
    """Yields slices of one file each."""
    by_file: dict[str, list[tuple[int, Slice]]] = defaultdict(list)
    for k, item in enumerate(slices):
        by_file[item.instance.sop_instance_uid].append((k, item))
    for group in by_file.values():
        for first in range(0, len(group), FRAMES_AT_ONCE):
            yield group[first : first + FRAMES_AT_ONCE]


def _decoded(batch: Batch) -> Iterator[tuple[int, Voxels]]:
    instance = batch[0][1].instance
    numbers = [item.frame.number for _, item in batch]
    is_native = instance.pixels.offset is not None
    frames = _native(instance, numbers) if is_native else _coded(instance, numbers)
    for (k, item), stored in zip(batch, frames, strict=True):
        if stored.shape != (instance.rows, instance.columns):
            raise ValueError(f"decoded into an array of shape {stored.shape}")
        yield k, _output_values(stored, item)


def _native(instance: Instance, numbers: Sequence[int]) -> Iterator[Stored]:
    """Yields frames of native pixels (PS3.5 8.1.1)."""
    pixels = instance.pixels
    count = instance.rows * instance.columns
    order = "<" if pixels.transfer_syntax.is_little_endian else ">"
    dtype = np.dtype(f"{order}{'i' if pixels.is_signed else 'u'}{pixels.bits_allocated // 8}")
    for number in numbers:
        offset = (pixels.offset or 0) + (number - 1) * count * dtype.itemsize
        stored = np.fromfile(instance.path, dtype, count, offset=offset)
        yield stored.reshape(instance.rows, instance.columns).astype(
            dtype.newbyteorder("="), copy=False
        )


def _coded(instance: Instance, numbers: Sequence[int]) -> Iterator[Stored]:
    """Yields frames of compressed pixels."""
    dataset = read_dataset(instance, with_pixels=True)
    syntax, count = instance.pixels.transfer_syntax, len(instance.frames)
    codec = next((known for known in CODECS if syntax in known.syntaxes), None)
    for number in numbers:
        if syntax == RLELossless:
            codestream = get_frame(dataset.PixelData, number - 1, number_of_frames=count)
            yield _unpacked_rle(codestream, instance)
        elif codec is None:  # deflated
            stored, _ = get_decoder(syntax).as_array(dataset, index=number - 1, raw=True)
            yield stored
        else:
            codestream = get_frame(dataset.PixelData, number - 1, number_of_frames=count)
            yield _unpacked(codestream, codec, instance)


def _unpacked(codestream: bytes, codec: _Codec, instance: Instance) -> Stored:
    """Returns the stored values of a codestream; JPEG has no sign, so the dataset decides it."""
    if codec.size(codestream) != (instance.rows, instance.columns):
        raise ValueError("a codestream of another size than in the dataset")
    decoded = codec.decode(codestream)
    allocated = instance.pixels.bits_allocated
    if decoded.dtype.kind not in "iu" or decoded.dtype.itemsize * 8 > allocated:
        raise ValueError(f"decoded into {decoded.dtype}")
    # Encoders use 8 bits for few grey levels, whatever Bits Allocated is.
    wide = decoded.astype(f"{decoded.dtype.kind}{allocated // 8}", copy=False)
    kind = "i" if instance.pixels.is_signed else "u"
    stored: Stored = wide.view(f"{kind}{allocated // 8}")
    return stored


def _unpacked_rle(codestream: bytes, instance: Instance) -> Stored:
    """Returns the stored values of an RLE codestream, with the sign from the dataset."""
    sample_bytes = instance.pixels.bits_allocated // 8
    kind = "i" if instance.pixels.is_signed else "u"
    values = decode_rle(codestream, instance.rows, instance.columns, sample_bytes)
    stored: Stored = values.view(f"{kind}{sample_bytes}")
    return stored


def _without_unused_bits(stored: Stored, pixels: PixelFormat) -> Stored:
    """Clears bits above Bits Stored, where old scanners store overlays, and extends the sign."""
    unused = pixels.bits_allocated - pixels.bits_stored
    return (stored << unused) >> unused if unused else stored


def _output_values(raw: Stored, item: Slice) -> Voxels:
    pixels = item.instance.pixels
    values = _rescaled(_without_unused_bits(raw, pixels), item.frame.rescale or UNCHANGED)
    if pixels.padding is not None and item.instance.modality == "CT":
        # Padding of signed values is often written unsigned, and may be wider than Bits Stored.
        ends = np.sort(np.array(pixels.padding).astype(raw.dtype))
        is_padding = (raw >= ends[0]) & (raw <= ends[1])
        is_wide = not np.array_equal(_without_unused_bits(ends, pixels), ends)
        if is_padding.any() and (is_wide or values[is_padding].max() > DENSEST_HU):
            values[is_padding] = AIR_HU
    if values.dtype == np.int16:
        return values
    is_whole = not np.issubdtype(values.dtype, np.floating)
    if is_whole and INT16.min <= values.min() and values.max() <= INT16.max:
        return values.astype(np.int16)
    return values.astype(np.float32)


def _rescaled(stored: Stored, rescale: Rescale) -> NDArray[Any]:
    if not (rescale.slope.is_integer() and rescale.intercept.is_integer()):
        return stored * rescale.slope + rescale.intercept
    if rescale.slope == 1 and stored.dtype.itemsize == 2:
        low, high = int(stored.min()), int(stored.max())
        intercept = int(rescale.intercept)
        if INT16.min <= low + intercept and high + intercept <= INT16.max:
            # The sum is in range, so overflow on the way does not matter.
            return stored.view(np.int16) + np.array(intercept).astype(np.int16)
    if rescale.slope == 1 and stored.itemsize <= 2:
        return stored.astype(np.int32) + int(rescale.intercept)
    return stored.astype(np.int64) * int(rescale.slope) + int(rescale.intercept)

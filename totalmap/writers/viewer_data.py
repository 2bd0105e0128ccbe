"""Writes a series and its labels as files that the viewer in the browser loads.

    description.json     shape, axes and blocks; the first file
    voxels-000.gz        a block of slices, in the order in which a reader needs them
    labels.gz            the labels of all slices
    structures.json      the structures, their colours and places
    finished.json        the slices that could not be decoded; the last file

Voxels and labels stay on the grid of the source, (k, j, i), little endian, compressed by gzip. Each
file appears whole.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.display_axes import display_axes
from totalmap.dicom.geometry import NEGLIGIBLE_TILT_DEGREES
from totalmap.dicom.pixels import AIR_HU, INT16, decode_slices
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slices import Slice
from totalmap.display_names import is_structure
from totalmap.errors import ResourceError
from totalmap.existing_seg import SegLabels
from totalmap.viewer_files import DESCRIPTION, FINISHED, LABELS, STRUCTURES, block_name
from totalmap.writers.dicom.codes import structure_code

SLICES_AT_ONCE = 16
# The browser waits for the first block; a better compression would take longer than it saves.
_LEVEL = 1
_THREADS = 2
_UNKNOWN_RGB = (200, 200, 200)
Place = tuple[int, int, int]
"""Indices of a voxel: k, j, i."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive slices in one file.

    Attributes:
        first: Index k of the first slice.
        count: Number of slices.
    """

    name: str
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLabel:
    """A structure as the viewer shows it.

    Attributes:
        label: Its value in the labels.
        name: TotalSegmentator's name.
        rgb: Its colour, 0..255, the same as in the SEG.
        place: A voxel of the structure, in the slice with the most of it; None: it has no voxels.
    """

    label: int
    name: str
    rgb: tuple[int, int, int]
    place: Place | None


def blocks(n_slices: int) -> tuple[Block, ...]:
    """Returns the blocks of a stack; the middle of the stack comes first, its ends last."""
    firsts = range(0, n_slices, SLICES_AT_ONCE)
    middle = n_slices // 2
    nearest = sorted(firsts, key=lambda first: abs(first + (SLICES_AT_ONCE - 1) / 2 - middle))
    return tuple(
        Block(
            name=block_name(number),
            first=first,
            count=min(SLICES_AT_ONCE, n_slices - first),
        )
        for number, first in enumerate(nearest)
    )


def write_voxels(selection: Selection, folder: Path) -> tuple[int, ...]:
    """Writes the description and the blocks of a series.

    Args:
        selection: The stack of the series.
        folder: An existing folder.

    Returns:
        The indices k of the slices that can't be decoded.

    Raises:
        ResourceError: The memory is too small, or the folder can't be written.
    """
    wanted = blocks(len(selection.audit.slices))
    is_whole = has_whole_values(selection.audit.slices)
    _put_json(folder / DESCRIPTION, _description(selection, wanted, is_whole=is_whole))
    with ThreadPoolExecutor(_THREADS) as pool:
        written = pool.map(
            lambda block: _write_block(selection.audit.slices, block, folder, is_whole=is_whole),
            wanted,
        )
        return tuple(sorted(k for lost in written for k in lost))


def write_labels(found: SegLabels, folder: Path) -> None:
    """Writes the labels, and the structures with their places, into an existing folder."""
    is_small = found.labels.dtype == np.uint8
    _put_compressed(folder / LABELS, found.labels.astype("u1" if is_small else "<u2", copy=False))
    places = structure_places(found)
    structures = [
        asdict(ShownLabel(label=label, name=name, rgb=_rgb(name), place=places.get(label)))
        for name, label in found.numbers.items()
    ]
    label_type = "uint8" if is_small else "uint16"
    _put_json(folder / STRUCTURES, {"label_type": label_type, "structures": structures})


def write_finished(undecodable: tuple[int, ...], folder: Path) -> None:
    """Writes the last file: all others are there."""
    _put_json(folder / FINISHED, {"undecodable_slices": undecodable})


def has_whole_values(slices: tuple[Slice, ...]) -> bool:
    """Returns whether the values of all slices are sent as int16: those of a CT, in HU, are.

    Values of other modalities are if their rescale keeps them in its range.
    """
    if slices[0].instance.modality == "CT":
        return True
    return all(_fits_int16(item) for item in slices)


def structure_places(found: SegLabels) -> Mapping[int, Place]:
    """Returns a voxel of each label: the one closest to the centre of its largest cross-section."""
    labels, n_labels = found.labels, 1 + max(found.numbers.values(), default=0)
    voxels = np.stack([np.bincount(part.ravel(), minlength=n_labels) for part in labels])
    largest = voxels.argmax(axis=0)
    places = {}
    for label in np.flatnonzero(voxels[:, 1:].any(axis=0)) + 1:
        k = int(largest[label])
        rows, columns = np.nonzero(labels[k] == label)
        away = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
        nearest = int(away.argmin())
        places[int(label)] = (k, int(rows[nearest]), int(columns[nearest]))
    return places


def _description(
    selection: Selection, wanted: tuple[Block, ...], *, is_whole: bool
) -> dict[str, Any]:
    geometry = selection.audit.geometry
    return {
        "shape": geometry.shape,
        "axes": [asdict(axis) for axis in display_axes(geometry)],
        "slice_steps": geometry.slice_steps,
        "orientation": geometry.orientation,
        "tilt_degrees": _rounded_tilt(geometry.tilt_degrees),
        "modality": selection.audit.slices[0].instance.modality,
        "voxel_type": "int16" if is_whole else "float32",
        "blocks": [asdict(block) for block in wanted],
    }


def _rounded_tilt(degrees: float) -> float:
    return round(degrees, 1) if degrees > NEGLIGIBLE_TILT_DEGREES else 0.0


def _write_block(
    slices: tuple[Slice, ...], block: Block, folder: Path, *, is_whole: bool
) -> tuple[int, ...]:
    """Writes a block; returns the indices k of slices that can't be decoded, which are black."""
    part = slices[block.first : block.first + block.count]
    voxels, undecodable = decode_slices(part)
    if is_whole and voxels.dtype != np.int16:
        voxels = np.rint(voxels).clip(INT16.min, INT16.max).astype(np.int16)
    values = voxels.astype("<i2" if is_whole else "<f4", copy=False)
    places = {item.key: k for k, item in enumerate(part)}
    lost = [places[failed.slice.key] for failed in undecodable]
    values[lost] = AIR_HU
    _put_compressed(folder / block.name, values)
    return tuple(block.first + k for k in lost)


def _rgb(name: str) -> tuple[int, int, int]:
    return structure_code(name).rgb if is_structure(name) else _UNKNOWN_RGB


def _fits_int16(item: Slice) -> bool:
    pixels, rescale = item.instance.pixels, item.frame.rescale
    slope, intercept = (rescale.slope, rescale.intercept) if rescale else (1.0, 0.0)
    bits = pixels.bits_stored
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if pixels.is_signed else (0, 2**bits)
    ends = sorted((low * slope + intercept, (high - 1) * slope + intercept))
    is_integer = slope.is_integer() and intercept.is_integer()
    return is_integer and bool(INT16.min <= ends[0] and ends[1] <= INT16.max)


def _put_compressed(path: Path, values: NDArray[Any]) -> None:
    _put(path, bytes(imagecodecs.gzip_encode(values.tobytes(), level=_LEVEL)))


def _put_json(path: Path, content: Mapping[str, Any]) -> None:
    _put(path, json.dumps(content).encode())


def _put(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.rename(path)
    except OSError as error:
        raise ResourceError(f"the view can't be written: {error.strerror}") from error

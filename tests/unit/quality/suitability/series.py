"""Makes series for the suitability rules: phantoms, and phantoms with changed files."""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tests.phantom.study import STORED_OFFSET, SeriesSpec, write_series
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.stacks import split_into_stacks
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.settings import GeometrySection

Spoil = Callable[[Dataset], None]
Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From HU to HU, a slice (j, i)."""

USUAL = SeriesSpec(rows=200, columns=200, pixel_spacing_mm=(2.0, 2.0), n_slices=36)


def volume_of(folder: Path) -> Volume:
    """Returns the volume of the only series of a folder, without a selection rule."""
    policy = GeometrySection()
    (series,) = read_study(folder).series
    (stack,) = split_into_stacks(series)
    audit = audit_stack(stack, policy)
    return build_volume(Selection(folder="", stack=stack, audit=audit), policy)


def written(folder: Path, spec: SeriesSpec = USUAL, *spoils: Spoil, body: int = 1) -> Volume:
    """Writes a phantom, changes each of its files, and reads it."""
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(_files(spec, body)):
        dataset = pydicom.dcmread(BytesIO(content))
        for spoil in spoils:
            spoil(dataset)
        dataset.save_as(folder / f"{number}.dcm")
    return volume_of(folder)


@cache
def _files(spec: SeriesSpec, body: int) -> tuple[bytes, ...]:
    """Returns the files of a phantom; drawing it takes most of the time."""
    with TemporaryDirectory() as folder:
        return tuple(path.read_bytes() for path in write_series(folder, body, spec).paths)


def with_attributes(**values: object) -> Spoil:
    """Replaces attributes."""

    def spoil(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return spoil


def with_hu(change: Change) -> Spoil:
    """Changes the HU of a phantom, which are then stored signed in 16 bits."""

    def spoil(dataset: Dataset) -> None:
        hu = np.rint(change(hu_of(dataset)))
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, 1
        dataset.RescaleIntercept = "0"
        dataset.PixelData = hu.astype("<i2").tobytes()

    return spoil


def in_eight_bits(dataset: Dataset) -> None:
    """Stores what a window from -160 to 240 HU shows, as a viewer exports it."""
    shown = np.clip((hu_of(dataset) + 160) / 400, 0, 1) * 255
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    del dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType
    dataset.PixelData = np.rint(shown).astype(np.uint8).tobytes()


def hu_of(dataset: Dataset) -> NDArray[np.float64]:
    """Returns the HU of a phantom's slice (j, i)."""
    stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.float64) - STORED_OFFSET
    return stored.reshape(dataset.Rows, dataset.Columns)


def outside_circle(hu: NDArray[np.float64], share: float = 1.0) -> NDArray[np.bool_]:
    """Returns where a slice lies outside the circle that touches its sides, or a smaller one."""
    y, x = (np.linspace(-1, 1, size) for size in hu.shape)
    return np.hypot(y[:, None], x) > share


def padded(value: int) -> Change:
    """Fills the area outside the circle of the reconstruction."""
    return lambda hu: np.where(outside_circle(hu), value, hu)

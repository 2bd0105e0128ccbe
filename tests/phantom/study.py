"""Writes DICOM studies of a synthetic body, with the true labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from .anatomy import Anatomy
from .dose_report import write_dose_report
from .modules import ct_modules, file_meta, mr_modules, phantom_uid, series_modules
from .scanner import SHARP, SOFT, Scanner

FileOrder = Literal["ascending", "descending", "shuffled"]
Modality = Literal["CT", "MR"]

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
TRUNK_CENTRE_MM = (0.0, 10.0, 115.0)
FIELD_OF_VIEW_MM = 420.0
THICK_FROM_MM = 4.0  # from here on a slice is the mean of several thin ones
SUB_SLICES = 3
STORED_OFFSET = 1024  # stored value = HU + offset
LOCALIZER_DEPTH_MM = 4.0
STAIN_HU = 2000
UNSTAINED_HU = 300  # at most, beside stained structures


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSpec:
    """One series.

    pixel_spacing_mm is DICOM's: (between rows, between columns). orientation is
    ImageOrientationPatient: the direction of a row, then that of a column, in LPS. Slices follow
    each other along the cross product of the two, `slice_spacing_mm` apart. centre_lps_mm is the
    centre of the volume. file_order is the order of the slices in the files' names; the instance
    numbers follow the slices.

    tilt_degrees is the gantry's tilt: each next slice is also shifted along its columns, towards
    higher rows, by slice_spacing_mm * tan(tilt). slice_steps says where the slices lie, in steps
    of slice_spacing_mm: (0, 1, 3) lacks a slice; None is 0, 1, 2 and so on. stained are labels
    that are drawn at exactly STAIN_HU, all else at most at UNSTAINED_HU. scanner=None is bare
    tissue without noise.
    """

    rows: int = 96
    columns: int = 96
    n_slices: int = 40
    pixel_spacing_mm: tuple[float, float] = (4.375, 4.375)
    slice_spacing_mm: float = 3.0
    slice_thickness_mm: float = 3.0
    orientation: tuple[float, float, float, float, float, float] = AXIAL
    centre_lps_mm: tuple[float, float, float] = TRUNK_CENTRE_MM
    kernel: str = "STANDARD"
    number: int = 2
    description: str = "Trunk 3.0 STANDARD"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    file_order: FileOrder = "ascending"
    scanner: Scanner | None = field(default=SOFT)
    tilt_degrees: float = 0.0
    slice_steps: tuple[float, ...] | None = None
    stained: tuple[int, ...] = ()
    modality: Modality = "CT"

    def __post_init__(self) -> None:
        if self.slice_steps is not None and len(self.slice_steps) != self.n_slices:
            raise ValueError(f"{len(self.slice_steps)} slice steps for {self.n_slices} slices")

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.n_slices, self.rows, self.columns

    @property
    def affine_lps(self) -> NDArray[np.float64]:
        """(4, 4): index (i = column, j = row, k = slice, 1) -> LPS mm; k is a step of the slices.

        A tilt shears the third column.
        """
        along_row, along_column = np.reshape(self.orientation, (2, 3)).astype(np.float64)
        shift = along_column * np.tan(np.radians(self.tilt_degrees))
        affine = np.eye(4)
        affine[:3, 0] = along_row * self.pixel_spacing_mm[1]
        affine[:3, 1] = along_column * self.pixel_spacing_mm[0]
        affine[:3, 2] = (self.normal_lps + shift) * self.slice_spacing_mm
        middle_k = 0.5 * (min(self.steps) + max(self.steps))
        middle = np.array([0.5 * (self.columns - 1), 0.5 * (self.rows - 1), middle_k])
        affine[:3, 3] = np.asarray(self.centre_lps_mm) - affine[:3, :3] @ middle
        return affine

    @property
    def normal_lps(self) -> NDArray[np.float64]:
        """The slices' normal, of length 1, in LPS."""
        along_row, along_column = np.reshape(self.orientation, (2, 3)).astype(np.float64)
        return np.cross(along_row, along_column)

    @property
    def steps(self) -> tuple[float, ...]:
        """The position of each slice along the affine's third column: 0, 1, 2 or slice_steps."""
        return tuple(range(self.n_slices)) if self.slice_steps is None else self.slice_steps

    @property
    def positions_lps_mm(self) -> NDArray[np.float64]:
        """(slices, 3): the centre of each slice's first voxel, LPS mm."""
        affine = self.affine_lps
        positions: NDArray[np.float64] = affine[:3, 3] + np.outer(self.steps, affine[:3, 2])
        return positions


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSeries:
    """A series on disk, with the truth about it.

    paths and sop_uids are in the order of the slices (k), whatever the files' names say; where one
    file holds all slices they repeat it. hu (int16) and labels (uint8, classes of
    TotalSegmentator's task `total`) are (k, j, i). hu of an MR series are its stored values.
    """

    spec: SeriesSpec
    folder: Path
    series_uid: str
    paths: tuple[Path, ...]
    sop_uids: tuple[str, ...]
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]

    @property
    def affine_lps(self) -> NDArray[np.float64]:
        """(4, 4): index (i, j, k, 1) -> LPS mm; k is a step, see SeriesSpec.slice_steps."""
        return self.spec.affine_lps


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStudy:
    """A study on disk: localizer, thin_soft, thin_sharp and thick series, and a dose report."""

    folder: Path
    study_uid: str
    localizer: WrittenSeries
    thin_soft: WrittenSeries
    thin_sharp: WrittenSeries
    thick: WrittenSeries
    dose_report: Path


def write_series(
    folder: Path | str, body: Anatomy | int = 0, spec: SeriesSpec | None = None
) -> WrittenSeries:
    """Writes one series of a body into a folder and returns it with the truth.

    Args:
        folder: created when it is missing; one file an image is added.
        body: the anatomy, or the seed of a random one.
        spec: the series; None is a small axial scan of the trunk (96 x 96 x 40).
    """
    anatomy = Anatomy.random(body) if isinstance(body, int) else body
    spec = spec or SeriesSpec()
    hu, labels = sample_series(anatomy, spec)
    return _write(Path(folder), anatomy.seed, spec, hu, labels)


def write_study(
    folder: Path | str,
    seed: int = 0,
    *,
    size: int = 256,
    n_slices: int = 160,
    slice_spacing_mm: float = 3.0,
    thick_mm: float = 6.0,
) -> WrittenStudy:
    """Writes a whole CT study of a random body: five series in five subfolders.

    Args:
        folder: created when it is missing.
        seed: chooses the body, the noise and all the UIDs.
        size: rows and columns of the axial series.
        n_slices: slices of the thin series; they cover n_slices * slice_spacing_mm.
        slice_spacing_mm: spacing and thickness of the thin series.
        thick_mm: spacing and thickness of the thick series, which covers the same length.
    """
    folder = Path(folder)
    anatomy = Anatomy.random(seed)
    thin = _thin_series(size, n_slices, slice_spacing_mm)
    sharp = replace(
        thin,
        number=3,
        kernel="LUNG",
        scanner=SHARP,
        description=f"Trunk {slice_spacing_mm:.1f} LUNG",
    )
    thick = replace(
        thin,
        number=4,
        n_slices=max(1, round(n_slices * slice_spacing_mm / thick_mm)),
        slice_spacing_mm=thick_mm,
        slice_thickness_mm=thick_mm,
        description=f"Trunk {thick_mm:.1f} STANDARD",
    )
    return WrittenStudy(
        folder=folder,
        study_uid=str(phantom_uid("study", seed)),
        localizer=_write_localizer(folder / "1-localizer", anatomy, n_slices * slice_spacing_mm),
        thin_soft=write_series(folder / "2-thin-soft", anatomy, thin),
        thin_sharp=write_series(folder / "3-thin-sharp", anatomy, sharp),
        thick=write_series(folder / "4-thick", anatomy, thick),
        dose_report=write_dose_report(folder / "5-dose-report" / "IM0001.dcm", seed),
    )


def _thin_series(size: int, n_slices: int, slice_spacing_mm: float) -> SeriesSpec:
    return SeriesSpec(
        rows=size,
        columns=size,
        n_slices=n_slices,
        pixel_spacing_mm=(FIELD_OF_VIEW_MM / size, FIELD_OF_VIEW_MM / size),
        slice_spacing_mm=slice_spacing_mm,
        slice_thickness_mm=slice_spacing_mm,
        description=f"Trunk {slice_spacing_mm:.1f} STANDARD",
    )


def sample_series(
    anatomy: Anatomy, spec: SeriesSpec
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Returns a series' values (HU, or the stored values of MR) and labels, both (k, j, i).

    Thick slices are the mean of thin ones, their labels those of the middle.
    """
    hu, labels = _sample_at(anatomy, spec, 0.0)
    if spec.slice_thickness_mm >= THICK_FROM_MM:
        total = hu.astype(np.float32)
        offsets = [n for n in range(-(SUB_SLICES // 2), SUB_SLICES // 2 + 1) if n]
        for n in offsets:
            total += _sample_at(anatomy, spec, n * spec.slice_thickness_mm / SUB_SLICES)[0]
        hu = np.rint(total / (1 + len(offsets))).astype(np.int16)
    if spec.stained:
        stain = np.isin(labels, spec.stained)
        hu = np.where(stain, STAIN_HU, np.minimum(hu, UNSTAINED_HU)).astype(np.int16)
    return (hu + STORED_OFFSET if spec.modality == "MR" else hu), labels


def _sample_at(
    anatomy: Anatomy, spec: SeriesSpec, offset_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Returns HU and labels of the slices, moved by offset_mm along their normal."""
    affine = spec.affine_lps
    affine[:3, 3] += spec.normal_lps * offset_mm
    if all(step == int(step) for step in spec.steps):
        first = int(min(spec.steps))
        affine[:3, 3] += first * affine[:3, 2]
        places = [int(step) - first for step in spec.steps]
        shape = (max(places) + 1, spec.rows, spec.columns)
        hu, labels = anatomy.sample(affine, shape, scanner=spec.scanner)
        return hu[places], labels[places]
    hu, labels = np.empty(spec.shape_kji, np.int16), np.empty(spec.shape_kji, np.uint8)
    shape = (1, spec.rows, spec.columns)
    for k, position in enumerate(spec.positions_lps_mm):
        affine[:3, 3] = position + spec.normal_lps * offset_mm
        hu[k : k + 1], labels[k : k + 1] = anatomy.sample(
            affine, shape, scanner=spec.scanner, first_slice=k
        )
    return hu, labels


def _write_localizer(folder: Path, anatomy: Anatomy, length_mm: float) -> WrittenSeries:
    """Writes a coronal projection, the scout view on which a scan is planned."""
    pixel_mm = 2.0
    rows = round(length_mm / pixel_mm)
    depth = round(FIELD_OF_VIEW_MM / LOCALIZER_DEPTH_MM)
    spec = SeriesSpec(
        rows=rows,
        columns=round(FIELD_OF_VIEW_MM / pixel_mm),
        n_slices=1,
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        slice_spacing_mm=LOCALIZER_DEPTH_MM,
        slice_thickness_mm=LOCALIZER_DEPTH_MM,
        orientation=CORONAL,
        number=1,
        description="Localizer",
        image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"),
    )
    beam = replace(spec, n_slices=depth)
    hu, _labels = anatomy.sample(beam.affine_lps, beam.shape_kji, scanner=None)
    projection = np.rint(hu.mean(axis=0, keepdims=True)).astype(np.int16)
    return _write(folder, anatomy.seed, spec, projection, np.zeros(projection.shape, np.uint8))


def _write(
    folder: Path,
    seed: int,
    spec: SeriesSpec,
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
) -> WrittenSeries:
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = phantom_uid("series", seed, spec)
    common = series_modules(seed, series_uid, spec.number, spec.description, spec.modality)
    if spec.modality == "MR":
        mr_modules(common, spec.image_type, seed)
    else:
        tilt = decimal(spec.tilt_degrees)
        ct_modules(common, spec.image_type, seed, kernel=spec.kernel, tilt=tilt)
    common.Rows, common.Columns = spec.rows, spec.columns
    common.PixelSpacing = [decimal(value) for value in spec.pixel_spacing_mm]
    common.SliceThickness = decimal(spec.slice_thickness_mm)
    if spec.n_slices > 1 and spec.slice_steps is None:
        common.SpacingBetweenSlices = decimal(spec.slice_spacing_mm)
    common.ImageOrientationPatient = [decimal(value) for value in spec.orientation]
    stored = hu if spec.modality == "MR" else stored_values(hu)
    names = file_numbers(spec, seed)
    paths, sop_uids = [], []
    for k, position in enumerate(spec.positions_lps_mm):
        sop_uid = phantom_uid("image", series_uid, k)
        path = folder / f"IM{names[k]:04d}.dcm"
        _write_image(path, common, sop_uid, k, position, stored[k])
        paths.append(path)
        sop_uids.append(str(sop_uid))
    return WrittenSeries(
        spec=spec,
        folder=folder,
        series_uid=str(series_uid),
        paths=tuple(paths),
        sop_uids=tuple(sop_uids),
        hu=hu,
        labels=labels,
    )


def _write_image(
    path: Path,
    common: Dataset,
    sop_uid: UID,
    k: int,
    position: NDArray[np.float64],
    stored: NDArray[np.integer],
) -> None:
    ds = Dataset(common)
    ds.SOPInstanceUID = sop_uid
    ds.InstanceNumber = k + 1
    ds.ImagePositionPatient = [decimal(value) for value in position]
    ds.PixelData = stored.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = file_meta(ds.SOPClassUID, sop_uid)
    ds.save_as(path, enforce_file_format=True)


def stored_values(hu: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Returns the 12-bit values that a CT image stores for HU."""
    return (hu.astype(np.int32) + STORED_OFFSET).clip(0, 4095).astype(np.uint16)


def file_numbers(spec: SeriesSpec, seed: int) -> list[int]:
    """Returns the number in the name of each slice's file."""
    numbers = np.arange(1, spec.n_slices + 1)
    if spec.file_order == "descending":
        numbers = numbers[::-1]
    elif spec.file_order == "shuffled":
        numbers = np.random.default_rng(seed).permutation(numbers)
    return [int(n) for n in numbers]


def decimal(value: float) -> str:
    """Returns a DICOM decimal string (VR DS): as many digits as fit into 16 characters."""
    for digits in range(10, 0, -1):
        text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
        if len(text) <= 16:
            return "0" if text == "-0" else text
    raise ValueError(f"{value} does not fit into a DICOM decimal string")

"""Compares two segmentations: Dice, NSD, HD95, volumes, and what was added and removed."""

from collections.abc import Iterator
from dataclasses import dataclass

from totalmap.agreement.count_overlap import Overlap, count_overlap
from totalmap.agreement.grids import describe, on_one_grid
from totalmap.agreement.structure_masks import StructureMasks
from totalmap.dicom.patient_comparison import disagreements
from totalmap.errors import InputError

# NaN has no place in JSON, and a Dice of more digits says nothing.
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureAgreement:
    """How well a structure agrees, from A to B.

    Attributes:
        name: TotalSegmentator's name, or its name in the files.
        dice: Dice coefficient, 0..1: 0 if one mask is empty; None if both are.
        nsd: Normalized surface distance at the tolerance, 0..1: as Dice for empty masks; None
            also if surfaces were not compared.
        hd95_mm: 95th percentile of the Hausdorff distance in mm; None if a mask is empty, or if
            surfaces were not compared.
        volume_a_ml: Volume in A.
        volume_b_ml: Volume in B.
        added_ml: Volume that is in B and not in A.
        removed_ml: Volume that is in A and not in B.
    """

    name: str
    dice: float | None
    nsd: float | None
    hd95_mm: float | None
    volume_a_ml: float
    volume_b_ml: float
    added_ml: float
    removed_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpairedStructure:
    """A structure that only one side names, so that it can't be compared."""

    name: str
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well two segmentations agree.

    Attributes:
        form_a: SEG, RTSTRUCT or NIfTI.
        form_b: SEG, RTSTRUCT or NIfTI.
        grid: The grid in words.
        tolerance_mm: The tolerance of NSD; None if surfaces were not compared.
        surface_library: Name and version of the package that defines NSD and HD95; None if
            surfaces were not compared.
        structures: The structures that both sides name, the largest disagreement first.
        only_in_a: Structures that B does not name: it may not have looked for them.
        only_in_b: Structures that A does not name.
        notes: Sentences about how the sides were read and brought together.
    """

    form_a: str
    form_b: str
    grid: str
    tolerance_mm: float | None
    surface_library: str | None
    structures: tuple[StructureAgreement, ...]
    only_in_a: tuple[UnpairedStructure, ...]
    only_in_b: tuple[UnpairedStructure, ...]
    notes: tuple[str, ...]


def compare_masks(
    a: StructureMasks,
    b: StructureMasks,
    *,
    tolerance_mm: float | None,
    resample: bool = False,
) -> Agreement:
    """Returns the agreement of two segmentations in patient space.

    Args:
        a: A, such as the result.
        b: B, such as the corrected result or a reference.
        tolerance_mm: The tolerance of NSD; None: without NSD and HD95.
        resample: Whether B may be resampled onto another grid of A, by the nearest voxel.

    Raises:
        InputError: The DICOM objects belong to different patients or frames of reference.
        UnsupportedGeometry: The grids differ and `resample` is false.
    """
    _refuse_mismatch(a, b)
    a, b = on_one_grid(a, b, resample=resample)
    overlaps = count_overlap(a, b)
    paired = {name: overlaps[name] for name in a.places if name in b.places}
    surfaces, library = {}, None
    if tolerance_mm is not None:
        # Imported here: SciPy takes a while, and Dice needs none of it.
        from totalmap.agreement.surface_metrics import compare_surfaces, library_version

        present = {name: (found.a > 0, found.b > 0) for name, found in paired.items()}
        surfaces = compare_surfaces(a, b, present, tolerance_mm)
        library = library_version()
    voxel_ml = a.geometry.voxel_ml
    rows = []
    for name, overlap in paired.items():
        surface = surfaces.get(name)
        distances = (surface.nsd, surface.hd95_mm) if surface else (None, None)
        rows.append(_structure(name, overlap, distances, voxel_ml))
    return Agreement(
        form_a=a.form,
        form_b=b.form,
        grid=describe(a.geometry),
        tolerance_mm=tolerance_mm,
        surface_library=library,
        structures=tuple(sorted(rows, key=_disagreement)),
        only_in_a=tuple(_unpaired(a, b, {n: overlaps[n].a for n in a.places}, voxel_ml)),
        only_in_b=tuple(_unpaired(b, a, {n: overlaps[n].b for n in b.places}, voxel_ml)),
        notes=(*(f"A: {note}" for note in a.notes), *(f"B: {note}" for note in b.notes)),
    )


def _refuse_mismatch(a: StructureMasks, b: StructureMasks) -> None:
    """Refuses objects that can't belong together; the message holds no value."""
    if differing := disagreements((*a.patients, *b.patients)):
        raise InputError(f"A and B belong to different patients ({', '.join(differing)})")
    frames = a.frames_of_reference, b.frames_of_reference
    if all(frames) and frames[0] != frames[1]:
        raise InputError(
            "A and B have different frames of reference (Frame of Reference UID), so their "
            "positions can't be compared"
        )


def _structure(
    name: str,
    overlap: Overlap,
    distances: tuple[float | None, float | None],
    voxel_ml: float,
) -> StructureAgreement:
    nsd, hd95_mm = distances
    return StructureAgreement(
        name=name,
        dice=_rounded(overlap.dice),
        nsd=_rounded(nsd),
        hd95_mm=_rounded(hd95_mm),
        volume_a_ml=round(overlap.a * voxel_ml, _DIGITS),
        volume_b_ml=round(overlap.b * voxel_ml, _DIGITS),
        added_ml=round((overlap.b - overlap.both) * voxel_ml, _DIGITS),
        removed_ml=round((overlap.a - overlap.both) * voxel_ml, _DIGITS),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _disagreement(row: StructureAgreement) -> tuple[float, float, str]:
    """Sorts by Dice, then by the edited volume; what has no Dice comes last."""
    dice = 2.0 if row.dice is None else row.dice
    return dice, -(row.added_ml + row.removed_ml), row.name


def _unpaired(
    own: StructureMasks, other: StructureMasks, voxels: dict[str, int], voxel_ml: float
) -> Iterator[UnpairedStructure]:
    """Yields the structures with voxels that the other side does not name."""
    for name in own.places:
        if name not in other.places and voxels[name]:
            yield UnpairedStructure(name=name, volume_ml=round(voxels[name] * voxel_ml, _DIGITS))

"""Reads the masks of SEG objects: BINARY, FRACTIONAL or LABELMAP, ours or another tool's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from totalsegmentator.map_to_binary import class_map

from totalmap.agreement.seg_grid import grid_of_segs
from totalmap.agreement.structure_masks import MaskLayers, Place, StructureMasks, evenly_spaced
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.patient_comparison import read_patient
from totalmap.dicom.study import Study
from totalmap.existing_seg import (
    most_labels,
    read_frames,
    read_segs,
    referenced_series,
    source_of,
    structure_name,
)
from totalmap.seg_frames import ExistingSeg
from totalmap.settings import GapPolicy, GeometrySection

THRESHOLD = "FRACTIONAL: a voxel belongs to a structure if its value is above 0.5"
NO_IMAGES = "the grid was taken from the SEG, since --source names no images"
# Results may have been made with a policy that fills gaps.
POLICY = GeometrySection(gaps=GapPolicy.FILL)


def read_seg_masks(paths: Sequence[Path], source: Study | None) -> StructureMasks:
    """Returns the masks of SEG objects, on the grid of their images.

    Args:
        paths: SEG objects that were made from the same images.
        source: The study with these images. None: the grid lies between the first and the last
            slice with a structure.

    Raises:
        InputError: A SEG is damaged, the source lacks its images, or its frames lie on no grid.
    """
    segs = read_segs(paths)
    geometry = _grid(segs, source)
    numbers: dict[str, int] = {}
    masks = MaskLayers(geometry.shape, most_labels(segs))
    for frame in read_frames(segs, geometry, numbers):
        if isinstance(frame.labels, int):
            masks.add((frame.k, frame.rows, frame.columns), frame.pixels, frame.labels)
        else:
            masks.add_labels((frame.k, frame.rows, frame.columns), frame.pixels, frame.labels)
    layers, geometry, notes = evenly_spaced(tuple(masks.arrays), geometry)
    places = {name: Place(masks.layer_of(label), label) for name, label in numbers.items()}
    unused = 1 + most_labels(segs)  # a label without a voxel
    looked_for = {name: Place(0, unused) for name in _looked_for(segs)}
    return StructureMasks(
        form="SEG",
        layers=layers,
        places=looked_for | places,
        geometry=geometry,
        covers_all_slices=source is not None,
        patients=tuple(read_patient(seg.header) for seg in segs),
        frames_of_reference=frozenset(
            str(seg.header.FrameOfReferenceUID)
            for seg in segs
            if seg.header.get("FrameOfReferenceUID")
        ),
        notes=(*notes, *_notes(segs, source)),
    )


def _grid(segs: Sequence[ExistingSeg], source: Study | None) -> Geometry:
    if source is None:
        return grid_of_segs(segs)
    series = referenced_series(seg.header for seg in segs)
    return source_of(series, source, POLICY).audit.geometry


def _notes(segs: Sequence[ExistingSeg], source: Study | None) -> Iterator[str]:
    if any(seg.header.get("SegmentationType") == "FRACTIONAL" for seg in segs):
        yield THRESHOLD
    segments = [item for seg in segs for item in seg.header.SegmentSequence if item.SegmentNumber]
    structures = {structure_name(segment) for segment in segments}
    if len(structures) < len(segments):
        yield (
            f"{len(segments)} segments name {len(structures)} structures: those with the same "
            "name were joined"
        )
    if source is None:
        yield NO_IMAGES


def _looked_for(segs: Sequence[ExistingSeg]) -> Iterator[str]:
    """Yields the structures that a result of TotalMAP was made to find."""
    for origin in (seg.origin for seg in segs):
        if origin is not None:
            names = class_map.get(origin.task, {})
            yield from (names[label] for label in sorted(origin.labels) if label in names)

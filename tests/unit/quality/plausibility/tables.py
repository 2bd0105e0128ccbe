"""Makes tables of label statistics without voxels, with structures at given places."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tests.phantom.drawing import LABELS
from totalmap.dicom.geometry import Geometry
from totalmap.finding import Finding
from totalmap.measure.detect_field_of_view import field_of_view
from totalmap.measure.label_statistics import LabelStatistics
from totalmap.quality.plausibility.anatomy_table import vertebra_name
from totalmap.quality.plausibility.structure_statistics_lookup import Body, body_of
from totalmap.structures import Face, Structure

STEP_MM = 30.0
TOP_MM = 700.0
SIZE_MM, VOXEL_MM = 400.0, 10.0


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The statistics of a structure; x and y in mm from the spine, z in mm."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    ml: float = 100.0
    faces: tuple[Face, ...] = ()
    ends: Mapping[Face, tuple[float, float, float]] | None = None
    hu: tuple[float, float, float] = (40.0, 50.0, 60.0)
    second: float = 0.0
    holes: float = 0.0


def height(level: float) -> float:
    """Returns the height of a level: vertebrae are 30 mm apart, C1 (1) at 670 mm."""
    return TOP_MM - STEP_MM * level


def spine(first: int = 1, last: int = 24) -> dict[str, Placed]:
    """Returns a straight spine."""
    numbers = range(first, last + 1)
    return {vertebra_name(n): Placed(z=height(n), ml=40.0, hu=(100, 200, 300)) for n in numbers}


def table_of(placed: Mapping[str, Placed]) -> LabelStatistics:
    """Returns a table of structures in a field of view of 400 x 400 x 900 mm round the spine."""
    rows = 1 + max(LABELS.values())
    voxels, ml = np.zeros(rows, np.int64), np.zeros(rows)
    centre, ends = np.full((rows, 3), np.nan), np.full((rows, len(Face), 3), np.nan)
    hu = np.full((rows, 3), np.nan)
    faces: list[tuple[Face, ...]] = [()] * rows
    second, holes = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for name, one in placed.items():
        label = LABELS[name]
        voxels[label], ml[label] = 1000, one.ml
        centre[label] = ends[label] = one.x, one.y, one.z
        for face, end in (one.ends or {}).items():
            ends[label, tuple(Face).index(face)] = end
        hu[label], faces[label] = one.hu, one.faces
        second[label], holes[label] = 1000 * one.second, 1000 * one.holes
    size = round(SIZE_MM / VOXEL_MM)
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -SIZE_MM / 2, -SIZE_MM / 2, -200.0
    geometry = Geometry.regular(affine, (90, size, size))
    return LabelStatistics(
        voxels=voxels,
        volume_ml=ml,
        mean=hu[:, 1],
        sd=np.full(rows, 10.0),
        quartiles=hu,
        centre_lps=centre,
        ends_lps=ends,
        faces=tuple(faces),
        field=field_of_view(np.zeros(geometry.shape, np.int16), geometry),
        components=np.where(second > 0, 2, 1),
        largest=voxels - second,
        second=second,
        holes=holes,
        counted=voxels,
    )


def body(placed: Mapping[str, Placed], looked_for: Iterable[str] = LABELS) -> Body:
    """Returns a body of structures."""
    structures = [Structure(label=LABELS[name], name=name) for name in looked_for]
    return body_of(table_of(placed), structures)


def found(rule: Callable[[Body], Iterator[Finding]], placed: Mapping[str, Placed]) -> list[str]:
    """Returns what a rule finds, as code, structure and severity."""
    return [f"{one.code} {one.structure} {one.severity}" for one in rule(body(placed))]

"""Makes unusual scans with correct labels: turned, cropped, tilted, padded, thick ..."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from totalmap.dicom.geometry import Affine, Box, Geometry, cropped

from .labelled_scans import Scan, View, axial, phantom_scan, real_scans

PADDING_HU = -1024
PIVOT_MM = np.array([0.0, 10.0, 165.0])

Vary = Callable[[int, np.random.Generator, float], Scan]


def turned(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns a body that is turned by up to 12 degrees about every axis."""
    degrees = chance.uniform(-12.0, 12.0, 3)
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return phantom_scan(seed, _view(chance), spacing_mm=spacing_mm, moved=_about_pivot(matrix))


def scaled(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns a body that is smaller or larger, and slimmer or stouter."""
    matrix = np.diag(1.0 / chance.uniform(0.87, 1.15, 3))
    return phantom_scan(seed, _view(chance), spacing_mm=spacing_mm, moved=_about_pivot(matrix))


def cropped_height(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns 60 to 400 mm of a body."""
    scan = phantom_scan(seed, spacing_mm=spacing_mm)
    slices = min(round(chance.uniform(60.0, 400.0) / spacing_mm), len(scan.labels))
    start = int(chance.integers(0, len(scan.labels) - slices + 1))
    _, n_j, n_i = scan.labels.shape
    return part(scan, (slice(start, start + slices), slice(0, n_j), slice(0, n_i)))


def cropped_field(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns a body in a field of view of 150 to 300 mm at a random place."""
    scan = phantom_scan(seed, _view(chance), spacing_mm=spacing_mm)
    size = round(chance.uniform(150.0, 300.0) / spacing_mm)
    n_k, n_j, n_i = scan.labels.shape
    j, i = (int(chance.integers(0, n - size + 1)) for n in (n_j, n_i))
    return part(scan, (slice(0, n_k), slice(j, j + size), slice(i, i + size)))


def tilted(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns slices of a tilted gantry, up to 25 degrees."""
    view = _view(chance)
    geometry = axial(view, spacing_mm)
    affine = geometry.affine_lps.copy()
    shift = np.tan(np.radians(chance.uniform(-25.0, 25.0))) * spacing_mm
    affine[1, 2] = shift
    affine[1, 3] -= shift * (geometry.shape[0] - 1) / 2
    tilt = Geometry.regular(affine, geometry.shape)
    return phantom_scan(seed, view, spacing_mm=spacing_mm, geometry=tilt)


def padded(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns a box of a turned volume: voxels that the scanner did not see are padding."""
    scan = turned(seed, chance, spacing_mm)
    degrees = chance.uniform(5.0, 15.0, 3) * chance.choice([-1.0, 1.0], 3)
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    shape = np.array(scan.labels.shape)
    places = np.indices(scan.labels.shape, dtype=np.float32).reshape(3, -1).T
    middle = (shape - 1) / 2
    inside = (np.abs((places - middle) @ matrix) <= middle * 0.85).all(axis=1)
    return only(scan, inside.reshape(scan.labels.shape))


def circular(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns a round field of view that cuts the body at its sides."""
    scan = phantom_scan(seed, _view(chance), spacing_mm=spacing_mm)
    _, n_j, n_i = scan.labels.shape
    radius = chance.uniform(110.0, 200.0) / spacing_mm
    off = chance.uniform(-20.0, 20.0, 2) / spacing_mm
    j, i = np.ogrid[:n_j, :n_i]
    circle = (j - n_j / 2 - off[0]) ** 2 + (i - n_i / 2 - off[1]) ** 2 < radius**2
    return only(scan, np.broadcast_to(circle, scan.labels.shape))


def thick(seed: int, chance: np.random.Generator, spacing_mm: float) -> Scan:
    """Returns slices 5 to 8 mm apart, in any of the axial, sagittal and coronal orders."""
    scan = phantom_scan(seed, _view(chance), spacing_mm=spacing_mm)
    step = int(chance.integers(1, 3))
    affine = scan.geometry.affine_lps.copy()
    affine[:, 2] *= step
    order = list(chance.permutation(3))  # the new order of the axes
    affine[:, [2, 1, 0]] = affine[:, [2 - axis for axis in order]]
    labels = np.ascontiguousarray(scan.labels[::step].transpose(order))
    values = np.ascontiguousarray(scan.values[::step].transpose(order))
    geometry = Geometry.regular(affine, labels.shape)
    return replace(scan, labels=labels, values=values, geometry=geometry)


def real_turned(seed: int, chance: np.random.Generator, _spacing_mm: float) -> Scan:
    """Returns a real CT that is turned by up to 12 degrees, scaled and cropped, on its own grid."""
    scan = real_scans()[seed % len(real_scans())]
    turn = Rotation.from_euler("xyz", chance.uniform(-12.0, 12.0, 3), degrees=True).as_matrix()
    world = turn @ np.diag(1.0 / chance.uniform(0.9, 1.1, 3))
    affine = scan.geometry.affine_lps[:3, :3][:, ::-1]  # of k, j, i
    matrix = np.linalg.inv(affine) @ world @ affine
    middle = (np.array(scan.labels.shape) - 1) / 2
    offset = middle - matrix @ middle
    labels = ndimage.affine_transform(scan.labels, matrix, offset, order=0)
    values = ndimage.affine_transform(scan.values, matrix, offset, order=1, cval=PADDING_HU)
    size = round(chance.uniform(0.5, 1.0) * len(labels))
    start = int(chance.integers(0, len(labels) - size + 1))
    whole = replace(scan, labels=labels, values=values)
    _, n_j, n_i = labels.shape
    return part(whole, (slice(start, start + size), slice(0, n_j), slice(0, n_i)))


VARIANTS: tuple[Vary, ...] = (
    turned,
    scaled,
    cropped_height,
    cropped_field,
    tilted,
    padded,
    circular,
    thick,
    real_turned,
)


def valid_variant(vary: Vary, seed: int, spacing_mm: float = 4.0) -> Scan:
    """Returns a variant, the same for the same seed."""
    chance = np.random.default_rng((seed, VARIANTS.index(vary)))
    return vary(seed, chance, spacing_mm)


def part(scan: Scan, box: Box) -> Scan:
    """Returns the part of a scan in a box."""
    return replace(
        scan,
        labels=np.ascontiguousarray(scan.labels[box]),
        values=np.ascontiguousarray(scan.values[box]),
        geometry=cropped(scan.geometry, box),
    )


def only(scan: Scan, seen: np.ndarray) -> Scan:
    """Returns a scan with padding at voxels that the scanner did not see."""
    return replace(
        scan,
        labels=np.where(seen, scan.labels, 0).astype(np.uint8),
        values=np.where(seen, scan.values, PADDING_HU).astype(np.int16),
    )


def _view(chance: np.random.Generator) -> View:
    return (View.TRUNK, View.CHEST, View.ABDOMEN, View.ABDOMEN_AND_PELVIS)[chance.integers(4)]


def _about_pivot(matrix: np.ndarray) -> Affine:
    moved = np.eye(4)
    moved[:3, :3] = matrix
    moved[:3, 3] = PIVOT_MM - matrix @ PIVOT_MM
    return moved

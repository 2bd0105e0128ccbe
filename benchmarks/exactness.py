"""Counts the voxels whose labels differ from TotalSegmentator's, for many shapes and spacings.

    python -m benchmarks.exactness [--shapes 20] [--variant fast full] [--narrow] [--seed 1]
        [--thin] [--output FILE]

Both programs segment the same DICOM folders of a phantom on the CPU with the same networks, and
all voxels are compared. The labels of networks with random weights are noise, so a single bit of
the image or of a sum that differs would change some of them. The network for 3 mm has the real
width (--narrow: a quarter), the five networks for 1.5 mm have a quarter of it. The first shape once
had 6,860 differing voxels; the others are drawn at random, so that rounding meets the last planes
of each axis. TotalSegmentator is unmodified and runs in one process (tests/peer.py). The exit
status is 1 if a voxel differs.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import nibabel
import numpy as np

from benchmarks.speed.label_agreement import Agreement, compare, load_labels
from benchmarks.speed.network_sizes import NARROW_FEATURES, PATCH_SIZES, REAL_FEATURES, WIDEST
from benchmarks.write_report import write_report
from tests.networks import build_models
from tests.peer import Peer
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap.dicom.geometry import to_las
from totalmap.engine.predict import Networks
from totalmap.engine.segment import segment
from totalmap.engine.tasks import load_task
from totalmap.run_log import SilentObserver
from totalmap.settings import Variant

WORK = Path(__file__).parents[1] / "build"
OPTIONS = {Variant.FULL: (), Variant.FAST: ("--fast",)}
# Larger volumes would take longer and round no differently.
LARGEST_MM = {Variant.FAST: 320.0, Variant.FULL: 210.0}


@dataclass(frozen=True, slots=True)
class Shape:
    """The grid of a CT.

    Attributes:
        voxels: Columns, rows and slices.
        spacing_mm: Between columns, rows and slices.
    """

    voxels: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def __str__(self) -> str:
        voxels = " x ".join(map(str, self.voxels))
        return f"{voxels} at {' x '.join(f'{step:g}' for step in self.spacing_mm)} mm"


# The last of its columns differed.
KNOWN = Shape((512, 512, 224), (0.72, 0.60, 1.5))
THIN = (512, 48, 40)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", type=int, default=20)
    parser.add_argument(
        "--variant", nargs="+", type=Variant, choices=list(OPTIONS), default=list(OPTIONS)
    )
    parser.add_argument("--narrow", action="store_true", help="a quarter of the width for 3 mm too")
    parser.add_argument(
        "--thin", action="store_true", help=f"not more than {THIN[1]} rows and {THIN[2]} slices"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the shapes that are drawn")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args(arguments)
    lines, differing = [], 0
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exactness-", dir=WORK) as name:
        for variant in given.variant:
            is_narrow = given.narrow or variant is Variant.FULL
            lines.append(_heading(variant, is_narrow=is_narrow))
            shapes = drawn_shapes(given.shapes, variant, given.seed)
            if given.thin:
                shapes = [_thin(shape) for shape in shapes]
            for shape, found in _compared(Path(name), variant, shapes, is_narrow=is_narrow):
                differing += found.differing
                lines.append(f"{shape!s:48}{found.differing:12,} of {found.voxels:,}")
                print(lines[-1], flush=True)
    table = "\n".join(lines)
    print(f"\n{table}")
    if given.output:
        write_report(given.output, "Exactness", "benchmarks.exactness", __doc__ or "", table)
    return 1 if differing else 0


def drawn_shapes(number: int, variant: Variant, seed: int) -> list[Shape]:
    """Returns shapes: at 3 mm the known one first, then random ones, always the same for a seed.

    Args:
        number: How many.
        variant: Of the task; the volumes for 1.5 mm are smaller.
        seed: Of the random numbers.
    """
    random = Random(f"{variant} {seed}")  # noqa: S311  no secret
    known = [KNOWN] if variant is Variant.FAST else []
    return [*known, *(_drawn(random, LARGEST_MM[variant]) for _ in range(number))][:number]


def _drawn(random: Random, largest_mm: float) -> Shape:
    column_mm, row_mm = (round(random.uniform(0.5, 1.6), 3) for _ in range(2))
    slice_mm = round(random.choice([random.uniform(0.6, 3.0), 1.0, 1.25, 1.5, 2.5, 5.0]), 3)
    spacing_mm = (column_mm, row_mm, slice_mm)
    most = (512, 512, 320)
    voxels = tuple(
        random.randint(24, min(limit, int(largest_mm / step)))
        for limit, step in zip(most, spacing_mm, strict=True)
    )
    return Shape((voxels[0], voxels[1], voxels[2]), spacing_mm)


def _thin(shape: Shape) -> Shape:
    columns, rows, slices = (
        min(voxels, most) for voxels, most in zip(shape.voxels, THIN, strict=True)
    )
    return Shape((columns, rows, slices), shape.spacing_mm)


def _heading(variant: Variant, *, is_narrow: bool) -> str:
    task = load_task("total", variant)
    width = "a quarter of the real width" if is_narrow else "the real width"
    return f"{variant}, {task.spacing_mm[0]:g} mm; networks: {len(task.models)}, {width}"


def _compared(
    folder: Path, variant: Variant, shapes: Sequence[Shape], *, is_narrow: bool
) -> Iterator[tuple[Shape, Agreement]]:
    features = NARROW_FEATURES if is_narrow else REAL_FEATURES
    models = build_models(
        folder / f"models-{variant}",
        variant,
        patch_size=PATCH_SIZES[variant],
        base_features=features,
        max_features=WIDEST * features,
    )
    networks = Networks(load_task("total", variant), models)
    beside = folder / f"peer-{variant}"
    beside.mkdir()
    with Peer(beside) as peer:
        for n, shape in enumerate(shapes):
            work = folder / f"{variant}-{n}"
            yield shape, _compare(peer, networks, models, work, shape, n)


def _compare(
    peer: Peer, networks: Networks, models: Path, folder: Path, shape: Shape, seed: int
) -> Agreement:
    """Segments a phantom with both programs.

    Raises:
        SystemExit: The labels lie elsewhere in space.
    """
    columns, rows, slices = shape.voxels
    column_mm, row_mm, slice_mm = shape.spacing_mm
    spec = SeriesSpec(
        rows=rows,
        columns=columns,
        n_slices=slices,
        pixel_spacing_mm=(row_mm, column_mm),
        slice_spacing_mm=slice_mm,
        slice_thickness_mm=slice_mm,
    )
    write_series(folder / "in", seed, spec)
    theirs = folder / "theirs.nii.gz"
    peer.totalsegmentator(folder / "in", theirs, models, *OPTIONS[networks.task.variant])
    volume = volume_of(folder / "in")
    found = segment(volume, (networks,), SilentObserver().progress).labels
    ours, affine_ras = to_las(found, volume.geometry)
    if not np.allclose(affine_ras, nibabel.load(theirs).affine, atol=1e-3):
        raise SystemExit(f"{shape}: the labels of both programs lie at different places")
    return compare(ours.astype(np.uint8), load_labels(theirs))


if __name__ == "__main__":
    sys.exit(main())

"""Counts the tiles of each 1.5 mm network in the whole volume and in the box of its structures.

    python -m benchmarks.box_tiles [--fields-of-view 400 500] [--slices 112] [--size 256] [--seed 0]
        [--output FILE]

A phantom of the trunk is drawn at each field of view, with slices every 3 mm. On the grid of the
networks it has the size of a CT of 512 x 512 x 224 voxels with slices every 1.5 mm. Random weights
find no structures, so the demo network finds those that it has learnt, and the boxes are made of
them (`demo`) or of all true labels of the phantom (`true`), with the margin of `--roi_subset`, 20
mm. A body has more structures than the phantom, so that its boxes may be larger. The networks at
1.5 mm do not run: their tiles are counted as the engine lays them. Their patch of 128 x 128 x 128
voxels is a guess. A network without a structure in the labels does not run. The rough network at 6
mm needs one tile more; it is not counted.
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.network_sizes import PATCH_SIZES
from benchmarks.write_report import write_report
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap import log
from totalmap.dicom.geometry import Box, Geometry, cropped
from totalmap.engine.inference_resampling import inference_grid
from totalmap.engine.predict import Networks
from totalmap.engine.segment import find, whole
from totalmap.engine.segment_in_boxes import box_of, label_extents
from totalmap.engine.tasks import Task, load_task
from totalmap.engine.tile_layout import tiles
from totalmap.settings import Search, Variant

DEMO_MODELS = Path(__file__).parent.parent / "models" / "demo"
TASK = load_task("total", Variant.FULL, search=Search.BOXES)
ROUGH = load_task("total", Variant.FAST)
SLICE_MM = 3.0


def main() -> None:
    """Counts, prints the tables, and writes them to a file if one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fields-of-view", type=int, nargs="+", default=[400, 500], metavar="MM")
    parser.add_argument("--slices", type=int, default=112)
    parser.add_argument("--size", type=int, default=256, help="rows and columns")
    parser.add_argument("--seed", type=int, default=0, help="chooses the body")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    given = parser.parse_args()
    log.configure(level=logging.WARNING)
    tables = [
        table_of(_spec(field_mm, given.slices, given.size), field_mm, given.seed)
        for field_mm in given.fields_of_view
    ]
    report = "\n\n".join(tables)
    print(report)
    if given.output:
        title = "Tiles in boxes"
        write_report(given.output, title, "benchmarks.box_tiles", __doc__ or "", report)


def table_of(spec: SeriesSpec, field_mm: int, seed: int) -> str:
    """Returns the tiles of each network of task total at 1.5 mm, whole and in boxes.

    Args:
        spec: The phantom's series.
        field_mm: Its field of view, for the heading.
        seed: Chooses the body.
    """
    with tempfile.TemporaryDirectory() as name:
        written = write_series(Path(name), seed, spec)
        volume = volume_of(written.folder)
    networks = Networks(ROUGH, DEMO_MODELS)
    found, _ = find(volume, networks, None, lambda _done, _total: None)
    everywhere = tile_count(volume.geometry, whole(volume.geometry))
    rows = [
        (
            part.models[0].dataset.partition("_TotalSegmentator_")[2],
            everywhere,
            *(_tiles_in_box(part, labels, volume.geometry) for labels in (found, written.labels)),
        )
        for part in TASK.boxes
    ]
    sums = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    shares = "".join(f"{count / sums[0]:8.2f}" for count in sums)
    voxels = " x ".join(map(str, (spec.columns, spec.rows, spec.n_slices)))
    return "\n".join(
        [
            f"field of view {field_mm} mm, {voxels} voxels",
            f"{'network':34}   whole    demo    true",
            *(f"{row[0]:34}" + "".join(f"{count:8}" for count in row[1:]) for row in rows),
            f"{'all':34}" + "".join(f"{count:8}" for count in sums),
            f"{'share of whole':34}{shares}",
        ]
    )


def tile_count(geometry: Geometry, box: Box) -> int:
    """Returns the number of tiles of a network at 1.5 mm in a box of a volume."""
    shape, _ = inference_grid(cropped(geometry, box), TASK.spacing_mm)
    patch = PATCH_SIZES[Variant.FULL]
    padded: Sequence[int] = [max(pair) for pair in zip(shape[::-1], patch, strict=True)]
    return len(tiles(tuple(padded), patch, TASK.step_size))


def _tiles_in_box(part: Task, labels: NDArray[np.uint8], geometry: Geometry) -> int:
    extents = label_extents(labels)
    box = box_of(part, dict.fromkeys(part.chain[:-1], extents), geometry)
    return tile_count(geometry, box) if box else 0


def _spec(field_mm: int, slices: int, size: int) -> SeriesSpec:
    return SeriesSpec(
        rows=size,
        columns=size,
        n_slices=slices,
        pixel_spacing_mm=(field_mm / size,) * 2,
        slice_spacing_mm=SLICE_MM,
        slice_thickness_mm=SLICE_MM,
    )


if __name__ == "__main__":
    main()

"""One engine segments many studies: its memory does not grow, and its labels stay the same."""

import resource
from pathlib import Path

import numpy as np
import pytest

from tests.networks import build_models
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap.dicom.volume import Volume
from totalmap.engine.engine import Engine
from totalmap.settings import SegmentationSection, Variant

SIZES = ((14, 12), (24, 20), (20, 8))
STUDIES = 50
SETTLED = 10
GROWTH_LIMIT_BYTES = 32e6


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> list[Volume]:
    folder = tmp_path_factory.mktemp("studies")
    return [
        volume_of(
            write_series(
                folder / str(n),
                n,
                SeriesSpec(rows=size, columns=size, n_slices=slices, pixel_spacing_mm=(4.5, 4.5)),
            ).folder
        )
        for n, (size, slices) in enumerate(SIZES)
    ]


@pytest.fixture(scope="module")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow random 3 mm network with small tiles, so that many studies take seconds."""
    folder = tmp_path_factory.mktemp("small-models")
    return build_models(folder, Variant.FAST, patch_size=(32, 32, 32))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_a_warm_engine_takes_no_more_memory_for_fifty_studies_than_for_ten(
    volumes: list[Volume], small_models: Path
) -> None:
    engine = Engine(SegmentationSection(variant=Variant.FAST), small_models)
    first = [engine.segment(volume, lambda *_: None).labels for volume in volumes]
    settled = 0
    for n in range(len(volumes), STUDIES):
        found = engine.segment(volumes[n % len(volumes)], lambda *_: None).labels
        np.testing.assert_array_equal(found, first[n % len(volumes)])
        if n == SETTLED:
            settled = resident_bytes()
    assert resident_bytes() - settled < GROWTH_LIMIT_BYTES


def test_progress_of_the_engine_reports_the_tiles_done_and_all_tiles(
    volumes: list[Volume], small_models: Path
) -> None:
    told: list[tuple[int, int]] = []
    engine = Engine(SegmentationSection(variant=Variant.FAST), small_models)
    engine.segment(volumes[1], lambda done, total: told.append((done, total)))
    tiles = told[0][1]
    assert tiles > 1
    assert told == [(n, tiles) for n in range(1, tiles + 1)]


def test_an_interrupted_run_does_not_change_later_labels_of_the_engine(
    volumes: list[Volume], small_models: Path
) -> None:
    engine = Engine(SegmentationSection(variant=Variant.FAST), small_models)
    expected = engine.segment(volumes[1], lambda *_: None).labels

    def break_off(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.segment(volumes[1], break_off)
    np.testing.assert_array_equal(engine.segment(volumes[1], lambda *_: None).labels, expected)

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from app.prepare_view import main
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_of
from totalmap.errors import ExitStatus
from totalmap.settings import Settings
from totalmap.viewer_files import DESCRIPTION, FAILED, FINISHED, LABELS, STRUCTURES
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.viewer_data import blocks


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    return write_series(tmp_path_factory.mktemp("series"), 3, SeriesSpec(n_slices=40))


@pytest.fixture(scope="module")
def seg(series: WrittenSeries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seg")
    with open_release(folder) as release:
        (result,) = write_seg(segmentation_of(series), Settings(), release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def view(series: WrittenSeries, seg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    assert main([str(series.folder), str(folder), str(seg)]) == ExitStatus.SUCCEEDED
    return folder


def test_the_viewer_data_hold_the_voxels_of_the_source_unchanged(
    view: Path, series: WrittenSeries
) -> None:
    description = json.loads((view / DESCRIPTION).read_text())
    voxels = np.zeros(series.hu.shape, np.int16)
    for block in description["blocks"]:
        part = np.frombuffer(gzip.decompress((view / block["name"]).read_bytes()), "<i2")
        first, count = block["first"], block["count"]
        voxels[first : first + count] = part.reshape(count, *series.hu.shape[1:])
    assert description["voxel_type"] == "int16"
    assert np.array_equal(voxels, series.hu)
    assert json.loads((view / FINISHED).read_text()) == {"undecodable_slices": []}


def test_the_labels_and_colours_of_the_viewer_data_are_those_of_the_seg(
    view: Path, series: WrittenSeries
) -> None:
    found = json.loads((view / STRUCTURES).read_text())
    labels = np.frombuffer(gzip.decompress((view / LABELS).read_bytes()), found["label_type"])
    labels = labels.reshape(series.labels.shape)
    numbers = {each.name: each.label for each in segmentation_of(series).structures}
    assert found["structures"]
    for structure in found["structures"]:
        name = structure["name"]
        assert np.array_equal(labels == structure["label"], series.labels == numbers[name])
        assert tuple(structure["rgb"]) == structure_code(name).rgb


def test_each_structure_in_the_viewer_data_has_a_place_in_its_largest_cross_section(
    view: Path, series: WrittenSeries
) -> None:
    numbers = {each.name: each.label for each in segmentation_of(series).structures}
    for structure in json.loads((view / STRUCTURES).read_text())["structures"]:
        mask = series.labels == numbers[structure["name"]]
        k, j, i = structure["place"]
        assert mask[k, j, i]
        assert mask[k].sum() == mask.sum(axis=(1, 2)).max()


@given(st.integers(1, 700))
def test_viewer_data_blocks_cover_each_slice_once_and_begin_with_the_middle(n_slices: int) -> None:
    found = blocks(n_slices)
    slices = [k for block in found for k in range(block.first, block.first + block.count)]
    assert sorted(slices) == list(range(n_slices))
    assert n_slices // 2 in range(found[0].first, found[0].first + found[0].count)
    assert len({block.name for block in found}) == len(found)


def test_viewer_data_name_a_slice_that_cannot_be_decoded(
    series: WrittenSeries, seg: Path, tmp_path: Path
) -> None:
    source, folder = tmp_path / "source", tmp_path / "view"
    source.mkdir()
    folder.mkdir()
    for path in series.paths:
        shutil.copy(path, source)
    damaged = pydicom.dcmread(series.paths[7])
    damaged.file_meta.TransferSyntaxUID = RLELossless
    damaged.PixelData = encapsulate([bytes(100)])
    damaged["PixelData"].is_undefined_length = True
    damaged.save_as(source / series.paths[7].name)
    assert main([str(source), str(folder), str(seg)]) == ExitStatus.SUCCEEDED
    assert json.loads((folder / FINISHED).read_text()) == {"undecodable_slices": [7]}


def test_a_viewer_preparation_that_fails_says_why_and_has_an_exit_status(
    series: WrittenSeries, tmp_path: Path
) -> None:
    folder = tmp_path / "view"
    folder.mkdir()
    damaged = tmp_path / "seg.dcm"
    damaged.write_bytes(b"nothing")
    status = main([str(series.folder), str(folder), str(damaged)])
    assert status != ExitStatus.SUCCEEDED
    reason = json.loads((folder / FAILED).read_text())["reason"]
    assert reason.startswith("SEG file 1 of 1")
    assert str(tmp_path) not in reason

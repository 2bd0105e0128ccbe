"""Tests the reading of deflated files: those that expand to far more, and valid ones."""

import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.fuzz.file_mutations import deflate_bomb
from tests.phantom.study import SeriesSpec, write_series
from tests.transfer_syntaxes import transcode
from totalmap.dicom.bounded_reader import BrokenFile
from totalmap.dicom.file_reader import HEAD_BYTES, read_all
from totalmap.dicom.instance import read_instance

ONE_SLICE = SeriesSpec(rows=512, columns=512, n_slices=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (path,) = write_series(tmp_path, 1, ONE_SLICE).paths
    return path


def test_a_deflate_bomb_is_refused_with_less_than_8_mib_of_memory(path: Path) -> None:
    deflate_bomb(path.parent, Random(1))  # noqa: S311  the only file
    tracemalloc.start()
    try:
        with pytest.raises(BrokenFile, match="unpacks to more"):
            read_instance(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("padding", [1, HEAD_BYTES, 3_000_000])
def test_a_highly_compressed_deflated_dicom_file_is_read_completely(
    path: Path, padding: int
) -> None:
    """Repeated bytes are compressed a thousandfold, and decompressed in many pieces."""
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00091001, "OB", bytes(2 * padding))
    dataset.save_as(path)
    transcode(path, DeflatedExplicitVRLittleEndian)
    with path.open("rb") as file:
        found, _ = read_all(file, pixel_bytes=512 * 512 * 2)
    assert len(found[0x00091001].value) == 2 * padding
    np.testing.assert_array_equal(found.pixel_array, dataset.pixel_array)

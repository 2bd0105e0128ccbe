import numpy as np
import pytest
from pydicom.pixels.decoders.rle import _rle_decode_frame

from totalmap.writers.dicom.run_lengths import frame_planes, run_length_frame

ROWS, COLUMNS = 9, 301


def planes_with_runs_and_noise() -> np.ndarray:
    planes = np.random.default_rng(0).integers(0, 255, (3, ROWS, COLUMNS)).astype(np.uint8)
    planes[:, :, 20:250] = 3
    planes[1] = 0
    return planes


def test_pydicom_decodes_a_run_length_frame_of_three_planes() -> None:
    planes = planes_with_runs_and_noise()
    decoded = _rle_decode_frame(run_length_frame(planes), ROWS, COLUMNS, 3, 8)
    found = np.frombuffer(decoded, dtype=np.uint8).reshape(planes.shape)
    np.testing.assert_array_equal(found, planes)


def test_planes_of_a_run_length_frame_are_those_that_were_encoded() -> None:
    planes = planes_with_runs_and_noise()
    np.testing.assert_array_equal(frame_planes(run_length_frame(planes), ROWS, COLUMNS), planes)


def test_segments_of_a_run_length_frame_have_even_lengths() -> None:
    frame = run_length_frame(planes_with_runs_and_noise())
    count, *offsets = np.frombuffer(frame[:64], dtype="<u4")[:4].tolist()
    assert count == 3
    assert [offset % 2 for offset in (*offsets, len(frame))] == [0, 0, 0, 0]


def test_a_frame_without_a_run_length_header_is_refused() -> None:
    with pytest.raises(ValueError, match="no RLE header"):
        frame_planes(bytes(10), ROWS, COLUMNS)


def test_a_run_length_frame_with_too_few_pixels_is_refused() -> None:
    frame = run_length_frame(planes_with_runs_and_noise())
    with pytest.raises(ValueError, match="buffer"):
        frame_planes(frame, ROWS + 5, COLUMNS)

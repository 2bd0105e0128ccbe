"""Tests that contours survive a change to an explicit VR by other programs."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.readers import read_by_filling, read_by_plastimatch
from tests.segmentations import segmentation_of
from tests.unit.writers.rtstruct.test_writer import written_rtstruct

LIVER = 5
EXPLICIT_IN_GDCM = gdcm.TransferSyntax.ExplicitVRLittleEndian


def sponge(rows: int, columns: int) -> NDArray[np.uint8]:
    """Returns a slice (j, i) of one piece with many holes, as fat has them."""
    labels = np.full((rows, columns), LIVER, dtype=np.uint8)
    labels[[0, -1]] = labels[:, [0, -1]] = 0
    corners = [labels[1 + j :: 4, 1 + i :: 4] for j in (1, 2) for i in (1, 2)]
    for number, part in enumerate(corners):
        part[:] *= (
            np.random.default_rng(number).choice([0, 1], part.shape, p=[0.8, 0.2]).astype("u1")
        )
    return labels


@pytest.fixture(scope="module")
def sponge_path(sponge_series: WrittenSeries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_rtstruct(segmentation_of(sponge_series), tmp_path_factory.mktemp("rtstruct"))


@pytest.fixture(scope="module")
def sponge_series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    """Three slices; the contours in the middle one have more than 344 kB."""
    spec = SeriesSpec(
        rows=230,
        columns=229,
        n_slices=3,
        slice_spacing_mm=6.0,
        pixel_spacing_mm=(1.7, 1.7),
        scanner=None,
    )
    written = write_series(tmp_path_factory.mktemp("sponge"), 1, spec)
    labels = np.zeros_like(written.labels)
    labels[1] = sponge(*labels.shape[1:])
    labels[[0, 2], 100:110, 100:110] = LIVER
    return replace(written, labels=labels)


def as_it_is(path: Path, copy: Path) -> None:
    shutil.copy(path, copy)


def by_dcmtk(path: Path, copy: Path) -> None:
    if shutil.which("dcmconv") is None:
        pytest.skip("dcmconv is not installed (Debian: dcmtk)")
    subprocess.run(["dcmconv", "+te", path, copy], check=True)


def by_gdcm(path: Path, copy: Path) -> None:
    reader = gdcm.Reader()
    reader.SetFileName(str(path))
    assert reader.Read()
    file = reader.GetFile()
    syntax = gdcm.DataElement(gdcm.Tag(0x0002, 0x0010))
    syntax.SetVR(gdcm.VR(gdcm.VR.UI))
    syntax.SetByteStringValue(f"{ExplicitVRLittleEndian}\0".encode())
    file.GetHeader().Replace(syntax)
    file.GetHeader().SetDataSetTransferSyntax(gdcm.TransferSyntax(EXPLICIT_IN_GDCM))
    explicit = gdcm.FileExplicitFilter()
    explicit.SetFile(file)
    assert explicit.Change()
    writer = gdcm.Writer()
    writer.SetFileName(str(copy))
    writer.SetFile(file)
    writer.CheckFileMetaInformationOff()
    assert writer.Write()


def by_pydicom(path: Path, copy: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(copy, implicit_vr=False, little_endian=True)


@pytest.mark.parametrize("convert", [as_it_is, by_dcmtk, by_gdcm, by_pydicom])
def test_no_contour_of_a_label_with_many_holes_is_lost_by_an_explicit_vr(
    sponge_series: WrittenSeries,
    sponge_path: Path,
    tmp_path: Path,
    convert: Callable[[Path, Path], None],
) -> None:
    """Archives store with an explicit VR, which a value of more than 64 kB does not fit."""
    copy = tmp_path / "copy.dcm"
    convert(sponge_path, copy)
    written = pydicom.dcmread(copy)
    assert written.file_meta.TransferSyntaxUID.is_implicit_VR == (convert is as_it_is)
    (roi,) = written.ROIContourSequence
    lengths = [len("\\".join(map(str, c["ContourData"].value))) for c in roi.ContourSequence]
    assert {contour["ContourData"].VR for contour in roi.ContourSequence} == {"DS"}
    assert sum(lengths) > 344_000
    assert max(lengths) < 65_534
    np.testing.assert_array_equal(read_by_filling(copy, sponge_series), sponge_series.labels)
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed (Debian: plastimatch)")
    masks = dict(read_by_plastimatch(copy, tmp_path, sponge_series.folder))
    expected = sponge_series.labels == LIVER
    assert 2 * (masks[LIVER] & expected).sum() / (masks[LIVER].sum() + expected.sum()) >= 0.999

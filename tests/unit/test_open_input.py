import gzip
import os
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.phantom.study import WrittenSeries
from totalmap.errors import InputError
from totalmap.open_input import InputKind, open_input


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def opened(path: Path) -> InputKind:
    with open_input(path) as source:
        assert source.path == path
        return source.kind


def test_the_kind_of_an_input_is_recognised_by_its_content(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    (tmp_path / "image").write_bytes(image.to_bytes())
    (tmp_path / "packed image").write_bytes(gzip.compress(image.to_bytes()))
    newer = nibabel.Nifti2Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    (tmp_path / "newer").write_bytes(newer.to_bytes())
    (tmp_path / "text").write_text("something else")
    (tmp_path / "packed text").write_bytes(gzip.compress(b"something else"))
    (tmp_path / "broken.nii.gz").write_text("something else")
    assert opened(phantom_series.folder) is InputKind.FOLDER
    assert opened(phantom_series.paths[0]) is InputKind.DICOM_FILE
    for name in ("image", "packed image", "newer", "broken.nii.gz"):
        assert opened(tmp_path / name) is InputKind.NIFTI
    for name in ("text", "packed text"):
        assert opened(tmp_path / name) is InputKind.DICOM_FILE


def test_an_input_archive_is_unpacked_only_while_it_is_in_use(
    phantom_series: WrittenSeries, tmp_path: Path, place: Path
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", phantom_series.folder))
    with open_input(archive) as source:
        assert source.kind is InputKind.ZIP
        assert source.path.is_relative_to(place)
        (series,) = source.studies(repair_missing_uids=True).series
        assert len(series.instances) == len(phantom_series.paths)
    assert not list(place.iterdir())


def test_a_refused_input_archive_leaves_no_temporary_files(tmp_path: Path, place: Path) -> None:
    (tmp_path / "study.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(InputError), open_input(tmp_path / "study.zip"):
        pass
    assert not list(place.iterdir())


def test_the_headers_of_an_input_are_read_once(phantom_copy: Path) -> None:
    with open_input(phantom_copy) as source:
        first = source.studies(repair_missing_uids=True)
        shutil.rmtree(phantom_copy)
        assert source.studies(repair_missing_uids=True) is first


def test_a_pipe_or_a_missing_input_is_refused_without_showing_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "DOE^JOHN")
    with pytest.raises(InputError) as neither, open_input(tmp_path / "DOE^JOHN"):
        pass
    assert str(neither.value) == "the input is neither a folder nor a file"
    with pytest.raises(InputError) as missing, open_input(tmp_path / "DOE^JANE"):
        pass
    assert str(missing.value).startswith("the input does not exist: name a folder")

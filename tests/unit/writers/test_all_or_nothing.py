import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.disk import small_disk
from totalmap.errors import ConfigError, OutputError, ResourceError
from totalmap.writers.all_or_nothing import open_release


def one_byte(file: BinaryIO) -> None:
    file.write(b"1")


def two_megabytes(file: BinaryIO) -> None:
    file.write(bytes(2**21))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_no_result_is_visible_before_all_are_published(tmp_path: Path) -> None:
    with open_release(tmp_path) as release:
        release.write("a.dcm", one_byte)
        release.write("source/b.dcm", one_byte)
        assert not list(tmp_path.rglob("*.dcm"))
        release.publish({})
        assert names(tmp_path) == {"results/a.dcm", "results/source/b.dcm", "status.json"}


def test_metadata_of_a_run_is_released_with_the_status(tmp_path: Path) -> None:
    with open_release(tmp_path) as release:
        release.write("a.dcm", one_byte)
        release.publish({"outcome": "succeeded"}, {"exit_status": 0})
        assert names(tmp_path) == {"results/a.dcm", "status.json", "metadata.json"}
    assert json.loads((tmp_path / "metadata.json").read_text()) == {"exit_status": 0}
    with open_release(tmp_path) as release:
        assert names(tmp_path) == set()
        release.fail({"outcome": "failed"}, {"exit_status": 65})
    assert names(tmp_path) == {"status.json", "metadata.json"}
    assert json.loads((tmp_path / "metadata.json").read_text()) == {"exit_status": 65}


def test_the_status_of_a_run_stays_hidden_if_its_metadata_cannot_be_released(
    tmp_path: Path,
) -> None:
    with open_release(tmp_path) as release:
        (tmp_path / "metadata.json").mkdir()
        with pytest.raises(ConfigError, match="can't be written: Is a directory"):
            release.fail({"outcome": "failed"}, {"exit_status": 65})
    assert names(tmp_path) == set()


def test_unpublished_results_are_removed(tmp_path: Path) -> None:
    with open_release(tmp_path) as release:
        release.write("a.dcm", one_byte)
    assert names(tmp_path) == set()


def test_a_failing_result_writer_leaves_no_file(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OutputError("stop")

    with pytest.raises(OutputError), open_release(tmp_path) as release:
        release.write("a.dcm", fail)
    assert names(tmp_path) == set()


def test_publishing_a_run_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError), open_release(tmp_path) as release:
        release.publish({})


def test_results_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    for name in ("first.dcm", "second.dcm"):
        with open_release(tmp_path) as release:
            release.write(name, one_byte)
            release.publish({"name": name})
    assert names(tmp_path) == {"results/second.dcm", "status.json"}
    assert json.loads((tmp_path / "status.json").read_text()) == {"name": "second.dcm"}


def test_staged_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".staging").mkdir()
    (tmp_path / ".staging" / "a.dcm.part").write_bytes(b"half")
    with open_release(tmp_path) as release:
        release.write("b.dcm", one_byte)
        release.publish({})
    assert names(tmp_path) == {"results/b.dcm", "status.json"}


def test_a_results_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not of an earlier run"), open_release(tmp_path):
        pass
    assert names(tmp_path) == {"results/thesis.txt"}


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be written"), open_release(tmp_path / "file"):
        pass


@pytest.mark.parametrize("left", [["status.json"], ["status.json", "metadata.json"]])
def test_files_of_a_run_killed_between_its_last_renames_are_removed(
    tmp_path: Path, left: list[str]
) -> None:
    with open_release(tmp_path) as release:
        release.write("a.dcm", one_byte)
        release.publish({}, {})
    for name in left:
        (tmp_path / name).rename(tmp_path / f"{name}.part")
    with open_release(tmp_path) as release:
        release.fail({})
    assert names(tmp_path) == {"status.json"}


@pytest.fixture
def full_soon(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        yield disk


def test_a_full_disk_is_recognised_behind_the_error_of_a_library(full_soon: Path) -> None:
    def write(file: BinaryIO) -> None:
        try:
            file.write(bytes(2**21))
        except OSError as error:  # as pydicom does, which drops the number
            raise OSError(f"With tag (7FE0,0010) got exception: {error}") from error

    with open_release(full_soon) as release, pytest.raises(ResourceError, match="No space left"):
        release.write("large.dcm", write)


def test_results_are_not_published_without_disk_space_for_the_status(full_soon: Path) -> None:
    with open_release(full_soon) as release:
        release.write("a.dcm", one_byte)
        with pytest.raises(ResourceError, match="No space left"):
            release.publish({"warnings": ["x" * 2**21]})
        release.fail({"outcome": "failed"})
    assert names(full_soon) == {"status.json"}


def test_results_and_status_are_not_published_without_disk_space_for_metadata(
    full_soon: Path,
) -> None:
    with open_release(full_soon) as release:
        release.write("a.dcm", one_byte)
        with pytest.raises(ResourceError, match=r"metadata\.json can't be written"):
            release.publish({"outcome": "succeeded"}, {"structures": "x" * 2**21})
        assert names(full_soon) == {".staging/a.dcm.part"}
        with pytest.raises(ResourceError, match=r"status\.json can't be written"):
            release.publish({"warnings": ["x" * 2**21]}, {"exit_status": 0})
        assert names(full_soon) == {".staging/a.dcm.part"}


def test_a_full_disk_during_a_result_leaves_only_the_status(full_soon: Path) -> None:
    with open_release(full_soon) as release:
        release.write("small.dcm", one_byte)
        with pytest.raises(ResourceError, match="No space left"):
            release.write("large.dcm", two_megabytes)
        release.fail({"outcome": "failed"})
    assert names(full_soon) == {"status.json"}

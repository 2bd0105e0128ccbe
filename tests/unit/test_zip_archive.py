"""Tests the unpacking of ZIP archives: valid, damaged and malicious ones."""

import stat
import struct
import zipfile
import zlib
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.disk import small_disk
from totalmap.errors import InputError, ResourceError
from totalmap.zip_archive import LIMITS, Limits, is_zip, unpack

NAME = "DOE^JOHN/ct.dcm"
SMALL = Limits(members=3, directory_bytes=400, unpacked_bytes=5000, ratio=10, small_bytes=1000)


def packed(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def unpacked(archive: Path, folder: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    folder.mkdir()
    count = unpack(archive, folder, limits)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert len(files) == count
    return files


def refusal(archive: Path, folder: Path, limits: Limits = LIMITS) -> str:
    """Returns what is said of an archive that is refused; no name of a member is in it."""
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        unpack(archive, folder, limits)
    message = str(caught.value)
    assert "DOE" not in message
    assert str(archive) not in message
    return message


def member(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3  # Unix
    info.external_attr = mode << 16
    return info


def test_files_of_a_zip_archive_are_unpacked_with_numbers_as_names(tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "in.zip", ("DOE^JOHN/", b""), (NAME, b"one"), ("other/ct.dcm", b"two" * 999)
    )
    assert unpacked(archive, tmp_path / "out") == {
        "0001/000002": b"one",
        "0002/000003": b"two" * 999,
    }


def test_zip_files_with_names_that_are_equal_or_differ_only_in_case_are_all_unpacked(
    tmp_path: Path,
) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = packed(tmp_path / "in.zip", ("a/x", b"1"), ("a/X", b"2"), ("a/x", b"3"))
    assert sorted(unpacked(archive, tmp_path / "out").values()) == [b"1", b"2", b"3"]


def test_archives_inside_a_zip_archive_stay_packed(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", (NAME, b"one")).read_bytes()
    archive = packed(tmp_path / "in.zip", ("inner.zip", inner))
    assert list(unpacked(archive, tmp_path / "out").values()) == [inner]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "..\\up", "C:\\up", "c:/up", "\\\\host\\share"]
)
def test_a_path_that_leads_out_of_the_zip_archive_is_refused(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, b"one"), (name, b"two"))
    said = refusal(archive, tmp_path / "out")
    assert "file 2 of 2 in the ZIP archive has a path that leads out" in said
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_links_and_devices_in_a_zip_archive_are_refused(tmp_path: Path, kind: int) -> None:
    archive = packed(tmp_path / "in.zip", (member(NAME, kind | 0o777), b"/etc/passwd"))
    assert "is a link or a device" in refusal(archive, tmp_path / "out")


def test_a_regular_file_with_unix_permissions_in_a_zip_archive_is_unpacked(tmp_path: Path) -> None:
    archive = packed(tmp_path / "in.zip", (member(NAME, stat.S_IFREG | 0o600), b"one"))
    assert list(unpacked(archive, tmp_path / "out").values()) == [b"one"]


def test_an_encrypted_zip_archive_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, b"one"))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)
    assert "is encrypted: unpack the archive" in refusal(archive, tmp_path / "out")


def test_an_unsupported_compression_method_of_a_zip_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(NAME, b"one")
    assert "is compressed by method 14" in refusal(tmp_path / "in.zip", tmp_path / "out")


def test_a_zip_archive_with_too_many_files_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "in.zip", *((f"{n}", b"") for n in range(4)))
    said = refusal(archive, tmp_path / "out", SMALL)
    assert "holds 4 files, and at most 3 are unpacked" in said


def test_a_list_of_files_in_a_zip_archive_that_is_too_long_is_refused_before_it_is_read(
    tmp_path: Path,
) -> None:
    archive = packed(tmp_path / "in.zip", *((f"{n:0200}", b"") for n in range(3)))
    said = refusal(archive, tmp_path / "out", SMALL)
    assert "the list of files in the ZIP archive has more than 400 bytes" in said


def test_the_length_of_the_list_of_files_is_also_read_from_a_zip64_record(tmp_path: Path) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, b""))
    content = archive.read_bytes()
    at = content.index(b"PK\5\6")
    record = b"PK\6\6" + struct.pack("<Q", 44) + bytes(28) + struct.pack("<QQ", 10**9, 0)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, at, 1)
    archive.write_bytes(content[:at] + record + locator + content[at:])
    assert "more than 400 bytes" in refusal(archive, tmp_path / "out", SMALL)


def test_a_zip_archive_that_unpacks_to_too_many_bytes_is_refused_before_unpacking(
    tmp_path: Path,
) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, bytes(range(250)) * 20), ("b", b"1"))
    said = refusal(archive, tmp_path / "out", SMALL)
    assert "unpacks to 5001 bytes, and at most 5000 are unpacked" in said


def test_a_file_in_a_zip_archive_that_unpacks_to_many_times_its_size_is_refused(
    tmp_path: Path,
) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, bytes(4000)))
    assert "more than 10 times its size" in refusal(archive, tmp_path / "out", SMALL)


def with_size(archive: Path, size: int) -> Path:
    """Writes another size of the first file into the list of files."""
    content = bytearray(archive.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\1\2") + 24, size)
    archive.write_bytes(content)
    return archive


@pytest.mark.parametrize("size", [10, 5000])
def test_a_zipped_file_whose_size_differs_from_the_list_of_files_is_refused(
    tmp_path: Path, size: int
) -> None:
    archive = with_size(packed(tmp_path / "in.zip", (NAME, zlib.compress(b"x") * 50)), size)
    said = refusal(archive, tmp_path / "out")
    assert said.startswith("file 1 of 1 in the ZIP archive")
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written <= size


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_end(content: bytes) -> bytes:
    return content[:-10]


def altered(content: bytes) -> bytes:
    at = content.index(b"ct.dcm") + 8
    return content[:at] + b"\xff\xff\xff" + content[at + 3 :]


def nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("spoil", [cut, without_end, altered, nothing])
def test_a_broken_zip_archive_to_unpack_is_refused(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, bytes(range(256)) * 40))
    archive.write_bytes(spoil(archive.read_bytes()))
    said = refusal(archive, tmp_path / "out")
    assert "broken" in said or "damaged" in said


def test_too_little_disk_space_is_reported_before_anything_is_unpacked_from_a_zip_archive(
    tmp_path: Path,
) -> None:
    archive = packed(tmp_path / "in.zip", (NAME, bytes(range(256)) * 1000))
    with small_disk(tmp_path / "disk", "64k") as folder:
        with pytest.raises(ResourceError, match="are free for temporary files"):
            unpack(archive, folder)
        assert not list(folder.iterdir())


Named = namedtuple("Named", "name content expected")


@pytest.mark.parametrize(
    "file",
    [
        Named("study.ZIP", b"", True),
        Named("study", b"PK\3\4...", True),
        Named("study.dcm", bytes(128) + b"DICM", False),
    ],
)
def test_a_zip_archive_is_recognised_by_its_suffix_or_its_signature(
    tmp_path: Path, file: Named
) -> None:
    (tmp_path / file.name).write_bytes(file.content)
    assert is_zip(tmp_path / file.name) is file.expected

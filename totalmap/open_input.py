"""Opens the input: a folder, a ZIP archive, a DICOM file or a NIfTI file.

The content of a file decides if its name does not. Messages say "the input", since a path may hold
a patient's name.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path

from totalmap.dicom.study import Study, read_study
from totalmap.errors import InputError
from totalmap.temporary_folders import temporary_folder
from totalmap.zip_archive import is_zip, unpack


class InputKind(StrEnum):
    """Kind of the input (docs/input.md)."""

    FOLDER = "folder"
    ZIP = "zip"
    DICOM_FILE = "dicom_file"
    NIFTI = "nifti"


class OpenedInput:
    """An input that can be read; it keeps the headers that it has read.

    Attributes:
        kind: Kind of the input.
        path: The folder or file to read; for an archive, the folder with its files.
    """

    def __init__(self, *, kind: InputKind, path: Path) -> None:
        self.kind = kind
        self.path = path
        self._read: dict[bool, Study] = {}

    def studies(self, *, repair_missing_uids: bool) -> Study:
        """Returns all studies; their headers are read once.

        Raises:
            InputError: As in `read_study`.
        """
        if repair_missing_uids not in self._read:
            content = read_study(self.path, repair_missing_uids=repair_missing_uids)
            self._read[repair_missing_uids] = content
        return self._read[repair_missing_uids]


def _unmeasured(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def open_input(
    path: Path, stage: Callable[[str], AbstractContextManager[None]] = _unmeasured
) -> Iterator[OpenedInput]:
    """Yields an input; the unpacked files of an archive are removed at the end.

    Args:
        path: Path of the input.
        stage: Measures and displays the unpacking of an archive, which takes a while.

    Raises:
        InputError: The input does not exist, or an archive can't be unpacked.
        ResourceError: The space is too small to unpack an archive.
    """
    try:
        kind = _kind(path)
    except OSError as error:
        raise InputError(f"the input can't be read: {error.strerror or error}") from error
    if kind is not InputKind.ZIP:
        yield OpenedInput(kind=kind, path=path)
        return
    with temporary_folder() as folder:
        with stage("unpack"):
            unpack(path, folder)
        yield OpenedInput(kind=kind, path=folder)


def _kind(path: Path) -> InputKind:
    if path.is_dir():
        return InputKind.FOLDER
    if not path.exists():
        raise InputError(
            "the input does not exist: name a folder, a ZIP archive, a DICOM file or a NIfTI file"
        )
    if not path.is_file():  # reading a pipe would block
        raise InputError("the input is neither a folder nor a file")
    if is_zip(path):
        return InputKind.ZIP
    from totalmap.nifti import is_nifti  # imported here: nibabel takes long to import

    return InputKind.NIFTI if is_nifti(path) else InputKind.DICOM_FILE

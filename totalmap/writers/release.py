"""All or nothing: results are written aside, synced, and made visible by one rename.

Layout of an output folder:

    status.json      written on success and on failure
    metadata.json    likewise, and visible before status.json is
    results/         appears in one step, when every result is written and checked
    rejected/        instead of it, where they are not to be believed and so not to be delivered;
                     DICOM objects in it are called *.dcm.held
    .staging/        exists during a run; files in it are called *.part until all are complete
    study-001/ ...   where all studies of an input were run: a folder like this for each

The folder belongs to the application: what an earlier run left there is removed at the start.
"""

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from totalmap.errors import ConfigError, OutputError, ResourceError, TotalMapError
from totalmap.log import get_logger

STATUS_NAME = "status.json"
METADATA_NAME = "metadata.json"
# In the order of their release: whoever sees status.json sees everything.
REPORT_NAMES = (METADATA_NAME, STATUS_NAME)
RESULTS_NAME = "results"
REJECTED_NAME = "rejected"
# MONAI's Workflow Manager exports whatever ends with .dcm, wherever it lies (TaskManager of
# Project-MONAI/monai-deploy-workflow-manager), and scripts that send to an archive do the same.
HELD_SUFFIX = ".held"
_DICOM_SUFFIX = ".dcm"
STAGING_NAME = ".staging"
PART_SUFFIX = ".part"
_STUDY_FOLDER = "study-{:03}"
_STUDY_FOLDERS = "study-[0-9][0-9][0-9]*"

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = get_logger()


class Release:
    """The output folder of one run."""

    def __init__(self, folder: Path) -> None:
        """Prepares the folder and removes what an earlier run left in it.

        Raises:
            ConfigError: The folder can't be made or written, or holds a `results` folder
                without the status.json of a run: it is somebody else's.
        """
        self._folder = folder
        self._staging = folder / STAGING_NAME
        # A signal may end a run (app/stop_signals.py) just while it publishes.
        self._ending = threading.Lock()
        self._is_published = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_earlier_run()
            self._staging.mkdir()
        except OSError as error:
            raise _output_error(f"output folder {folder} can't be written", error) from error

    def write(self, name: str, write: Callable[[BinaryIO], None]) -> Path:
        """Writes one result aside and syncs it.

        Args:
            name: Path of the result below the results folder.
            write: Writes the content to an open file.

        Returns:
            The file aside, to be checked before the release.

        Raises:
            ResourceError: The disk is full.
            ConfigError: The folder can't be written.
        """
        aside = self.aside(name)
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _output_error(f"result {name} can't be written", error) from error
        return aside

    def aside(self, name: str) -> Path:
        """Returns where a result lies, or would lie, before it is published."""
        return self._staging / (name + PART_SUFFIX)

    def publish(self, status: object, metadata: object = None, *, held: bool = False) -> None:
        """Makes all results visible in one step, and then metadata.json and status.json.

        Args:
            status: Anything that json can dump. It is written before anything becomes visible,
                so a full disk can't leave results without a status.
            metadata: The same for metadata.json; None writes none.
            held: Whether they appear as `held_path` has it.

        Raises:
            OutputError: Nothing was written.
            ResourceError: The disk is full.
            ConfigError: The folder can't be written.
        """
        parts = sorted(self._staging.rglob(f"*{PART_SUFFIX}"))
        if not parts:
            raise OutputError("the run wrote no result")
        with self._ending:
            reports = self._write_reports_aside(status, metadata)
            try:
                for part in parts:
                    name = part.name.removesuffix(PART_SUFFIX)
                    part.rename(part.with_name(_held_name(name) if held else name))
                for folder in {self._staging, *(part.parent for part in parts)}:
                    _sync_folder(folder)
                self._staging.rename(self._folder / (REJECTED_NAME if held else RESULTS_NAME))
                self._show(reports)
            except OSError as error:
                raise _output_error("results can't be released", error) from error
            self._is_published = True
        log.info("results_released", files=len(parts))

    def fail(self, status: object, metadata: object = None) -> bool:
        """Removes everything that was written, then writes metadata.json and status.json.

        Args:
            status: Anything that json can dump.
            metadata: The same; None writes none.

        Returns:
            Whether it did: results that are published stay.

        Raises:
            ResourceError: The disk is full.
            ConfigError: The folder can't be written.
        """
        with self._ending:
            if self._is_published:
                return False
            self.discard()
            reports = self._write_reports_aside(status, metadata)
            try:
                self._show(reports)
            except OSError as error:
                raise _output_error(f"{STATUS_NAME} can't be written", error) from error
        return True

    def discard(self) -> None:
        """Removes everything that was written and not published."""
        shutil.rmtree(self._staging, ignore_errors=True)
        self._remove_reports_aside()

    def _write_reports_aside(self, status: object, metadata: object) -> list[str]:
        """Writes what there is of the two, and returns their names in the order of release."""
        contents = dict(zip(REPORT_NAMES, (metadata, status), strict=True))
        names = [name for name in REPORT_NAMES if contents[name] is not None]
        for name in names:
            try:
                with self._report_aside(name).open("w", encoding="utf-8") as file:
                    json.dump(contents[name], file, indent=2)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                self._remove_reports_aside()
                raise _output_error(f"{name} can't be written", error) from error
        return names

    def _show(self, reports: list[str]) -> None:
        for name in reports:
            self._report_aside(name).replace(self._folder / name)
        _sync_folder(self._folder)

    def _remove_reports_aside(self) -> None:
        for name in REPORT_NAMES:
            self._report_aside(name).unlink(missing_ok=True)

    def _report_aside(self, report: str) -> Path:
        return self._folder / (report + PART_SUFFIX)

    def _has_status(self) -> bool:
        """A run that was killed between its two last renames leaves the status aside."""
        status = self._folder / STATUS_NAME
        return status.exists() or self._report_aside(STATUS_NAME).exists()

    def _remove_earlier_run(self) -> None:
        earlier = [self._folder / name for name in (RESULTS_NAME, REJECTED_NAME)]
        studies = [one for one in self._folder.glob(_STUDY_FOLDERS) if _is_of_a_run(one)]
        present = [one for one in (self._staging, *earlier, *studies) if one.exists()]
        for results in earlier:
            if results in present and not self._has_status():
                raise ConfigError(
                    f"{results} exists and is not of an earlier run: name another output folder"
                )
        for one in present:
            shutil.rmtree(one)
        for name in REPORT_NAMES:
            (self._folder / name).unlink(missing_ok=True)
        self._remove_reports_aside()


def study_folder(number: int) -> str:
    """Returns the name of the folder of a study, where all studies of an input are run."""
    return _STUDY_FOLDER.format(number)


def held_path(path: str) -> str:
    """Returns where a result appears that is held back, so that nobody delivers it.

    Args:
        path: Of the result, relative to the output folder: `results/seg.dcm`.
    """
    _, _, below = path.partition("/")
    return f"{REJECTED_NAME}/{_held_name(below)}"


def _held_name(name: str) -> str:
    return name + HELD_SUFFIX if name.endswith(_DICOM_SUFFIX) else name


@contextmanager
def open_release(folder: Path) -> Iterator[Release]:
    """Yields the output folder; whatever is not published is gone when the block ends."""
    release = Release(folder)
    try:
        yield release
    finally:
        release.discard()


def _is_of_a_run(folder: Path) -> bool:
    """Whether a folder was made by a run, which may have been killed."""
    return any((folder / name).exists() for name in (STATUS_NAME, STAGING_NAME))


def _output_error(what: str, error: OSError) -> TotalMapError:
    cause = _system_error(error)
    reason = cause.strerror or type(cause).__name__
    if cause.errno in _DISK_FULL:
        return ResourceError(f"{what}: {reason}; free some space and run again")
    return ConfigError(f"{what}: {reason}")


def _system_error(error: BaseException) -> OSError:
    """Returns the error of the operating system behind an error that a library wrapped."""
    while not (isinstance(error, OSError) and error.errno is not None):
        behind = error.__cause__ or error.__context__
        if behind is None:
            return error if isinstance(error, OSError) else OSError()
        error = behind
    return error


def _sync_folder(folder: Path) -> None:
    """Makes renames in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

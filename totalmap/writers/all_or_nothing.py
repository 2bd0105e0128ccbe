"""Releases all results of a run or none: writes them to a staging folder, then renames it once.

Layout of an output folder:

    status.json      written on success and on failure
    metadata.json    the same, and visible before status.json
    results/         appears in one step, when every result is written and read back
    rejected/        replaces results/ if quality control rejects them, so that nobody delivers
                     them; DICOM objects in it are called *.dcm.held
    .staging/        exists during a run; files in it are called *.part until all are complete
    study-001/ ...   one such folder for each study, if all studies of an input were run

The folder belongs to the application: it removes the files of an earlier run at the start.
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
# In the order of their release: once status.json is visible, everything is.
REPORT_NAMES = (METADATA_NAME, STATUS_NAME)
RESULTS_NAME = "results"
REJECTED_NAME = "rejected"
# MONAI's Workflow Manager exports every file that ends with .dcm, in any folder (TaskManager of
# Project-MONAI/monai-deploy-workflow-manager), and so do scripts that send to an archive.
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
        """Prepares the folder and removes the files of an earlier run.

        Raises:
            ConfigError: The folder can't be made or written, or it contains a `results` folder
                without the status.json of a run, so that no run made it.
        """
        self._folder = folder
        self._staging = folder / STAGING_NAME
        # A signal may end the run (app/stop_signals.py) while it publishes.
        self._ending = threading.Lock()
        self._is_published = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_earlier_run()
            self._staging.mkdir()
        except OSError as error:
            raise output_error(f"output folder {folder} can't be written", error) from error

    def write(self, name: str, write: Callable[[BinaryIO], None]) -> Path:
        """Writes one result to the staging folder and syncs it.

        Args:
            name: Path of the result below the results folder.
            write: Writes the content to an open file.

        Returns:
            The staged file, to be read back before the release.

        Raises:
            ResourceError: The disk is full.
            ConfigError: The folder can't be written.
        """
        staged = self.staged_path(name)
        try:
            staged.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(f"result {name} can't be written", error) from error
        return staged

    def staged_path(self, name: str) -> Path:
        """Returns the path of a result before it is published."""
        return self._staging / (name + PART_SUFFIX)

    def publish(self, status: object, metadata: object = None, *, held: bool = False) -> None:
        """Makes all results visible in one step, and then metadata.json and status.json.

        Args:
            status: Content of status.json, for json.dump. It is written before anything becomes
                visible, so a full disk can't leave results without a status.
            metadata: Content of metadata.json; None writes none.
            held: Whether the results are held back, under the paths of `held_path`.

        Raises:
            OutputError: The run wrote no result.
            ResourceError: The disk is full.
            ConfigError: The folder can't be written.
        """
        parts = sorted(self._staging.rglob(f"*{PART_SUFFIX}"))
        if not parts:
            raise OutputError("the run wrote no result")
        with self._ending:
            reports = self._stage_reports(status, metadata)
            try:
                for part in parts:
                    name = part.name.removesuffix(PART_SUFFIX)
                    part.rename(part.with_name(_held_name(name) if held else name))
                for folder in {self._staging, *(part.parent for part in parts)}:
                    sync_folder(folder)
                self._staging.rename(self._folder / (REJECTED_NAME if held else RESULTS_NAME))
                self._show(reports)
            except OSError as error:
                raise output_error("results can't be released", error) from error
            self._is_published = True
        log.info("results_released", files=len(parts))

    def fail(self, status: object, metadata: object = None) -> bool:
        """Removes all staged results, then writes metadata.json and status.json.

        Args:
            status: Content of status.json, for json.dump.
            metadata: Content of metadata.json; None writes none.

        Returns:
            False if the results are published already: then nothing is changed.

        Raises:
            ResourceError: The disk is full.
            ConfigError: The folder can't be written.
        """
        with self._ending:
            if self._is_published:
                return False
            self.discard()
            reports = self._stage_reports(status, metadata)
            try:
                self._show(reports)
            except OSError as error:
                raise output_error(f"{STATUS_NAME} can't be written", error) from error
        return True

    def discard(self) -> None:
        """Removes all files that are not published."""
        shutil.rmtree(self._staging, ignore_errors=True)
        self._remove_staged_reports()

    def _stage_reports(self, status: object, metadata: object) -> list[str]:
        """Writes the reports under temporary names, and returns their names in order of release."""
        contents = dict(zip(REPORT_NAMES, (metadata, status), strict=True))
        names = [name for name in REPORT_NAMES if contents[name] is not None]
        for name in names:
            try:
                with self._staged_report(name).open("w", encoding="utf-8") as file:
                    json.dump(contents[name], file, indent=2)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                self._remove_staged_reports()
                raise output_error(f"{name} can't be written", error) from error
        return names

    def _show(self, reports: list[str]) -> None:
        for name in reports:
            self._staged_report(name).replace(self._folder / name)
        sync_folder(self._folder)

    def _remove_staged_reports(self) -> None:
        for name in REPORT_NAMES:
            self._staged_report(name).unlink(missing_ok=True)

    def _staged_report(self, report: str) -> Path:
        return self._folder / (report + PART_SUFFIX)

    def _has_status(self) -> bool:
        """Returns whether a run left its status, or a staged one if it was killed before."""
        status = self._folder / STATUS_NAME
        return status.exists() or self._staged_report(STATUS_NAME).exists()

    def _remove_earlier_run(self) -> None:
        earlier = [self._folder / name for name in (RESULTS_NAME, REJECTED_NAME)]
        studies = filter(_is_of_a_run, self._folder.glob(_STUDY_FOLDERS))
        present = [path for path in (self._staging, *earlier, *studies) if path.exists()]
        for results in earlier:
            if results in present and not self._has_status():
                raise ConfigError(
                    f"{results} exists and is not of an earlier run: name another output folder"
                )
        for folder in present:
            shutil.rmtree(folder)
        for name in REPORT_NAMES:
            (self._folder / name).unlink(missing_ok=True)
        self._remove_staged_reports()


def study_folder(number: int) -> str:
    """Returns the name of the folder of one study in a run of all studies."""
    return _STUDY_FOLDER.format(number)


def held_path(path: str) -> str:
    """Returns the path of a result that is held back, so that nobody delivers it.

    Args:
        path: Path of the result in the output folder, such as `results/seg.dcm`.
    """
    _, _, below = path.partition("/")
    return f"{REJECTED_NAME}/{_held_name(below)}"


def _held_name(name: str) -> str:
    return name + HELD_SUFFIX if name.endswith(_DICOM_SUFFIX) else name


@contextmanager
def open_release(folder: Path) -> Iterator[Release]:
    """Yields the output folder, and removes all files that are not published at the end."""
    release = Release(folder)
    try:
        yield release
    finally:
        release.discard()


def _is_of_a_run(folder: Path) -> bool:
    """Returns whether a run made the folder, even if it was killed."""
    return any((folder / name).exists() for name in (STATUS_NAME, STAGING_NAME))


def output_error(failure: str, error: OSError) -> TotalMapError:
    """Returns the error for a file that can't be read or written.

    Args:
        failure: What failed, in words.
        error: The error of the operating system, or of a library that wrapped it.
    """
    cause = _system_error(error)
    reason = cause.strerror or type(cause).__name__
    if cause.errno in _DISK_FULL:
        return ResourceError(f"{failure}: {reason}; free some space and run again")
    return ConfigError(f"{failure}: {reason}")


def _system_error(error: BaseException) -> OSError:
    """Returns the error of the operating system behind an error that a library wrapped."""
    while not (isinstance(error, OSError) and error.errno is not None):
        behind = error.__cause__ or error.__context__
        if behind is None:
            return error if isinstance(error, OSError) else OSError()
        error = behind
    return error


def sync_folder(folder: Path) -> None:
    """Makes renames in the folder durable, even if the machine crashes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

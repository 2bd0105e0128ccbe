"""Prepares what the viewer loads, in a process for each series, and hands out its files.

```
jobs/J/view/N/    the files of series N of job J, in the order of its folders of SEGs
```

The files stay until a newer view takes their place, or the folder of the job is deleted.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from threading import Lock, Thread

from starlette.concurrency import run_in_threadpool

from gateway.store.current_images_of_study import images
from gateway.store.file_storage import STATUS_NAME, VIEW_NAME, Storage
from gateway.store.job import Job
from gateway.store.ledger import KeptInstance, Ledger
from gateway.web.result_files import ResultFile
from totalmap.errors import ResourceError
from totalmap.log import get_logger
from totalmap.texts.catalogue import Message
from totalmap.viewer_files import FAILED, FINISHED, is_loaded_by_viewer

# Each view takes two processes, which need up to 0.7 GB each for 500 slices.
AT_ONCE = 2
# The newest views; each has about the size of its images, compressed.
KEPT_VIEWS = 20
LOOK_SECONDS = 0.02
# The kinds of results that hold the labels; the first one that exists is shown.
_SEG_KINDS = ("seg", "seg_labelmap")

log = get_logger()


class ViewFailedError(Exception):
    """A view can't be prepared.

    Attributes:
        reason: Why; an error of the application stays in English.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewableSeries:
    """A series of a job that the viewer can show.

    Attributes:
        number: Its number among those of the job, from 0.
        folder: The folder of its results, relative to the output folder.
        segs: The paths of its SEGs, relative to the output folder.
    """

    number: int
    folder: str
    segs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder of the series as status.json names it; empty for a single series."""
        return "/".join(PurePosixPath(self.folder).parts[1:])


def viewable_series(files: Sequence[ResultFile]) -> Sequence[ViewableSeries]:
    """Returns the series that have a SEG, in the order of their folders."""
    found: list[ViewableSeries] = []
    for folder, group in groupby(sorted(files, key=_folder), key=_folder):
        of_folder = list(group)
        kinds = {file.kind for file in of_folder}
        kind = next((kind for kind in _SEG_KINDS if kind in kinds), None)
        if kind is not None:
            segs = tuple(file.path for file in of_folder if file.kind == kind)
            found.append(ViewableSeries(number=len(found), folder=folder, segs=segs))
    return found


class PreparedViews:
    """The views of jobs, as far as they are prepared."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger
        self._running: set[Path] = set()
        self._failures: dict[Path, str] = {}
        self._lock = Lock()
        storage.remove_viewing_folders()

    async def file(self, job: Job, series: ViewableSeries, name: str) -> Path | None:
        """Returns a file of a view as soon as it is written; None: there is no such file.

        Raises:
            ViewFailedError: The view can't be prepared.
            ResourceError: The database fails.
        """
        if not is_loaded_by_viewer(name):
            return None
        folder = self._folder(job, series)
        path = folder / name
        while not path.exists():
            if (folder / FINISHED).exists():
                return None
            if folder in self._failures:
                raise ViewFailedError(self._failures[folder])
            if folder not in self._running:
                await run_in_threadpool(self._begin, job, series, folder)
            await asyncio.sleep(LOOK_SECONDS)
        return path

    def prepare(self, job: Job, series: ViewableSeries) -> None:
        """Begins to prepare a view that somebody will soon open, unless it is there already.

        Raises:
            ViewFailedError, ResourceError: As `file`.
        """
        folder = self._folder(job, series)
        if not (folder / FINISHED).exists() and folder not in self._failures:
            self._begin(job, series, folder)

    def forget_failure(self, job: Job, series: ViewableSeries) -> None:
        """Has a view that could not be prepared be tried again."""
        self._failures.pop(self._folder(job, series), None)

    def _folder(self, job: Job, series: ViewableSeries) -> Path:
        return self._storage.job_folder(job.job_id) / VIEW_NAME / str(series.number)

    def _begin(self, job: Job, series: ViewableSeries, folder: Path) -> None:
        """Starts the process of a view, unless it runs, or too many others do."""
        with self._lock:
            if folder in self._running or len(self._running) >= AT_ONCE:
                return
            self._running.add(folder)
        source = self._storage.new_viewing_folder()
        try:
            command = self._command(job, series, source, folder)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  our own
        except BaseException:
            shutil.rmtree(source, ignore_errors=True)
            self._running.discard(folder)
            raise
        Thread(target=self._finish, args=[process, source, folder], name="view").start()

    def _command(
        self, job: Job, series: ViewableSeries, source: Path, folder: Path
    ) -> Sequence[str]:
        """Links the images of a series into a folder, and returns the command of its view."""
        output = self._storage.output_folder(job.job_id)
        content = images(self._ledger.content(job.study_instance_uid, job.content_until))
        try:
            self._storage.link(_of_series(content, output), source)
            with suppress(FileNotFoundError):  # of a process that was killed
                shutil.rmtree(folder)
            folder.parent.mkdir(exist_ok=True)  # fails if the folder of the job was deleted
            folder.mkdir()
        except (FileNotFoundError, ResourceError) as error:
            raise ViewFailedError(Message("viewer.deleted")) from error
        segs = [str(output / path) for path in series.segs]
        return [sys.executable, "-m", "app.prepare_view", str(source), str(folder), *segs]

    def _finish(self, process: "subprocess.Popen[bytes]", source: Path, folder: Path) -> None:
        """Waits for the process of a view; removes what nobody needs any more."""
        status = process.wait()
        if status:
            log.warning("view_process_ended", status=status)
            self._failures[folder] = _reason(folder) or f"The preparation ended: status {status}."
        shutil.rmtree(source, ignore_errors=True)
        self._running.discard(folder)
        self._remove_older_views()

    def _remove_older_views(self) -> None:
        by_age = sorted(self._storage.views(), key=_modified_at, reverse=True)
        for folder in by_age[KEPT_VIEWS:]:
            if folder not in self._running:
                shutil.rmtree(folder, ignore_errors=True)


def _reason(folder: Path) -> str:
    """Returns why a view could not be prepared; empty if its process could not say so."""
    try:
        return str(json.loads((folder / FAILED).read_text("utf-8"))["reason"])
    except FileNotFoundError:
        return ""


def _modified_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # it has just been deleted with its job
        return 0.0


def _of_series(content: Sequence[KeptInstance], output: Path) -> Sequence[KeptInstance]:
    """Returns the images of the series that were segmented; all, if their UIDs were repaired."""
    status = json.loads((output / STATUS_NAME).read_text("utf-8"))
    chosen = {each["series_instance_uid"] for each in status.get("series", ()) if each["chosen"]}
    return [image for image in content if image.series_instance_uid in chosen] or content


def _folder(file: ResultFile) -> str:
    return file.folder

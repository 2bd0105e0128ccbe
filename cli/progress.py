"""Shows the progress of a run: a bar on a terminal, elsewhere one line for each stage."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.console_without_markup import plain_console
from totalmap.errors import TotalMapError

STAGES = {
    "unpack": "Unpacking the archive",
    "read_study": "Reading headers",
    "read_nifti": "Reading the NIfTI file",
    "select_series": "Choosing a series",
    "build_volume": "Decoding pixels",
    "load_models": "Loading networks",
    "segment": "Segmenting",
    "measure": "Measuring structures",
    "check_quality": "Assessing the result",
    "write_source": "Writing repaired source",
    "write_seg": "Writing DICOM SEG",
    "write_seg_labelmap": "Writing DICOM label map",
    "write_sr": "Writing DICOM SR",
    "write_rtstruct": "Writing RT Structure Set",
    "write_preview": "Writing preview",
    "write_overlay": "Writing overlay",
    "write_pdf": "Writing PDF",
    "write_report": "Writing report",
    "write_csv": "Writing measurements",
    "write_nifti": "Writing NIfTI",
}


class TimeLeft:
    """Estimates the time for the remaining tiles from the time of the finished tiles.

    Tiles of another network take another time, so the estimate starts again when the number of
    tiles changes or the count starts again.
    """

    # The text changes at most once in this time, so that it can be read.
    SHOWN_SECONDS = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Discards all tiles."""
        self._total = 0
        self._done = 0
        self._first: tuple[float, int] | None = None
        self._shown_at = 0.0
        self.text = ""

    def tiles(self, done: int, total: int) -> None:
        """Takes the number of finished tiles and the number of all tiles."""
        now = self._clock()
        if self._first is None or total != self._total or done < self._done:
            self._first = (now, done)
            self.text = ""
        self._done, self._total = done, total
        started, done_then = self._first
        if done >= total or done == done_then:
            self.text = ""
        elif not self.text or now - self._shown_at >= self.SHOWN_SECONDS:
            seconds = (now - started) / (done - done_then) * (total - done)
            self.text, self._shown_at = f"about {_duration(seconds)} left", now


def _duration(seconds: float) -> str:
    """Returns a duration in words: in seconds, or in minutes and tens of seconds."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds / 10) * 10, 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


class ProgressDisplay:
    """Shows the stage and the tiles of a run, as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._left = TimeLeft()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("Starting", total=None, done="", left="")

    def __enter__(self) -> "ProgressDisplay":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Removes the bar and shows the cursor again."""
        self._progress.stop()

    def stopped(self, error: TotalMapError) -> None:
        """Restores the terminal and prints why the run was stopped."""
        self.stop()
        plain_console(stderr=True).print(f"Error: {error}", soft_wrap=True)

    def stage_started(self, stage: str) -> None:
        """Shows the name of the stage."""
        description = STAGES.get(stage, stage)
        if not self._console.is_terminal:
            self._console.print(f"{description} ...")
        self._left.restart()
        self._progress.reset(self._task, description=description, total=None, done="", left="")

    def progress(self, done: int, total: int) -> None:
        """Moves the bar."""
        self._left.tiles(done, total)
        self._progress.update(
            self._task,
            completed=done,
            total=total,
            done=f"{done / total:.0%}",
            left=self._left.text,
        )

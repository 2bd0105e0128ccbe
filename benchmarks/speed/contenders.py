"""Runs the contenders: TotalSegmentator's command, our application, and our warm engine."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from nibabel.filebasedimages import ImageFileError

from benchmarks.speed.label_agreement import Labels, load_labels
from benchmarks.speed.parse_network_seconds import NetworkTime, events, from_log, from_progress_bars
from benchmarks.speed.process_measurement import Finished, measure
from tests.peer import peer_command
from totalmap.errors import ConfigError
from totalmap.settings import Variant

REPOSITORY = Path(__file__).parents[2]

Device = Literal["cpu", "cuda"]
Arithmetic = Literal["exact", "compiled", "bf16"]
Precision = Literal["fp32", "bf16"]

TOTALSEGMENTATOR_OPTIONS = {Variant.FULL: (), Variant.FAST: ("--fast",)}
TAIL_LINES = 15

_MESSAGE = re.compile(r"""message=["'](.+)["']$""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The study that all contenders segment, the networks, and the device."""

    variant: Variant
    source: Path
    models: Path
    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured run.

    Attributes:
        seconds: From the start of the command to its end.
        network: The loop over the tiles.
        is_network_known: Whether the command reports `network`. If not, its seconds are those of
            the whole stage `segment`, and its tiles are 0.
        peak_bytes: The highest memory of all processes of the command.
    """

    seconds: float
    network: NetworkTime
    is_network_known: bool
    peak_bytes: int

    @property
    def outside_seconds(self) -> float:
        """Seconds outside the networks."""
        return self.seconds - self.network.seconds


class RunFailed(Exception):
    """A command failed.

    Attributes:
        reason: The reason in one line.
        tail: The last lines of the command's output.
        refused: Whether the command refused its settings, as unknown.
    """

    def __init__(self, reason: str, tail: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tail = tail
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A program that segments the case.

    Attributes:
        rounds: The number of its runs.
        precision: The arithmetic whose limit applies.
        segment: Segments the case in an empty folder; returns the measurement, and the labels in
            the layout of TotalSegmentator's NIfTI.
    """

    name: str
    rounds: int
    precision: Precision
    segment: Callable[[Path], tuple[Run, Labels]]


def totalsegmentator_command(case: Case, name: str, rounds: int) -> Contender:
    """Returns TotalSegmentator's own command as a contender."""

    def segment(folder: Path) -> tuple[Run, Labels]:
        labels = folder / "labels.nii.gz"
        command = peer_command(
            case.source,
            labels,
            case.models,
            *TOTALSEGMENTATOR_OPTIONS[case.variant],
            device="cpu" if case.device == "cpu" else "gpu",
        )
        finished = _measured(command.words, {**command.environment, **_visible_devices(case)})
        network = from_progress_bars(finished.stderr)
        if network is None:
            raise RunFailed("no progress bar was found", _tail(finished), refused=False)
        return _run(finished, network, is_known=True), _labels(labels, finished)

    return Contender(name=name, rounds=rounds, precision=_precision(case, "exact"), segment=segment)


def our_application(case: Case, arithmetic: Arithmetic, rounds: int) -> Contender:
    """Returns our application, started as a MAP is, as a contender."""

    def segment(folder: Path) -> tuple[Run, Labels]:
        words = [sys.executable, "-m", "app", "-i", str(case.source)]
        words += ["-o", str(folder), "-m", str(case.models)]
        finished = _measured(words, _our_environment(case, arithmetic))
        network = from_log(finished.stderr)
        labels = _labels(folder / "results" / "labels.nii.gz", finished)
        is_known = network is not None
        return _run(finished, network or _segment_stage(folder), is_known=is_known), labels

    return Contender(
        name=arithmetic,
        rounds=rounds,
        precision=_precision(case, arithmetic),
        segment=segment,
    )


def our_warm_engine(case: Case, arithmetic: Arithmetic, rounds: int) -> Contender:
    """Returns the second study of our engine, up to the labels in memory, as a contender."""

    def segment(folder: Path) -> tuple[Run, Labels]:
        labels = folder / "labels.npy"
        words = [sys.executable, "-m", "benchmarks.speed.warm_engine_run"]
        words += [str(path) for path in (case.source, case.models, labels)]
        finished = _measured(words, _our_environment(case, arithmetic))
        warm = json.loads(finished.stdout)
        network = NetworkTime(
            tiles=warm["tiles"] or 0, seconds=warm["network_seconds"] or warm["segment_seconds"]
        )
        run = _run(finished, network, is_known=warm["network_seconds"] is not None)
        return replace(run, seconds=warm["seconds"]), np.load(labels)

    return Contender(
        name=f"{arithmetic}, warm",
        rounds=rounds,
        precision=_precision(case, arithmetic),
        segment=segment,
    )


def our_engine_in_boxes(
    case: Case, arithmetic: Arithmetic, rounds: int, rough_labels: Path
) -> Contender:
    """Returns our engine with each network in the box of its own structures, as a contender.

    Args:
        rough_labels: The labels whose boxes are taken, as `run_in_boxes` reads them.
    """

    def segment(folder: Path) -> tuple[Run, Labels]:
        labels = folder / "labels.nii.gz"
        words = [sys.executable, "-m", "benchmarks.speed.run_in_boxes", str(case.source)]
        words += [str(case.models), str(rough_labels), arithmetic, str(labels)]
        finished = _measured(words, _our_environment(case, "exact"))
        network = from_log(finished.stderr)
        if network is None:
            raise RunFailed("no time of the networks was found", _tail(finished), refused=False)
        return _run(finished, network, is_known=True), _labels(labels, finished)

    return Contender(
        name=f"{arithmetic}, boxes",
        rounds=rounds,
        precision=_precision(case, arithmetic),
        segment=segment,
    )


def _measured(words: tuple[str, ...] | list[str], environment: Mapping[str, str]) -> Finished:
    finished = measure(words, environment, REPOSITORY)
    if finished.status != 0:
        raise RunFailed(
            _reason(finished), _tail(finished), refused=finished.status == ConfigError.exit_status
        )
    return finished


def _labels(path: Path, finished: Finished) -> Labels:
    try:
        return load_labels(path)
    except (OSError, ImageFileError) as error:
        raise RunFailed(f"no labels: {error}", _tail(finished), refused=False) from error


def _reason(finished: Finished) -> str:
    """Returns the message of our error from a log of text or JSON, or the last line."""
    in_text = [match[1] for match in _MESSAGE.finditer(finished.stderr)]
    in_json = [entry["message"] for entry in events(finished.stderr) if "message" in entry]
    lines = [line for line in finished.stderr.splitlines() if line.strip()]
    messages = in_json or in_text or lines or ["no message"]
    return f"exit status {finished.status}, {messages[-1]}"


def _tail(finished: Finished) -> str:
    return "\n".join((finished.stdout + finished.stderr).splitlines()[-TAIL_LINES:])


def _our_environment(case: Case, arithmetic: Arithmetic) -> dict[str, str]:
    overrides = {
        "TOTALMAP_SEGMENTATION__VARIANT": case.variant.value,
        "TOTALMAP_RESULTS__KINDS": "[nifti]",
        "TOTALMAP_QUALITY__REJECTED": "deliver",  # labels of networks with random weights
        "TOTALMAP_LOGGING__FORMAT": "json",
    }
    if arithmetic != "exact":
        overrides["TOTALMAP_SEGMENTATION__ARITHMETIC"] = arithmetic
    if case.device != "cpu":
        overrides["TOTALMAP_SEGMENTATION__DEVICE"] = case.device
    return os.environ | overrides | _visible_devices(case)


def _visible_devices(case: Case) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": ""} if case.device == "cpu" else {}


def _precision(case: Case, arithmetic: Arithmetic) -> Precision:
    """On a GPU nnU-Net calculates in half precision (autocast)."""
    return "bf16" if case.device == "cuda" or arithmetic == "bf16" else "fp32"


def _run(finished: Finished, network: NetworkTime, *, is_known: bool) -> Run:
    return Run(
        seconds=finished.seconds,
        network=network,
        is_network_known=is_known,
        peak_bytes=finished.peak_bytes,
    )


def _segment_stage(folder: Path) -> NetworkTime:
    status = json.loads((folder / "status.json").read_text())
    return NetworkTime(tiles=0, seconds=status["timings_seconds"]["segment"])

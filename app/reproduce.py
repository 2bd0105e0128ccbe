"""Reproduces a result from its source and compares both."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from app.run_study import RunRequest, run_application
from totalmap.corrections.predecessor import read_predecessor
from totalmap.dicom.study import Study, read_study
from totalmap.errors import InputError, TotalMapError
from totalmap.existing_seg import is_seg
from totalmap.open_input import open_input
from totalmap.origin_in_dicom import Origin
from totalmap.run_log import Observer
from totalmap.trace_result import Trace, trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """The differences between a result and its reproduction, as sentences, if there are any.

    Attributes:
        differences: The sentences.
        is_of_correction: Whether a person has corrected the result, so that only its labels were
            compared, with those of the correction.
    """

    differences: tuple[str, ...]
    is_of_correction: bool = False

    @property
    def is_same(self) -> bool:
        """Whether the result was made from this source with these weights and settings.

        For a correction: whether it has the labels of the correction.
        """
        return not self.differences


def reproduce(
    result: Path,
    request: RunRequest,
    observer: Observer | None = None,
    stopped: Callable[[TotalMapError], None] | None = None,
) -> Reproduction:
    """Segments the source again and compares the new result with an existing one.

    Args:
        result: A DICOM object of TotalMAP.
        request: The source, the models and the settings; its output folder is replaced by a
            temporary one.
        observer: Receives the progress.
        stopped: As in `run_application`.

    Raises:
        InputError: The file is not a result of TotalMAP, or the folder is not its source.
        TotalMapError: The run failed.
    """
    with open_input(request.input_path) as source:
        return _reproduce(result, replace(request, input_path=source.path), observer, stopped)


def _reproduce(
    result: Path,
    request: RunRequest,
    observer: Observer | None,
    stopped: Callable[[TotalMapError], None] | None,
) -> Reproduction:
    old = trace(result)
    if old.origin.corrections:
        return _compare_correction(result, old, request)
    settings = request.load_settings()
    _require_source(old, read_study(request.input_path))
    hash_now = settings.fingerprint()
    if hash_now != old.origin.settings_sha256:
        return Reproduction(
            differences=(
                f"it was made with other settings, of SHA-256 {old.origin.settings_sha256}; those "
                f"of {request.settings_file} have {hash_now}: use the settings of that time",
            )
        )
    with tempfile.TemporaryDirectory(prefix="totalmap-") as name:
        folder = Path(name)
        wanted = replace(request, output_folder=folder, study=old.study_instance_uid)

        def cleaned_up(error: TotalMapError) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            if stopped is not None:
                stopped(error)

        outcome = run_application(wanted, observer, stopped=cleaned_up)
        if outcome.error is not None:
            raise outcome.error
        made = [
            folder / written.path for written in outcome.status.results if written.sop_instance_uid
        ]
        return Reproduction(differences=tuple(_differences(result, old, made)))


def _compare_correction(result: Path, old: Trace, request: RunRequest) -> Reproduction:
    """Compares the labels of a corrected SEG with their SHA-256; a person can't be run again.

    Raises:
        InputError: It is another object than a SEG, or the folder is not its source.
    """
    source = read_study(request.input_path)
    _require_source(old, source)
    if not is_seg(result):
        raise InputError("the result is of a correction: verify its SEG, which has the labels")
    labels = read_predecessor([result], source).labels
    digest = hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest()
    if digest == old.origin.corrections[0].labels_sha256:
        return Reproduction(differences=(), is_of_correction=True)
    return Reproduction(
        differences=(
            "the labels of the SEG are not those of its correction: it was changed after it was "
            "written",
        ),
        is_of_correction=True,
    )


def _require_source(old: Trace, source: Study) -> None:
    present = {
        instance.sop_instance_uid for series in source.series for instance in series.instances
    }
    if old.instances and not present & set(old.instances):
        raise InputError(
            f"the source holds none of the {len(old.instances)} instances that the result refers to"
        )


def _differences(result: Path, old: Trace, made: Sequence[Path]) -> Iterator[str]:
    """Yields the differences of a result and the new result of its kind."""
    paths = {path: trace(path) for path in made}
    for path, new in paths.items():
        if new.sop_instance_uid == old.sop_instance_uid:
            yield from _different_attributes(pydicom.dcmread(result), pydicom.dcmread(path))
            return
    same_series = [
        new for new in paths.values() if new.series_instance_uid == old.series_instance_uid
    ]
    if same_series:
        yield "the labels differ, though source, weights and settings are the same"
        return
    yield "no result of this run belongs to its series: the source, weights or settings differ"
    for new in paths.values():
        yield from _different_origin(old.origin, new.origin)
        return


def _different_origin(old: Origin, new: Origin) -> Iterator[str]:
    for field in fields(Origin):
        then, now = getattr(old, field.name), getattr(new, field.name)
        if then != now:
            yield f"{field.name.replace('_', ' ')}: {then} before, {now} now"


def _different_attributes(old: Dataset, new: Dataset) -> Iterator[str]:
    """Yields the attributes that differ; their values may be the patient's and are not shown."""
    for tag in sorted({*old.keys(), *new.keys()}):
        if old.get(tag) != new.get(tag):
            name = (old.get(tag) or new.get(tag)).name
            yield f"attribute {tag} {name} differs"

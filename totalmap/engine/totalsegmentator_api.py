"""Runs tasks that our own engine does not support with TotalSegmentator's python API.

The API runs in a process of its own, offline. Pipes carry the image there and the labels back.
TotalSegmentator's temporary files lie in a folder that is removed afterwards.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from totalmap.dicom.geometry import LPS_TO_RAS
from totalmap.dicom.volume import Volume
from totalmap.engine.checkpoints import ALLOWED_GLOBALS, require_no_code
from totalmap.engine.inference_resampling import InferenceImage, to_straight_grid
from totalmap.engine.label_cleanup import only_named
from totalmap.engine.learnt_structures import narrowed, why_fewer
from totalmap.engine.segment import Progress
from totalmap.engine.tasks import WHOLE_BODY_TASKS, Task, load_task
from totalmap.engine.weights import VerifiedModel, verify_models
from totalmap.environment_variables import child_environment
from totalmap.errors import ModelError, ResourceError
from totalmap.log import get_logger
from totalmap.segmentation import EngineKind, InferenceLabels, Segmentation
from totalmap.settings import Variant

PROCESS = Path(__file__).with_name("totalsegmentator_process.py")
OUT_OF_MEMORY = ("MemoryError", "can't allocate memory", "CUDA out of memory", "was likely killed")

log = get_logger()


class ApiSegmenter:
    """Segments volumes with TotalSegmentator's python API and verified weights."""

    def __init__(self, task: Task, models_folder: Path, licence_number: SecretStr | None) -> None:
        """Verifies the weights; TotalSegmentator loads them again for each volume.

        Raises:
            ModelError: Weights are missing, not on record or changed, or name code.
            ConfigError: The networks have learnt none of the structures.
        """
        self._task = task
        self._licence_number = licence_number
        # TotalSegmentator needs the folders of all networks, even of those that a subset omits.
        needed = (*task.chain[:-1], load_task(task.name, task.variant))
        self._models = tuple(
            model for part in needed for model in verify_models(models_folder, part, wanted=task)
        )
        for model in self._models:
            require_no_code(model.checkpoint)
        own = {model.dataset for model in task.models}
        learnt = [model.learnt for model in self._models if model.identity.dataset in own]
        self._looked_for = narrowed(task, learnt)

    def segment(self, volume: Volume, progress: Progress) -> Segmentation:
        """Returns the labels of the task on the slices of the volume.

        Slices that do not form a grid are interpolated on a grid first.

        Raises:
            ModelError: TotalSegmentator failed; the message quotes its own.
            ResourceError: The memory is too small.
        """
        progress(0, 1)
        image = to_straight_grid(volume)
        labels = only_named(self._run(image), self._looked_for)
        progress(1, 1)
        return Segmentation(
            task=self._task.name,
            variant=self._task.variant,
            volume=volume,
            labels=np.ascontiguousarray(image.to_source(labels)),
            inference=InferenceLabels(labels=labels, affine_lps=image.affine_lps),
            structures=self._looked_for.structures,
            models=tuple(model.identity for model in self._models),
            findings=tuple(filter(None, [why_fewer(self._looked_for)])),
            engine=EngineKind.TOTALSEGMENTATOR_API,
        )

    def _run(self, image: InferenceImage) -> NDArray[np.uint8]:
        """Returns the labels of an image, (x, y, z)."""
        nifti = nibabel.Nifti1Image(image.voxels, LPS_TO_RAS @ image.affine_lps)
        with tempfile.TemporaryDirectory(prefix="totalmap-") as name:
            home = Path(name)
            _write_config(home, self._licence_number)
            _link_weights(home / "weights", self._models)
            (home / "tmp").mkdir()
            words = [json.dumps(_arguments(self._task)), json.dumps(dict(ALLOWED_GLOBALS))]
            command = [sys.executable, "-P", PROCESS, home, *words]
            environment = child_environment(
                {
                    "TOTALSEG_HOME_DIR": name,
                    "TOTALSEG_WEIGHTS_PATH": str(home / "weights"),
                    "TMPDIR": str(home / "tmp"),
                    # PyTorch reads tensors and ALLOWED_GLOBALS only, whatever the code asks for.
                    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
                }
            )
            output = _run_process([str(word) for word in command], environment, nifti.to_bytes())
        labels: NDArray[np.uint8] = np.load(io.BytesIO(output), allow_pickle=False)
        return labels


def _arguments(task: Task) -> dict[str, Any]:
    names = [structure.name for structure in task.structures]
    return {
        "task": task.name,
        "fast": task.variant is Variant.FAST,
        "fastest": task.variant is Variant.FASTEST,
        "roi_subset": names if task.crop and task.name in WHOLE_BODY_TASKS else None,
        "nr_thr_saving": 1,  # each would start a process that imports torch
    }


def _write_config(home: Path, licence_number: SecretStr | None) -> None:
    """Writes TotalSegmentator's configuration; no statistics are sent."""
    config = {
        "totalseg_id": "totalmap",
        "send_usage_stats": False,
        "prediction_counter": 0,
        "statistics_disclaimer_shown": True,
    }
    if licence_number is not None:
        config["license_number"] = licence_number.get_secret_value()
    (home / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _link_weights(folder: Path, models: tuple[VerifiedModel, ...]) -> None:
    """Makes a weights folder with links to the verified files only.

    TotalSegmentator removes old weights from its folder; this folder has none.
    """
    for model in models:
        trainer_folder = folder / model.identity.dataset / model.trainer_folder.name
        fold = trainer_folder / model.checkpoint.parent.name
        fold.mkdir(parents=True)
        (fold / model.checkpoint.name).symlink_to(model.checkpoint.resolve())
        for name in ("plans.json", "dataset.json"):
            with suppress(FileExistsError):  # linked for another fold already
                (trainer_folder / name).symlink_to((model.trainer_folder / name).resolve())


def _run_process(command: list[str], environment: dict[str, str], sent: bytes) -> bytes:
    """Runs a process and returns its output; the process and its children always end here."""
    process = subprocess.Popen(  # noqa: S603  our own file
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, messages = process.communicate(sent)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        _raise(process.returncode, messages.decode(errors="replace"))
    return output


def _raise(status: int, messages: str) -> None:
    """Raises the error of a process; its messages hold no patient data, only voxels were sent."""
    lines = [line for line in messages.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it wrote no message"
    if status == -signal.SIGKILL or any(words in messages for words in OUT_OF_MEMORY):
        raise ResourceError("TotalSegmentator ran out of memory: give the run more memory")
    raise ModelError(f"TotalSegmentator's python API failed with status {status}: {last}")

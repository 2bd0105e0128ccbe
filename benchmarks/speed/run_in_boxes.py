"""Segments a study with each network in the box of its own structures.

    python -m benchmarks.speed.run_in_boxes INPUT MODELS ROUGH_LABELS ARITHMETIC LABELS

benchmarks.speed runs this in a process of its own. Random weights find no structures, so that there
would be no boxes: the rough network at 6 mm runs, and then ROUGH_LABELS, which another network has
found, take the place of its labels. It writes the labels as NIfTI.
"""

import sys
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap import log
from totalmap.dicom.geometry import to_las
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.engine.arithmetic.proven_shortcuts import remember_in
from totalmap.engine.confidence import segment_with_confidence
from totalmap.engine.predict import Networks
from totalmap.engine.resample import Resample
from totalmap.engine.segment import Progress, find
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.engine.tasks import Task, load_task
from totalmap.environment_variables import prepare_threads
from totalmap.log import configure
from totalmap.private_cache import PrivateCache, cache_home
from totalmap.segmentation import ModelIdentity
from totalmap.settings import Arithmetic, Search, Settings, Variant

TASK = load_task("total", Variant.FULL, search=Search.BOXES)


class KnownRoughNetwork:
    """The rough network, whose labels are replaced by known ones.

    Attributes:
        task: The rough task.
        identities: The rough network.
        arithmetic: That of the rough network.
        threads: Those of the rough network.
        resample: Resamples images, on the device of the rough network.
    """

    def __init__(self, networks: Networks, labels: NDArray[np.uint8]) -> None:
        """Takes the network, and labels of its task, (z, y, x), at any spacing."""
        self.task: Task = networks.task
        self.identities: tuple[ModelIdentity, ...] = networks.identities
        self.arithmetic: str = networks.arithmetic
        self.threads: int | None = networks.threads
        self.resample: Resample = networks.resample
        self._networks = networks
        self._labels = labels

    def predict(
        self, image: NDArray[np.generic], progress: Progress, margins: TaskMargins | None = None
    ) -> NDArray[np.uint8]:
        """Runs the network, and returns the known labels on the grid of the image."""
        self._networks.predict(image, progress, margins)
        factors = np.divide(image.shape, self._labels.shape)
        labels: NDArray[np.uint8] = ndimage.zoom(
            self._labels, factors, order=0, mode="nearest", grid_mode=True
        )
        return labels


def save_rough_labels(source: Path, models: Path, target: Path) -> None:
    """Writes what a 3 mm network finds in a study, (z, y, x), as a NumPy array."""
    networks = Networks(load_task("total", Variant.FAST), models)
    _, inference = find(_volume(source), networks, None, _silent)
    np.save(target, inference.labels.transpose(2, 1, 0))


def main() -> None:
    """Runs the study."""
    source, models, rough_labels, arithmetic, target = sys.argv[1:]
    configure("json")
    prepare_threads()
    remember_in(PrivateCache(cache_home(None)))
    volume = _volume(Path(source))
    rough_task, task = TASK.chain
    rough = Networks(rough_task, Path(models), arithmetic=Arithmetic(arithmetic))
    networks = Networks(task, Path(models), arithmetic=Arithmetic(arithmetic))
    known = KnownRoughNetwork(rough, np.load(rough_labels))
    found = segment_with_confidence(volume, (known, networks), (), _silent, networks.parts)
    labels, affine_ras = to_las(found.labels, volume.geometry)
    nibabel.save(nibabel.Nifti1Image(labels, affine_ras), target)
    log.get_logger().info("run_succeeded")


def _volume(source: Path) -> Volume:
    settings = Settings()
    (selection,) = selected(judge(read_study(source), settings.selection, settings.geometry))
    return build_volume(selection, settings.geometry)


def _silent(_done: int, _total: int) -> None:
    pass


if __name__ == "__main__":
    main()

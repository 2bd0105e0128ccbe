"""Measures how well each network agrees with itself if it searches in a box, on a CT of the user.

A network sees less in a box, so borders may move near its edges, and a structure that the rough
network misses may be cut. Therefore boxes are allowed only for weights that were measured with
them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from totalmap.dicom.volume import Volume
from totalmap.engine.bf16_agreement import SMALLEST_VOXELS, dice_by_label
from totalmap.engine.predict import Networks
from totalmap.engine.segment import find
from totalmap.engine.segment_in_boxes import LabelExtents, box_of, label_extents
from totalmap.engine.supported_tasks import why_unsupported
from totalmap.engine.tasks import WHOLE_BODY_TASKS, Task, load_task
from totalmap.engine.weights_manifest import (
    BoxAgreement,
    Manifest,
    read_manifest,
    record_box_agreements,
)
from totalmap.errors import InputError
from totalmap.log import get_logger
from totalmap.settings import Device, Search, Variant

log = get_logger()


def measure_boxes(folder: Path, volume: Volume) -> Manifest:
    """Runs the networks of a models folder in the whole volume and in boxes; records the agreement.

    Only the networks that can search in boxes, and that our engine supports, are measured. All
    networks run in exact arithmetic.

    Args:
        folder: Models on record, with the rough networks that find the boxes.
        volume: A volume with many structures of the networks.

    Raises:
        ModelError: Weights are not on record or changed, or a rough network is missing.
        InputError: No network on record finds anything in the volume.
    """
    agreements: dict[str, BoxAgreement] = {}
    rough_networks: dict[Task, Networks] = {}
    extents: dict[Task, LabelExtents] = {}
    for part in _networks_with_boxes(folder, volume.modality):
        if part.crop is None:  # without a rough network, it searches the whole volume anyway
            continue
        rough = part.crop.task
        if rough not in extents:
            rough_networks[rough] = Networks(rough, folder, device=Device.CPU)
            extents[rough] = label_extents(find(volume, rough_networks[rough], None, _ignore)[0])
        (model,) = part.models
        dice = _dice(part, folder, volume, extents)
        if not dice:
            log.warning("boxes_not_measured", dataset=model.dataset, reason="it finds nothing")
            continue
        (identity,) = rough_networks[rough].identities
        agreements[model.dataset] = BoxAgreement(rough_sha256=identity.sha256, dice=dice)
    if not agreements:
        raise InputError(
            f"no network of {', '.join(WHOLE_BODY_TASKS)}, variant full, in {folder} finds a "
            f"structure of {SMALLEST_VOXELS} voxels in this series: boxes can't be measured on it"
        )
    return record_box_agreements(folder, agreements)


def _networks_with_boxes(folder: Path, modality: str) -> Iterator[Task]:
    """Yields the task of each network on record that can search in a box."""
    on_record = {record.dataset for record in read_manifest(folder).models}
    for name in WHOLE_BODY_TASKS:
        for part in load_task(name, Variant.FULL, search=Search.BOXES).boxes:
            (model,) = part.models
            is_here = (folder / model.checkpoint).is_file() and model.dataset in on_record
            if is_here and modality == part.modality and not why_unsupported(part, folder):
                yield part


def _dice(
    part: Task, folder: Path, volume: Volume, extents: dict[Task, LabelExtents]
) -> dict[str, float]:
    """Returns the Dice of each structure of a network in its box against the whole volume."""
    networks = Networks(part, folder, device=Device.CPU)
    exact, _ = find(volume, networks, None, _ignore)
    boxed = np.zeros_like(exact)
    if box := box_of(part, extents, volume.geometry):
        boxed, _ = find(volume, networks, box, _ignore)
    dice = dice_by_label(exact, boxed)
    return {
        structure.name: round(dice[structure.label], 4)
        for structure in networks.task.structures
        if structure.label in dice
    }


def _ignore(_done: int, _total: int) -> None:
    """Shows no progress."""

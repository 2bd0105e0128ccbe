"""Runs the networks of a task on an image.

The labels equal those of TotalSegmentator 2.18 (totalsegmentator.nnunet.nnUNet_predict_image with
nnunetv2.inference.predict_from_raw_data) voxel by voxel, with the same weights, in memory and in
one process.
"""

from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.arithmetic.device_fallbacks import (
    Load,
    NetworkFallbacks,
    choose_device,
    network_fallbacks,
)
from totalmap.engine.arithmetic.network_interface import TileNetwork
from totalmap.engine.cut_tiles import (
    CpuTileSource,
    DeviceTileSource,
    TileSource,
    UploadedImage,
)
from totalmap.engine.gpu_image_resampling import resampling_on
from totalmap.engine.learnt_structures import narrowed
from totalmap.engine.logit_margins import MarginSums
from totalmap.engine.memory_need import SMALLER_TILE_BYTES, bytes_needed
from totalmap.engine.memory_reservation import (
    one_at_a_time,
    other_reservations,
    reserved,
    unreserved_bytes,
)
from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import Plans, read_plans
from totalmap.engine.normalize_intensity import scaling
from totalmap.engine.segment import Progress
from totalmap.engine.sliding_window import TileCounter, predict_labels
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.engine.tasks import Task
from totalmap.engine.tile_layout import (
    SPLIT_ABOVE_VOXELS,
    Slices,
    is_split,
    thirds,
    tiles,
    undivided,
)
from totalmap.engine.weights import VerifiedModel, require_good_bf16, verify_models
from totalmap.errors import MemoryInUse, ModelError, ResourceError
from totalmap.keep_freed_memory import give_back_freed_memory, keep_freed_memory, keep_no_memory
from totalmap.log import get_logger
from totalmap.segmentation import ModelIdentity
from totalmap.settings import Arithmetic, Device, MemoryShort

log = get_logger()

GIGABYTE = 1e9

Fallbacks = Callable[[Load, Plans, Arithmetic, torch.device], NetworkFallbacks]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    plans: Plans
    fallbacks: NetworkFallbacks
    label_table: tuple[int, ...]
    weights_bytes: int
    learnt: frozenset[int]
    identity: ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Planes of an image, the box of their nonzero voxels, and the tiles of each network."""

    image: NDArray[np.generic]
    box: Slices
    cropped: UploadedImage
    layouts: tuple[list[Slices], ...]


class Networks:
    """The networks of one task, loaded once, for any number of images.

    Attributes:
        task: The task, with the structures that its networks have learnt.
        identities: The networks.
        resample: Resamples images for `predict`, on the device of the networks.
        parts: One for each of `Task.boxes`, with the network of that box; a network that has learnt
            none of its structures has none. They share the loaded networks and the memory.
    """

    def __init__(
        self,
        task: Task,
        models_folder: Path,
        *,
        arithmetic: Arithmetic = Arithmetic.EXACT,
        device: Device = Device.AUTO,
        memory_short: MemoryShort = MemoryShort.SMALLER,
        split_above_voxels: int = SPLIT_ABOVE_VOXELS,
        measured_only: bool = True,
        free_bytes: Callable[[], int] = unreserved_bytes,
        fallbacks: Fallbacks = network_fallbacks,
    ) -> None:
        """Verifies and loads the networks.

        Args:
            task: The task.
            models_folder: Holds the networks and their record.
            arithmetic: Arithmetic on a CPU.
            device: Device of the networks.
            memory_short: Policy if the memory is too small for all networks.
            split_above_voxels: Larger images are segmented in three parts if the task has several
                networks, as in TotalSegmentator.
            free_bytes: Returns the memory in bytes that is free and not reserved by other runs.
            fallbacks: Returns the options of a network; replaced to rehearse a GPU on a CPU.
            measured_only: Whether bf16 has to be measured and good; False to measure it.

        Raises:
            ModelError: Weights are missing, not on record, changed, of another kind, or not
                measured with the arithmetic.
            ConfigError: The device is missing, the arithmetic is not installed, or the networks
                have learnt none of the structures.
        """
        verified = verify_models(models_folder, task)
        if arithmetic is Arithmetic.BF16 and measured_only:
            require_good_bf16(verified)
        self.task = narrowed(task, (model.learnt for model in verified))
        self._arithmetic = arithmetic
        self._memory_short = memory_short
        self._free_bytes = free_bytes
        self._split_above_voxels = split_above_voxels
        chosen = choose_device(device)
        self.resample = resampling_on(chosen)
        self._models = tuple(_model(model, arithmetic, chosen, fallbacks) for model in verified)
        self.identities = tuple(model.identity for model in self._models)
        self._sharing_memory = self._models
        self.parts: tuple[Networks, ...] = tuple(
            self._alone(part, model)
            for part, model in zip(task.boxes, self._models if task.boxes else (), strict=True)
            if any(structure.label in model.learnt for structure in part.structures)
        )
        for model in self._models:
            model.fallbacks.load()

    def _alone(self, part: Task, model: _Model) -> "Networks":
        """Returns one of the loaded networks, as the network of a task of its own."""
        alone = copy(self)
        alone.task = narrowed(part, (model.learnt,))
        alone.identities = (model.identity,)
        alone.parts = ()
        alone._models = (model,)
        return alone

    @property
    def arithmetic(self) -> str:
        """Arithmetic of the last prediction; several joined by + if the memory ran out."""
        return "+".join(sorted({model.fallbacks.arithmetic for model in self._models}))

    @property
    def threads(self) -> int:
        """Number of threads of the networks on a CPU."""
        return torch.get_num_threads()

    def predict(
        self, image: NDArray[np.generic], progress: Progress, margins: TaskMargins | None = None
    ) -> NDArray[np.uint8]:
        """Returns the labels of all networks; later networks overwrite earlier ones.

        Args:
            image: (z, y, x) in HU, at the spacing of the task.
            progress: Called with tiles done and all tiles.
            margins: The margins of all networks are added to it.

        Returns:
            (z, y, x) labels of the task.

        Raises:
            ResourceError: The memory is too small, or other runs need it now.
            OutputError: A logit is not finite.
        """
        with ExitStack() as held:
            with one_at_a_time():
                keep_loaded, needed = self._ensure_memory(image.shape)
                held.enter_context(reserved(needed))
            return self._predict(image, progress, margins, keep_loaded=keep_loaded)

    def _predict(
        self,
        image: NDArray[np.generic],
        progress: Progress,
        margins: TaskMargins | None,
        *,
        keep_loaded: bool,
    ) -> NDArray[np.uint8]:
        places = undivided(image.shape[0])
        if self.task.several_models and is_split(image.shape, self._split_above_voxels):
            places = thirds(image.shape[0])
        parts = [self._part(image[place.seen]) for place in places]
        tiles_in_all = sum(len(layout) for part in parts for layout in part.layouts)
        counter = TileCounter(tiles_in_all, progress)
        labels = np.empty(image.shape, dtype=np.uint8)
        for place, part in zip(places, parts, strict=True):
            seen = np.zeros(image[place.seen].shape, dtype=np.uint8)
            for model, layout in zip(self._models, part.layouts, strict=True):
                found, sums = _predict(model, part, layout, counter)
                overwrite_labels(seen[part.box], found, model.label_table)
                if margins is not None:
                    margins.add(sums, model.label_table)
                if not keep_loaded:
                    model.fallbacks.unload()
            labels[place.kept] = seen[place.kept_of_seen]
        give_back_freed_memory()  # otherwise fragments accumulate from study to study
        log.info("networks_ran", tiles=counter.total, seconds=round(counter.seconds, 3))
        return labels

    def _part(self, image: NDArray[np.generic]) -> _Part:
        box = nonzero_box(image)
        layouts = tuple(self._layout(image[box].shape, model.plans) for model in self._models)
        return _Part(image=image, box=box, cropped=UploadedImage(image[box]), layouts=layouts)

    def _layout(self, shape: tuple[int, ...], plans: Plans) -> list[Slices]:
        padded = tuple(map(max, shape, plans.patch_size))
        return tiles(padded, plans.patch_size, self.task.step_size)

    def require_memory(self, shape: tuple[int, ...]) -> None:
        """Makes sure that an image, (z, y, x), fits the memory; frees memory if it is short.

        Raises:
            ResourceError: The memory is too small.
        """
        self._ensure_memory(shape)

    def _ensure_memory(self, shape: tuple[int, ...]) -> tuple[bool, int]:
        """Returns whether all networks may stay loaded, and the bytes that the prediction needs.

        Frees memory if it is short.

        Raises:
            ResourceError: The memory is too small, or other runs need it now.
        """
        if self._arithmetic is Arithmetic.EXACT:  # the others manage their memory themselves
            keep_freed_memory()
        plans = tuple(model.plans for model in self._models)
        unloaded = (model for model in self._models if not model.fallbacks.is_loaded)
        needed = bytes_needed(shape, plans, self._arithmetic)
        needed += sum(model.weights_bytes for model in unloaded)
        if needed <= self._free_bytes():
            return True, needed
        give_back_freed_memory()
        if needed <= self._free_bytes():
            return True, needed
        if self._memory_short is MemoryShort.SMALLER:
            for model in self._sharing_memory:
                model.fallbacks.unload()
            keep_no_memory()
            needed = bytes_needed(shape, plans, self._arithmetic, SMALLER_TILE_BYTES)
            needed += max(model.weights_bytes for model in self._models)
            if needed <= self._free_bytes():
                log.warning("memory_short", going_on_with="one network at a time, and slower")
                return False, needed
        raise self._too_large(shape, needed)

    def _too_large(self, shape: tuple[int, ...], needed: int) -> ResourceError:
        """Returns the error for an image that does not fit into the memory that is free."""
        voxels, need = " x ".join(map(str, shape)), f"{needed / GIGABYTE:.1f}"
        free_bytes = self._free_bytes()
        others_bytes = sum(other.reserved_bytes for other in other_reservations())
        free, others = f"{max(free_bytes, 0) / GIGABYTE:.1f}", f"{others_bytes / GIGABYTE:.1f}"
        if others_bytes and needed <= free_bytes + others_bytes:
            return MemoryInUse(
                f"an image of {voxels} voxels for task {self.task.name}, variant "
                f"{self.task.variant}, needs {need} GB of memory, and {free} GB are free beside "
                f"other runs of this machine, which need {others} GB: run it again when they are "
                "done, or run fewer at a time"
            )
        return ResourceError(
            f"an image of {voxels} voxels for task {self.task.name}, variant {self.task.variant}, "
            f"needs {need} GB of memory, and {free} GB are free: give the run more, or choose a "
            "coarser variant"
        )


def _model(
    verified: VerifiedModel, arithmetic: Arithmetic, device: torch.device, fallbacks: Fallbacks
) -> _Model:
    plans = read_plans(verified.trainer_folder)
    if plans.heads > len(verified.label_table):
        raise ModelError(
            f"{verified.identity.dataset} has {plans.heads} labels, "
            f"the task {len(verified.label_table)}"
        )

    def load() -> torch.nn.Module:
        return load_network(plans, verified.checkpoint)

    return _Model(
        plans=plans,
        fallbacks=fallbacks(load, plans, arithmetic, device),
        label_table=verified.label_table,
        weights_bytes=verified.checkpoint.stat().st_size,
        learnt=verified.learnt,
        identity=verified.identity,
    )


def _predict(
    model: _Model, part: _Part, layout: list[Slices], counter: TileCounter
) -> tuple[NDArray[np.uint8], MarginSums]:
    """Returns the labels of one network in the box, (z, y, x), by its own numbers, and margins."""
    scale = scaling(part.image, part.box, model.plans.normalization)

    def source_for(network: TileNetwork) -> TileSource:
        if network.on_gpu:
            image = part.cropped.on(network.device)
            return DeviceTileSource(image, scale, model.plans.patch_size)
        part.cropped.free()
        return CpuTileSource(part.cropped.voxels, scale, model.plans.patch_size)

    def work(
        network: TileNetwork, sums_device: torch.device
    ) -> tuple[NDArray[np.uint8], MarginSums]:
        source = source_for(network)
        margins = MarginSums(source.inside)  # new for each attempt
        with counter.attempt():
            labels = predict_labels(
                source, source.shape, layout, network, sums_device, counter, margins
            )
        return labels[source.inside], margins

    return model.fallbacks.run(work)


def overwrite_labels(
    combined: NDArray[np.uint8], part: NDArray[np.uint8], label_table: tuple[int, ...]
) -> None:
    """Writes the labels of a network, translated to the task's, into `combined`.

    Where two networks label a voxel, the later one counts, as in TotalSegmentator's
    nnUNet_predict_image.
    """
    translated = np.asarray(label_table, dtype=np.uint8)[part]
    np.copyto(combined, translated, where=translated != 0)


def nonzero_box(image: NDArray[np.generic]) -> Slices:
    """Returns the box of all voxels that are not 0 (nnunetv2's crop_to_nonzero).

    nnU-Net fills holes first, which does not change the box. The box of an image of zeros is the
    whole image.
    """
    rows = np.zeros(image.shape[:2], dtype=np.bool_)
    columns = np.zeros(image.shape[2], dtype=np.bool_)
    for z, plane in enumerate(image):  # plane by plane, to avoid a copy of the image
        occupied = plane != 0
        rows[z] = occupied.any(axis=1)
        columns |= occupied.any(axis=0)
    return _extent(rows.any(axis=1)), _extent(rows.any(axis=0)), _extent(columns)


def _extent(occupied: Any) -> slice:
    places = np.flatnonzero(occupied)
    if not places.size:
        return slice(0, len(occupied))
    return slice(int(places[0]), int(places[-1]) + 1)

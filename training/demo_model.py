"""Trains the demonstration model: `python -m training.demo_model --minutes 40`.

The training starts at half resolution and below, which is cheap and where the network learns most.
Then the finest stage starts from there (initialise_finest_stage.py). An interrupted run continues
at its last checkpoint.

With glibc a step takes a third less time if freed memory stays with the process:
MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.inferers import sliding_window_inference
from monai.losses import DeepSupervisionLoss, DiceCELoss
from monai.utils import set_determinism
from torch import Tensor, nn

from totalmap.engine.weights_manifest import adopt

from .demo_network import PATCH_SIZE, build_network, export, forward, save_atomically
from .demo_structures import STRUCTURES, compact_labels
from .initialise_finest_stage import start_finest
from .phantom_volumes import normalised, render, training_transform

log = logging.getLogger("training")

VALIDATION_SEEDS = (8000, 8001, 8002)
TRAINING_SEEDS = 6000  # the seeds 0 to 5999; evaluation uses 9000 and above
TILE_OVERLAP = 0.2  # TotalSegmentator's step of 0.8 for the task `total`
USABLE_DICE = 0.7
SOURCE = "training/demo_model.py"
LICENCE = "Apache-2.0"
NOTICE = "demo model: it knows synthetic bodies only, not for patients"
NOTICE_IN = {"de": "Demomodell: kennt nur synthetische Körper, nicht für Patienten"}
WARM_UP_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """The time and the parameters of the training."""

    minutes: float
    work: Path  # checkpoints and log
    models: Path  # where the model is exported
    seed: int = 0
    threads: int = 2
    batch_size: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    coarse_share: float = 0.3  # of the time, at half resolution and below
    cache_bodies: int = 240
    validate_minutes: float = 5.0


@dataclass(slots=True)
class Progress:
    """The progress of the training."""

    seconds: float = 0.0
    step: int = 0
    best: float = 0.0
    finest_started: bool = False


class Trainer:
    """Trains the network; continues at the last checkpoint."""

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan
        torch.set_num_threads(plan.threads)
        set_determinism(plan.seed)
        network = build_network(len(STRUCTURES) + 1)
        self.network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.loss = DeepSupervisionLoss(
            DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        )
        self.progress = Progress()
        self._steps_warm = 0
        self.checkpoint = plan.work / "training.pth"
        plan.work.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self) -> None:
        """Trains for the planned time, then exports the model."""
        budget = self.plan.minutes * 60.0
        seeds = np.random.default_rng(self.plan.seed).permutation(TRAINING_SEEDS)
        bodies = CacheDataset(
            [{"seed": int(seed)} for seed in seeds[: self.plan.cache_bodies]],
            training_transform(PATCH_SIZE),
            num_workers=self.plan.threads,
            progress=False,
        )
        loader = DataLoader(bodies, batch_size=self.plan.batch_size, shuffle=True, num_workers=0)
        log.info("bodies ready: %d", len(bodies))
        next_validation = self.progress.seconds + self.plan.validate_minutes * 60.0
        while self.progress.seconds < budget:
            self._epoch(loader, budget)
            save_atomically(self._state(), self.checkpoint)
            if self.progress.seconds >= next_validation:
                self._validate()
                next_validation = self.progress.seconds + self.plan.validate_minutes * 60.0
        self._validate(last=True)

    def _epoch(self, loader: DataLoader, budget: float) -> None:
        losses = []
        self.network.train()
        begin, first = time.monotonic(), self.progress.step
        for batch in loader:
            before = time.monotonic()
            share = min(self.progress.seconds / budget, 1.0)
            for group in self.optimizer.param_groups:
                warm_up = min(1.0, (self._steps_warm + 1) / WARM_UP_STEPS)
                group["lr"] = self.plan.learning_rate * warm_up * max(1.0 - share, 0.005) ** 0.9
            finest = 1 if share < self.plan.coarse_share else 0
            if finest == 0 and not self.progress.finest_started:
                self._start_finest(loader)
            losses.append(self._step(batch["image"], batch["label"], finest))
            self.progress.step += 1
            self._steps_warm += 1
            self.progress.seconds += time.monotonic() - before
            if self.progress.seconds >= budget:
                break
        steps = self.progress.step - first
        log.info(
            "%5.1f min  step %5d  loss %.3f  %.2f s/step",
            self.progress.seconds / 60.0,
            self.progress.step,
            float(np.mean(losses)),
            (time.monotonic() - begin) / max(steps, 1),
        )

    def _start_finest(self, loader: DataLoader) -> None:
        """Continues from half to full resolution."""
        self.network.eval()
        start_finest(self.network, [batch["image"] for batch in islice(loader, 4)])
        self.optimizer.state.clear()  # its moments belong to the old weights
        self._steps_warm = 0
        self.progress.finest_started = True
        self._validate()
        self.network.train()

    def _step(self, image: Tensor, label: Tensor, finest: int) -> float:
        image = image.as_tensor() if hasattr(image, "as_tensor") else image
        label = label.as_tensor() if hasattr(label, "as_tensor") else label
        if finest:
            label = label[:, :, ::2, ::2, ::2]
        image = image.to(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = forward(self.network, image, finest=finest)
        loss: Tensor = self.loss([level.float() for level in logits], label.float())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 12.0)
        self.optimizer.step()
        return float(loss.detach())

    def _validate(self, *, last: bool = False) -> None:
        begin = time.monotonic()
        finest = 0 if self.progress.finest_started else 1
        scores = np.nanmean([dice_of(self.network, s, finest) for s in VALIDATION_SEEDS], axis=0)
        mean = float(np.nanmean(scores))
        log.info(
            "validation %.4f (%.0f s)  %s",
            mean,
            time.monotonic() - begin,
            "  ".join(f"{n}={s:.2f}" for n, s in zip(STRUCTURES, scores, strict=True)),
        )
        # the full-resolution head is untrained in the coarse phase
        if finest == 0 and (last or mean >= max(self.progress.best, USABLE_DICE)):
            folder = export(self.network.state_dict(), self.plan.models)
            adopt(
                self.plan.models, source=SOURCE, licence=LICENCE, notice=NOTICE, notice_in=NOTICE_IN
            )
            log.info("exported to %s", folder)
        self.progress.best = max(self.progress.best, mean) if finest == 0 else 0.0

    def _state(self) -> dict[str, object]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.progress.seconds,
            "step": self.progress.step,
            "best": self.progress.best,
            "finest_started": self.progress.finest_started,
        }

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(
            state["seconds"], state["step"], state["best"], state["finest_started"]
        )
        log.info("resumed at step %d", self.progress.step)


def dice_of(network: nn.Module, seed: int, finest: int) -> list[float]:
    """Returns the Dice of every structure on an unseen body; NaN if it is not in the scan."""
    hu, labels, _affine = render(seed, "trunk")
    image = torch.from_numpy(normalised(hu))[None, None]

    def predict(tiles: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = forward(network, tiles, finest=finest)[0].float()
        if finest:
            logits = nn.functional.interpolate(logits, scale_factor=2, mode="trilinear")
        return logits

    network.eval()
    with torch.inference_mode():
        logits = sliding_window_inference(
            image, PATCH_SIZE, 1, predict, overlap=TILE_OVERLAP, mode="gaussian"
        )
    found = torch.as_tensor(logits)[0].argmax(0).numpy()
    truth = compact_labels(labels)
    return [_dice(found == c, truth == c) for c in range(1, len(STRUCTURES) + 1)]


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    size = int(truth.sum())
    if size == 0:
        return float("nan")
    return 2.0 * int((found & truth).sum()) / (size + int(found.sum()))


def main() -> None:
    """Parses the arguments and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--work", type=Path, default=Path("build/demo_model"))
    parser.add_argument("--models", type=Path, default=Path("models/demo"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bodies", type=int, default=240, help="bodies held in memory")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    Trainer(
        TrainingPlan(
            minutes=arguments.minutes,
            work=arguments.work,
            models=arguments.models,
            seed=arguments.seed,
            threads=arguments.threads,
            cache_bodies=arguments.bodies,
        )
    ).run()


if __name__ == "__main__":
    main()

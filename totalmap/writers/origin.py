"""Where a result comes from, as a line that stands in every DICOM object and can be read back."""

import re
from dataclasses import dataclass
from typing import Self

from totalmap import __version__
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings

_TEXT = re.compile(
    r"TotalMAP (?P<version>\S+); task (?P<task>\S+), variant (?P<variant>\S+); "
    r"engine (?P<engine>\S+), arithmetic (?P<arithmetic>\S+), device (?P<device>\S+); "
    r"AI result, unverified; SHA-256 of settings (?P<settings>[0-9a-f]{64}), "
    r"of weights (?P<weights>.*)"
)
_WEIGHTS = re.compile(r"(\S+) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A network, and the SHA-256 of its checkpoint."""

    dataset: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What made a result.

    Attributes:
        version: Of TotalMAP.
        settings_sha256: `Settings.fingerprint`.
        weights: The networks that took part.
    """

    version: str
    task: str
    variant: str
    engine: str
    arithmetic: str
    device: str
    settings_sha256: str
    weights: tuple[Weights, ...]

    @classmethod
    def of(cls, segmentation: Segmentation, settings: Settings) -> Self:
        """Returns what makes a result of this run."""
        return cls(
            version=__version__,
            task=segmentation.task,
            variant=segmentation.variant,
            engine=segmentation.engine,
            arithmetic=segmentation.arithmetic,
            device=segmentation.device,
            settings_sha256=settings.fingerprint(),
            weights=tuple(
                Weights(dataset=model.dataset, sha256=model.sha256) for model in segmentation.models
            ),
        )

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Returns what `__str__` was written from; None for any other text."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        return cls(
            version=found["version"],
            task=found["task"],
            variant=found["variant"],
            engine=found["engine"],
            arithmetic=found["arithmetic"],
            device=found["device"],
            settings_sha256=found["settings"],
            weights=tuple(
                Weights(dataset=dataset, sha256=sha256)
                for dataset, sha256 in _WEIGHTS.findall(found["weights"])
            ),
        )

    def __str__(self) -> str:
        """Returns the line; for five networks it has 800 of the 1024 characters of an ST."""
        weights = ", ".join(f"{one.dataset} {one.sha256}" for one in self.weights)
        return (
            f"TotalMAP {self.version}; task {self.task}, variant {self.variant}; "
            f"engine {self.engine}, arithmetic {self.arithmetic}, device {self.device}; "
            f"AI result, unverified; SHA-256 of settings {self.settings_sha256}, "
            f"of weights {weights}"
        )

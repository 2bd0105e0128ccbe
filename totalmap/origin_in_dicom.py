"""Writes the origin of a result into every DICOM object, and reads it back.

Contributing Equipment Sequence (PS3.3 C.12.1) has several items of TotalMAP, since a Contribution
Description holds at most 1024 characters. The first item states how the result was made, further
items list weights that do not fit there, and one item lists the labels that were looked for and the
licences of the weights. Labels that a person has corrected have an item for each correction after
them, the latest first.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Self

from pydicom.dataset import Dataset

from totalmap import __version__
from totalmap.correction_history import CorrectionRecord, label_ranges, labels_in
from totalmap.structures import Structure

if TYPE_CHECKING:
    from totalmap.segmentation import Segmentation
    from totalmap.settings import Settings

MANUFACTURER = "TotalMAP"

_HOW = re.compile(
    r"TotalMAP (?P<version>\S+); task (?P<task>\S+), variant (?P<variant>\S+); "
    r"engine (?P<engine>\S+), arithmetic (?P<arithmetic>\S+), "
    r"(search (?P<search>\S+), )?device (?P<device>\S+); "
    r"AI result, unverified; SHA-256 of settings (?P<settings>[0-9a-f]{64}), "
    r"of weights (?P<weights>.*)"
)
_FURTHER = re.compile(r"TotalMAP; further weights (?P<weights>.*)")
_WEIGHTS = re.compile(r"(\S+) ([0-9a-f]{64})")

_WHAT = re.compile(r"TotalMAP; labels looked for: (?P<labels>[0-9,-]*)(?P<licences>(; .*)?)")
_LICENCE = re.compile(r"; licence (\S+) of ([^\s;,]+(?:, [^\s;,]+)*)")
_NOT_IN_A_LICENCE = re.compile(r"[^A-Za-z0-9.+-]+")
# Longer names of the licences of seven networks might not fit.
_LICENCE_LENGTH = 40
_SHORT_TEXT = 1024  # PS3.5 6.2, ST


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A network, the SHA-256 of its checkpoint, and its licence.

    The licence is empty in objects of earlier versions.
    """

    dataset: str
    sha256: str
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The software, the weights and the settings that made a result.

    Attributes:
        version: Version of TotalMAP.
        search: Where each network searched: `whole`, also in objects of earlier versions, or
            `boxes`.
        settings_sha256: `Settings.fingerprint` of the run.
        weights: The networks that were used.
        looked_for: Labels of the structures that the object holds if they are found, as `1-3,5`;
            empty in objects of earlier versions.
        corrections: The corrections by people, the latest first.
    """

    version: str
    task: str
    variant: str
    engine: str
    arithmetic: str
    device: str
    settings_sha256: str
    weights: tuple[Weights, ...]
    search: str = "whole"
    looked_for: str = ""
    corrections: tuple[CorrectionRecord, ...] = ()

    @classmethod
    def of(
        cls,
        segmentation: "Segmentation",
        settings: "Settings",
        structures: Iterable[Structure] | None = None,
    ) -> Self:
        """Returns the origin of a result of this run.

        That of corrected labels is the origin of the labels before the correction, with the
        correction.

        Args:
            segmentation: The result.
            settings: The settings of the run.
            structures: The structures that the object holds if they are found; None: all
                structures that were looked for.
        """
        looked_for = segmentation.structures if structures is None else tuple(structures)
        origin = cls(
            version=__version__,
            task=segmentation.task,
            variant=segmentation.variant,
            engine=segmentation.engine,
            arithmetic=segmentation.arithmetic,
            search=segmentation.search,
            device=segmentation.device,
            settings_sha256=settings.fingerprint(),
            weights=tuple(
                Weights(
                    dataset=model.dataset,
                    sha256=model.sha256,
                    licence=_NOT_IN_A_LICENCE.sub("-", model.licence)[:_LICENCE_LENGTH],
                )
                for model in segmentation.models
            ),
            looked_for=label_ranges(structure.label for structure in looked_for),
        )
        correction = segmentation.correction
        if correction is None:
            return origin
        return replace(
            origin,
            version=correction.version,
            settings_sha256=correction.settings_sha256,
            corrections=(
                correction.record(segmentation.sha256_of(looked_for)),
                *correction.earlier,
            ),
        )

    @property
    def labels(self) -> frozenset[int]:
        """The labels of `looked_for`; empty if the object does not state them."""
        return labels_in(self.looked_for)

    def lines(self) -> tuple[str, ...]:
        """Returns the origin as texts of at most 1024 characters, which `read` understands."""
        how = (
            f"TotalMAP {self.version}; task {self.task}, variant {self.variant}; "
            f"engine {self.engine}, arithmetic {self.arithmetic}, search {self.search}, "
            f"device {self.device}; "
            f"AI result, unverified; SHA-256 of settings {self.settings_sha256}, "
            "of weights "
        )
        further = "TotalMAP; further weights "
        weights = [f"{network.dataset} {network.sha256}" for network in self.weights]
        made: list[str] = []
        while weights or not made:
            line = further if made else how
            fitting = max(_fitting(line, weights), 1)
            made.append(line + ", ".join(weights[:fitting]))
            weights = weights[fitting:]
        return (*made, self._what(), *(record.text() for record in self.corrections))

    def _what(self) -> str:
        of_licence: dict[str, dict[str, None]] = {}
        for network in self.weights:
            if network.licence:
                of_licence.setdefault(network.licence, {})[network.dataset] = None
        licences = (f"; licence {name} of {', '.join(sets)}" for name, sets in of_licence.items())
        return f"TotalMAP; labels looked for: {self.looked_for}{''.join(licences)}"

    @classmethod
    def read(cls, lines: Iterable[str]) -> Self | None:
        """Returns the origin from its texts; None if TotalMAP wrote none of them.

        Objects of earlier versions have only the first text.
        """
        read = tuple(lines)
        how = next(filter(None, map(_HOW.fullmatch, read)), None)
        if how is None:
            return None
        further = [found["weights"] for found in map(_FURTHER.fullmatch, read) if found]
        what = next(filter(None, map(_WHAT.fullmatch, read)), None)
        licences = dict(_licences(what["licences"])) if what else {}
        return cls(
            version=how["version"],
            task=how["task"],
            variant=how["variant"],
            engine=how["engine"],
            arithmetic=how["arithmetic"],
            search=how["search"] or "whole",
            device=how["device"],
            settings_sha256=how["settings"],
            weights=tuple(
                Weights(dataset=dataset, sha256=sha256, licence=licences.get(dataset, ""))
                for dataset, sha256 in _WEIGHTS.findall(", ".join([how["weights"], *further]))
            ),
            looked_for=what["labels"] if what else "",
            corrections=tuple(filter(None, map(CorrectionRecord.read, read))),
        )


def origin_of(result: Dataset) -> Origin | None:
    """Returns the origin of a DICOM object; None if TotalMAP did not make it."""
    return Origin.read(
        str(item.get("ContributionDescription", ""))
        for item in result.get("ContributingEquipmentSequence") or ()
        if item.get("Manufacturer") == MANUFACTURER
    )


def _fitting(line: str, weights: Sequence[str]) -> int:
    """Returns the number of weights that fit after the beginning of a line."""
    ends = accumulate((len(entry) + len(", ") for entry in weights), initial=len(line))
    return sum(end - len(", ") <= _SHORT_TEXT for end in islice(ends, 1, None))


def _licences(text: str) -> Iterator[tuple[str, str]]:
    for name, sets in _LICENCE.findall(text):
        yield from ((dataset, name) for dataset in sets.split(", "))

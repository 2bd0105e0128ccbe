"""Makes errors in labels: one function for each kind of error."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tests.phantom.drawing import LABELS
from totalmap.finding import Finding, Verdict, verdict

from .labelled_scans import Scan, View

Mask = NDArray[np.bool_]
Corrupt = Callable[[Scan], Scan]

SPINE = tuple(
    f"vertebrae_{part}{n}"
    for part, last in (("C", 7), ("T", 12), ("L", 5))
    for n in range(1, last + 1)
)
RIBS = tuple(tuple(f"rib_{side}_{n}" for n in range(1, 13)) for side in ("left", "right"))
BLOB_MM = 20.0
WALL_MM = 8.0


class Need(StrEnum):
    """What the rules have to report for an error."""

    REJECT = "sides, orientation, numbers: reject"
    REVIEW = "missing, although in view: warn"
    SHOWN = "place, tissue and shape: warn"
    UNSEEN = "parts lost or moved a little: only measured"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of error.

    Attributes:
        views: The views in which the rules can see the error.
        codes: A rule with one of these codes has to report it.
        structures: They have to be completely in view for the error to count.
        vertebrae: The scan needs at least so many vertebrae.
        of_image: Whether the image itself is wrong, so that every network makes the same error.
    """

    name: str
    need: Need
    corrupt: Corrupt
    views: tuple[View, ...]
    codes: frozenset[str]
    structures: tuple[str, ...] = ()
    vertebrae: int = 0
    of_image: bool = False

    def applies_to(self, scan: Scan) -> bool:
        """Returns whether the error can be made here, with enough in view to detect it."""
        return (
            scan.view in self.views
            and all(_is_whole(scan, name) for name in self.structures)
            and len(vertebrae_of(scan)) >= self.vertebrae
        )

    def is_detected(self, findings: Iterable[Finding]) -> bool:
        """Returns whether findings report the error, and are serious enough."""
        matching = [finding for finding in findings if finding.code in self.codes]
        needed = {Verdict.REJECT} if self.need is Need.REJECT else {Verdict.REVIEW, Verdict.REJECT}
        return verdict(matching) in needed


def _is_whole(scan: Scan, name: str) -> bool:
    """Returns whether a structure ends at least 20 mm from the first and the last slice."""
    slices = np.flatnonzero(scan.mask(name).any(axis=(1, 2)))
    margin = 20.0 / scan.geometry.spacing_mm[2]
    return bool(len(slices)) and margin <= slices[0] and slices[-1] < len(scan.labels) - margin


def renamed(scan: Scan, names: dict[str, str | None]) -> Scan:
    """Returns a scan in which structures have other names; None removes a structure."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in names.items():
        table[LABELS[old]] = 0 if new is None else LABELS[new]
    return scan.with_labels(table[scan.labels])


def shifted_names(scan: Scan, *sequences: tuple[str, ...], by: int) -> Scan:
    """Returns a scan in which numbers are shifted; structures without a number are lost."""
    names: dict[str, str | None] = {}
    for sequence in sequences:
        for n, name in enumerate(sequence):
            names[name] = sequence[n + by] if 0 <= n + by < len(sequence) else None
    return renamed(scan, names)


def sides_swapped(scan: Scan, *parts: str) -> Scan:
    """Returns a scan in which left is called right, for structures whose names begin so."""
    lefts = [name for name in LABELS if "_left" in name and name.startswith(parts)]
    pairs = [(left, left.replace("_left", "_right")) for left in lefts]
    names: dict[str, str | None] = {}
    for left, right in pairs:
        if right in LABELS:
            names |= {left: right, right: left}
    return renamed(scan, names)


def flipped(scan: Scan, axis: int) -> Scan:
    """Returns a scan that is flipped along k, j or i, with the old geometry."""
    labels = np.ascontiguousarray(np.flip(scan.labels, axis))
    return replace(scan, labels=labels, values=np.ascontiguousarray(np.flip(scan.values, axis)))


def mirrored_image(scan: Scan) -> Scan:
    """Returns a mirrored scan whose labels name the sides as if it were not mirrored."""
    return sides_swapped(flipped(scan, 2), "")


def vertebrae_of(scan: Scan) -> list[str]:
    """Returns the vertebrae in view, downwards."""
    return [name for name in SPINE if scan.has(name)]


def vertebra_missing(scan: Scan) -> Scan:
    """Returns a scan without one of its vertebrae."""
    names = vertebrae_of(scan)[1:-1]
    return renamed(scan, {names[len(names) // 2]: None})


def vertebrae_swapped(scan: Scan) -> Scan:
    """Returns a scan in which two neighbouring vertebrae have exchanged names."""
    names = vertebrae_of(scan)
    one, other = names[len(names) // 2 - 1], names[len(names) // 2]
    return renamed(scan, {one: other, other: one})


def swapped(scan: Scan, one: str, other: str) -> Scan:
    """Returns a scan in which two structures have exchanged names."""
    return renamed(scan, {one: other, other: one})


def with_blob(scan: Scan, name: str, at: str) -> Scan:
    """Returns a scan with a ball of a structure at the centre of another structure."""
    centre = ndimage.center_of_mass(scan.mask(at))
    i, j, k = scan.geometry.spacing_mm
    grid = np.ogrid[tuple(slice(size) for size in scan.labels.shape)]
    distance = sum(
        ((axis - c) * mm) ** 2 for axis, c, mm in zip(grid, centre, (k, j, i), strict=True)
    )
    return scan.with_labels(np.where(distance < BLOB_MM**2, LABELS[name], scan.labels).astype("u1"))


def moved(scan: Scan, name: str, right_mm: float, down_mm: float) -> Scan:
    """Returns a scan in which a structure lies somewhere else than its organ."""
    mask = scan.mask(name)
    i, _, k = scan.geometry.spacing_mm
    there = np.roll(mask, (-round(down_mm / k), -round(right_mm / i)), axis=(0, 2))
    labels = np.where(mask, 0, scan.labels)
    return scan.with_labels(np.where(there, LABELS[name], labels).astype(np.uint8))


def hollow(scan: Scan, name: str) -> Scan:
    """Returns a scan in which only the wall of a structure was found."""
    core = ndimage.distance_transform_edt(scan.mask(name), sampling=_spacing_kji(scan)) > WALL_MM
    return scan.with_labels(np.where(core, 0, scan.labels).astype(np.uint8))


def split(scan: Scan, name: str) -> Scan:
    """Returns a scan with a gap of 20 mm across a structure."""
    mask = scan.mask(name)
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    half = 10.0 / scan.geometry.spacing_mm[2]
    gap = np.abs(np.arange(len(mask)) - slices.mean()) <= half
    return scan.with_labels(np.where(mask & gap[:, None, None], 0, scan.labels).astype(np.uint8))


def half_lost(scan: Scan, name: str) -> Scan:
    """Returns a scan in which the lower half of a structure's voxels was not found."""
    labels = scan.labels.copy()
    places = np.flatnonzero(scan.mask(name))  # slice by slice, upwards
    labels.ravel()[places[: len(places) // 2]] = 0
    return scan.with_labels(labels)


def grown(scan: Scan, name: str) -> Scan:
    """Returns a scan in which a structure leaks 12 mm into all that surrounds it."""
    distance = ndimage.distance_transform_edt(~scan.mask(name), sampling=_spacing_kji(scan))
    return scan.with_labels(np.where(distance < 12.0, LABELS[name], scan.labels).astype(np.uint8))


def merged(scan: Scan) -> Scan:
    """Returns a scan in which two vertebrae were taken for one, and the rest counted on."""
    names = vertebrae_of(scan)
    place = SPINE.index(names[len(names) // 2])
    table: dict[str, str | None] = dict(zip(SPINE[place + 1 :], SPINE[place:-1], strict=True))
    return renamed(scan, table)


def _spacing_kji(scan: Scan) -> tuple[float, float, float]:
    i, j, k = scan.geometry.spacing_mm
    return k, j, i


_ANY = tuple(View)
_LONG = (View.TRUNK, View.CHEST, View.ABDOMEN, View.ABDOMEN_AND_PELVIS)
_LOW = (View.TRUNK, View.ABDOMEN_AND_PELVIS)


def _reject(
    name: str, corrupt: Corrupt, views: tuple[View, ...], codes: str, *structures: str
) -> Kind:
    return Kind(
        name=name,
        need=Need.REJECT,
        corrupt=corrupt,
        views=views,
        codes=frozenset(codes.split()),
        structures=structures,
    )


def _of_image(name: str, corrupt: Corrupt, codes: str) -> Kind:
    return replace(_reject(name, corrupt, _ANY, codes), of_image=True)


def _missing(name: str) -> Kind:
    return Kind(
        name=f"{name.replace('_', ' ')} missing",
        need=Need.REVIEW,
        corrupt=partial(renamed, names={name: None}),
        views=_LONG,
        codes=frozenset({"ABSENT", "VERTEBRA_MISSING"}),
        structures=(name,),
    )


def _shown(need: Need, name: str, corrupt: Corrupt, codes: str, *structures: str) -> Kind:
    return Kind(
        name=name,
        need=need,
        corrupt=corrupt,
        views=_LONG,
        codes=frozenset(codes.split()),
        structures=structures,
    )


_NUMBERS = "VERTEBRA_ORDER VERTEBRA_MISSING RIB_VERTEBRA SACRUM"

KINDS = (
    _reject("all sides swapped", lambda s: sides_swapped(s, ""), _ANY, "MIRRORED"),
    _of_image("volume mirrored", lambda s: flipped(s, 2), "MIRRORED"),
    _of_image("image mirrored, sides named as seen", mirrored_image, "SITUS"),
    _reject("sides of ribs swapped", lambda s: sides_swapped(s, "rib"), _ANY, "MIRRORED"),
    _reject(
        "sides of kidneys swapped",
        lambda s: sides_swapped(s, "kidney"),
        _LONG,
        "MIRRORED",
        "kidney_left",
        "kidney_right",
    ),
    _of_image("upside down", lambda s: flipped(s, 0), "ORIENTATION VERTEBRA_ORDER"),
    _of_image("front and back flipped", lambda s: flipped(s, 1), "ORIENTATION"),
    _reject("vertebrae +1", lambda s: shifted_names(s, SPINE, by=1), _LONG, _NUMBERS),
    _reject("vertebrae -1", lambda s: shifted_names(s, SPINE, by=-1), _LONG, _NUMBERS),
    replace(_reject("a vertebra missing", vertebra_missing, _ANY, _NUMBERS), vertebrae=3),
    _reject("two vertebrae swapped", vertebrae_swapped, _ANY, _NUMBERS),
    _reject("two vertebrae taken for one", merged, (View.TRUNK, View.CHEST, *_LOW[1:]), _NUMBERS),
    _reject("ribs +1", lambda s: shifted_names(s, *RIBS, by=1), _LONG, _NUMBERS),
    _reject("ribs -1", lambda s: shifted_names(s, *RIBS, by=-1), _LONG, _NUMBERS),
    _reject(
        "ribs and vertebrae +1",
        lambda s: shifted_names(s, SPINE, *RIBS, by=1),
        _LOW,
        _NUMBERS,
    ),
    _reject(
        "ribs and vertebrae -1",
        lambda s: shifted_names(s, SPINE, *RIBS, by=-1),
        _LOW,
        _NUMBERS,
    ),
    *(
        _missing(name)
        for name in (
            "liver",
            "spleen",
            "kidney_left",
            "pancreas",
            "stomach",
            "aorta",
            "heart",
            "lung_lower_lobe_right",
            "lung_upper_lobe_left",
            "urinary_bladder",
            "sacrum",
            "hip_left",
        )
    ),
    _shown(
        Need.SHOWN,
        "sacrum called L5",
        lambda s: renamed(s, {"sacrum": "vertebrae_L5"}),
        "ABSENT VERTEBRA_STEP SACRUM VOLUME FRAGMENT",
        "sacrum",
    ),
    _shown(
        Need.SHOWN,
        "liver and spleen swapped",
        lambda s: swapped(s, "liver", "spleen"),
        "SITUS SIDE",
        "liver",
        "spleen",
    ),
    _shown(
        Need.SHOWN,
        "heart and bladder swapped",
        lambda s: swapped(s, "heart", "urinary_bladder"),
        "LEVEL ORIENTATION",
        "heart",
        "urinary_bladder",
    ),
    _shown(
        Need.SHOWN,
        "blob of liver in the pelvis",
        lambda s: with_blob(s, "liver", "urinary_bladder"),
        "FRAGMENT LEVEL",
        "liver",
        "urinary_bladder",
    ),
    _shown(
        Need.SHOWN,
        "blob of spleen in the liver",
        lambda s: with_blob(s, "spleen", "liver"),
        "FRAGMENT LEVEL",
        "spleen",
    ),
    _shown(
        Need.SHOWN,
        "blob of kidney in a lung",
        lambda s: with_blob(s, "kidney_left", "lung_lower_lobe_left"),
        "FRAGMENT LEVEL HU",
        "kidney_left",
    ),
    _shown(
        Need.SHOWN,
        "liver on a lung",
        lambda s: renamed(s, {"liver": None, "lung_lower_lobe_right": "liver"}),
        "HU",
        "liver",
    ),
    _shown(Need.SHOWN, "liver hollow", lambda s: hollow(s, "liver"), "HOLE", "liver"),
    _shown(Need.SHOWN, "spleen split", lambda s: split(s, "spleen"), "FRAGMENT", "spleen"),
    _shown(
        Need.UNSEEN,
        "kidney moved by 18 mm",
        lambda s: moved(s, "kidney_left", 18.0, 0.0),
        "HU LEVEL",
        "kidney_left",
    ),
    _shown(
        Need.UNSEEN,
        "liver moved by 12 mm",
        lambda s: moved(s, "liver", 0.0, 12.0),
        "HU LEVEL VOLUME",
        "liver",
    ),
    _shown(
        Need.UNSEEN,
        "lower half of the liver lost",
        lambda s: half_lost(s, "liver"),
        "VOLUME LEVEL",
        "liver",
    ),
    _shown(
        Need.UNSEEN,
        "lower half of a kidney lost",
        lambda s: half_lost(s, "kidney_left"),
        "VOLUME ASYMMETRY LEVEL",
        "kidney_left",
    ),
    _shown(
        Need.UNSEEN,
        "spleen leaks by 12 mm",
        lambda s: grown(s, "spleen"),
        "VOLUME HU",
        "spleen",
    ),
)

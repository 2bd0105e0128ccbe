"""Derives which structures need different colours, and finds such colours for totalmap/codes.csv.

    python -m tests.structure_colours touching LABELS...   # writes touching_structures.csv
    python -m tests.structure_colours assign               # changes the colours in codes.csv
    python -m tests.structure_colours picture FILE         # draws all colours of task total

Neighbours are each of three vertebrae in a row, two ribs in a row, a rib and its mirror, structures
that touch in reference labels of TotalSegmentator, and some that touch in everybody. A colour stays
as it is unless it is too close to that of a neighbour (also for a person who confuses red and
green), nearly black, or that of a vertebra and nearly as grey as bone. Distances are CIEDE2000 (CIE
142-2001); tests/colour_vision.py simulates colour vision.
"""

import argparse
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.color import deltaE_ciede2000, rgb2lab
from totalsegmentator.map_to_binary import class_map

from tests.colour_vision import RED_GREEN_CONFUSIONS, Confusion, Rgb, seen

TOUCHING = Path(__file__).with_name("touching_structures.csv")
CODES = Path(__file__).parents[1] / "totalmap" / "codes.csv"

Pair = tuple[str, str]
# How a person sees colours: as most do, or confusing red and green.
Vision = Confusion | None

VISIONS: tuple[Vision, ...] = (None, *RED_GREEN_CONFUSIONS)
# CIEDE2000 between neighbours, for each vision.
LEAST_DISTANCES: Mapping[Vision, float] = {
    None: 20.0,
    Confusion.PROTANOPIA: 10.0,
    Confusion.DEUTERANOPIA: 10.0,
}
LEAST_LIGHTNESS = 35.0  # L* of CIELAB; black has 0
LEAST_CHROMA_OF_A_VERTEBRA = 45.0  # C*ab of CIELAB; grey, as bone is, has 0
_SPARE_DISTANCE = 2.0  # of a new colour
_DISTINCT = 3.0  # CIE76, between any two structures
_STEP = 15  # of the red, green and blue values that are tried
_LEAST_CHROMA = 25.0  # of a new colour, so that it stands out from a grey image
_LEAST_NEW_LIGHTNESS = 50.0
_LEAST_LIGHTNESS_OF_A_VERTEBRA = 65.0  # of a new one
_KEPT_CHROMA = 0.8  # the share of its chroma that a new colour has at least

VERTEBRAE = (
    *(f"vertebrae_C{n}" for n in range(1, 8)),
    *(f"vertebrae_T{n}" for n in range(1, 13)),
    *(f"vertebrae_L{n}" for n in range(1, 6)),
    "vertebrae_S1",
    "sacrum",
)
RIBS = range(1, 13)
# Structures beyond the reference labels that touch in everybody; {} is each side.
_IN_EVERYBODY = (
    "colon urinary_bladder",
    "small_bowel urinary_bladder",
    "prostate urinary_bladder",
    "brain skull",
    "skull vertebrae_C1",
    "costal_cartilages sternum",
    "trachea thyroid_gland",
    "esophagus trachea",
    "atrial_appendage_left heart",
    "heart superior_vena_cava",
    "heart pulmonary_vein",
    "hip_{} sacrum",
    "femur_{} hip_{}",
    "humerus_{} scapula_{}",
    "clavicula_{} scapula_{}",
    "clavicula_{} sternum",
    "gluteus_maximus_{} gluteus_medius_{}",
    "gluteus_medius_{} gluteus_minimus_{}",
    "gluteus_maximus_{} gluteus_minimus_{}",
    "hip_{} iliopsoas_{}",
    "iliac_artery_{} iliac_vena_{}",
    "kidney_cyst_{} kidney_{}",
    "adrenal_gland_{} kidney_{}",
    "lung_lower_lobe_{} lung_upper_lobe_{}",
    "brachiocephalic_vein_{} superior_vena_cava",
)


def touching_pairs(labels: NDArray[np.integer]) -> set[Pair]:
    """Returns the pairs of structures of task total whose voxels share a face.

    Args:
        labels: In any axis order.
    """
    names = class_map["total"]
    pairs: set[Pair] = set()
    for axis in range(3):
        along = np.moveaxis(labels, axis, 0)
        first, second = along[:-1].ravel(), along[1:].ravel()
        differs = (first != second) & (first > 0) & (second > 0)
        both = np.unique(np.sort(np.stack([first[differs], second[differs]]), axis=0), axis=1)
        pairs |= {tuple(sorted((names[a], names[b]))) for a, b in both.T.tolist()}
    return pairs


def read_pairs() -> set[Pair]:
    """Returns the pairs of touching_structures.csv."""
    rows = csv.reader(TOUCHING.read_text(encoding="utf-8").splitlines()[1:])
    return {(first, second) for first, second in rows}


def neighbours() -> set[Pair]:
    """Returns all pairs of structures that need different colours."""
    pairs = (
        read_pairs() | set(pairwise(VERTEBRAE)) | set(zip(VERTEBRAE, VERTEBRAE[2:], strict=False))
    )
    for side in ("left", "right"):
        pairs |= {(f"rib_{side}_{n}", f"rib_{side}_{n + 1}") for n in RIBS[:-1]}
    for template in _IN_EVERYBODY:
        for side in ("left", "right"):
            first, second = template.replace("{}", side).split()
            pairs.add((first, second))
    return pairs | {(f"rib_left_{n}", f"rib_right_{n}") for n in RIBS}


def lab(rgb: Iterable[Rgb], vision: Vision = None) -> NDArray[np.float64]:
    """Returns colours in CIELAB (D65), (n, 3), as a person with a vision sees them."""
    values = np.asarray(list(rgb), dtype=np.float64) / 255
    if vision is not None:
        values = seen(values, vision)
    converted: NDArray[np.float64] = rgb2lab(values[:, None])[:, 0]
    return converted


def chroma(in_lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the chroma C*ab of colours in CIELAB, (..., 3)."""
    saturation: NDArray[np.float64] = np.hypot(in_lab[..., 1], in_lab[..., 2])
    return saturation


def distance(first: Rgb, second: Rgb, vision: Vision = None) -> float:
    """Returns the distance of two colours for a person with a vision."""
    a, b = lab([first, second], vision)
    return float(deltaE_ciede2000(a, b))


class _Colours:
    """Colours of all structures, of which single ones are changed."""

    def __init__(self, colours: Mapping[str, Rgb], pairs: set[Pair]) -> None:
        self.colours = dict(colours)
        self.near: dict[str, set[str]] = {name: set() for name in colours}
        for first, second in pairs:
            self.near[first].add(second)
            self.near[second].add(first)
        values = range(0, 256, _STEP)
        self._grid = list(product(values, values, values))
        self._in_lab = {vision: lab(self._grid, vision) for vision in VISIONS}

    def change(self, name: str) -> tuple[float, Rgb]:
        """Returns the nearest colour without a fault for a structure, and its distance."""
        own, in_lab = lab([self.colours[name]]), self._in_lab[None]
        others = lab(rgb for other, rgb in self.colours.items() if other != name)
        free = self._usable(name, own)
        for other in self.near[name]:
            for vision, least in LEAST_DISTANCES.items():
                its = lab([self.colours[other]], vision)
                between = deltaE_ciede2000(self._in_lab[vision], its)
                free &= between > least + _SPARE_DISTANCE
        apart = np.linalg.norm(in_lab[free][:, None] - others, axis=2).min(axis=1) > _DISTINCT
        free[free] = apart
        cost = np.where(free, deltaE_ciede2000(in_lab, own), np.inf)
        return float(cost.min()), self._grid[int(cost.argmin())]

    def _usable(self, name: str, own: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns which colours are light and colourful enough for a structure."""
        in_lab, is_vertebra = self._in_lab[None], name in VERTEBRAE
        lightness = _LEAST_LIGHTNESS_OF_A_VERTEBRA if is_vertebra else _LEAST_NEW_LIGHTNESS
        least = LEAST_CHROMA_OF_A_VERTEBRA if is_vertebra else _LEAST_CHROMA
        least = max(least, _KEPT_CHROMA * float(chroma(own)[0]))
        mask: NDArray[np.bool_] = (in_lab[:, 0] > lightness) & (chroma(in_lab) > least)
        return mask

    def faults(self) -> Iterator[tuple[str, bool, int]]:
        """Yields each structure with a fault, whether it is faint, and how many are close."""
        in_lab = {
            vision: dict(zip(self.colours, lab(self.colours.values(), vision), strict=True))
            for vision in VISIONS
        }
        for name, own in in_lab[None].items():
            close = sum(
                any(
                    float(deltaE_ciede2000(its[name], its[other])) <= LEAST_DISTANCES[vision]
                    for vision, its in in_lab.items()
                )
                for other in self.near[name]
            )
            is_grey = name in VERTEBRAE and chroma(own) < LEAST_CHROMA_OF_A_VERTEBRA
            is_faint = own[0] < LEAST_LIGHTNESS or bool(is_grey)
            if is_faint or close:
                yield name, is_faint, close


def assigned(colours: Mapping[str, Rgb], pairs: set[Pair]) -> dict[str, Rgb]:
    """Returns colours of which only those with a fault have changed: see the module's docstring.

    Faint colours change first, then those that change least for each close neighbour.

    Raises:
        ValueError: A structure has a fault, and no colour is left for it.
    """
    result = _Colours(colours, pairs)
    while faults := list(result.faults()):
        changes = []
        for name, is_faint, close in faults:
            cost, rgb = result.change(name)
            changes.append((not is_faint, cost / max(close, 1), name, rgb))
        _, cost, name, rgb = min(changes)
        if not np.isfinite(cost):
            raise ValueError(f"no colour is left for {name}")
        result.colours[name] = rgb
    return result.colours


def read_colours() -> dict[str, Rgb]:
    """Returns the colours of codes.csv."""
    rows = csv.DictReader(CODES.read_text(encoding="utf-8").splitlines())
    return {row["structure"]: _rgb(row["rgb"]) for row in rows}


def _rgb(text: str) -> Rgb:
    red, green, blue = map(int, text.split())
    return red, green, blue


def write_colours(colours: Mapping[str, Rgb]) -> None:
    """Writes colours into codes.csv."""
    lines = CODES.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines[1:], start=1):
        name = line.partition(",")[0]
        lines[number] = re.sub(r"[0-9 ]+$", " ".join(map(str, colours[name])), line)
    CODES.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(path: Path) -> None:
    """Draws the spine, the ribs and all structures of task total in their colours on black."""
    colours, names = read_colours(), list(class_map["total"].values())
    image = Image.new("RGB", (1240, 1010), "black")
    drawing = ImageDraw.Draw(image)
    for row, name in enumerate(VERTEBRAE):
        top = 10 + 38 * row
        drawing.rectangle((60, top, 130, top + 36), fill=colours[name])
        drawing.text((4, top + 10), name[-6:], fill="white")
    for row, n in enumerate(RIBS):
        top = 280 + 38 * row
        drawing.rectangle((135, top, 260, top + 36), fill=colours[f"rib_left_{n}"])
        drawing.rectangle((265, top, 390, top + 36), fill=colours[f"rib_right_{n}"])
    for number, name in enumerate(names):
        column, row = divmod(number, 40)
        left, top = 420 + 270 * column, 8 + 25 * row
        drawing.rectangle((left, top, left + 50, top + 23), fill=colours[name])
        drawing.text((left + 56, top + 6), name, fill="white")
    image.save(path)


def main() -> None:
    """Runs one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("touching", "assign", "picture"))
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "touching":
        pairs: set[Pair] = set()
        for path in arguments.files:
            pairs |= touching_pairs(np.asarray(nibabel.load(path).dataobj).astype(np.int64))
        lines = ["first,second", *(f"{first},{second}" for first, second in sorted(pairs))]
        TOUCHING.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif arguments.command == "assign":
        write_colours(assigned(read_colours(), neighbours()))
    else:
        draw(*arguments.files)


if __name__ == "__main__":
    main()

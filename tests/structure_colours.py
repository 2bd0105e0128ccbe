"""Derives which structures need different colours, and finds such colours for totalmap/codes.csv.

    python -m tests.structure_colours touching LABELS...   # writes touching_structures.csv
    python -m tests.structure_colours assign               # changes the colours in codes.csv
    python -m tests.structure_colours picture FILE         # draws all colours of task total

Neighbours are two vertebrae in a row, two ribs in a row, a rib and its mirror, structures that
touch in reference labels of TotalSegmentator, and some that touch in everybody. A colour stays
as it is unless it is too close to that of a neighbour, or nearly black. Distances are CIEDE2000
(CIE 142-2001).
"""

import argparse
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.color import deltaE_ciede2000, rgb2lab
from totalsegmentator.map_to_binary import class_map

TOUCHING = Path(__file__).with_name("touching_structures.csv")
CODES = Path(__file__).parents[1] / "totalmap" / "codes.csv"

Rgb = tuple[int, int, int]
Pair = tuple[str, str]

LEAST_DISTANCE = 20.0  # CIEDE2000 between neighbours
LEAST_LIGHTNESS = 35.0  # L* of CIELAB; black has 0
_WANTED_DISTANCE = 22.0
_DISTINCT = 3.0  # CIE76, between any two structures
_STEP = 15  # of the red, green and blue values that are tried
_LEAST_CHROMA = 25.0  # of a new colour, so that it stands out from a grey image

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
    pairs = read_pairs() | set(pairwise(VERTEBRAE))
    for side in ("left", "right"):
        pairs |= {(f"rib_{side}_{n}", f"rib_{side}_{n + 1}") for n in RIBS[:-1]}
    for template in _IN_EVERYBODY:
        for side in ("left", "right"):
            first, second = template.replace("{}", side).split()
            pairs.add((first, second))
    return pairs | {(f"rib_left_{n}", f"rib_right_{n}") for n in RIBS}


def lab(rgb: Iterable[Rgb]) -> NDArray[np.float64]:
    """Returns colours in CIELAB (D65), (n, 3)."""
    values = np.asarray(list(rgb), dtype=np.float64) / 255
    converted: NDArray[np.float64] = rgb2lab(values[:, None])[:, 0]
    return converted


def distance(first: Rgb, second: Rgb) -> float:
    """Returns the distance of two colours."""
    a, b = lab([first, second])
    return float(deltaE_ciede2000(a, b))


def assigned(colours: Mapping[str, Rgb], pairs: set[Pair]) -> dict[str, Rgb]:
    """Returns colours of which only those too close to a neighbour or too dark have changed."""
    result = dict(colours)
    values = np.arange(0, 256, _STEP)
    grid = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(-1, 3)
    in_lab = lab([(red, green, blue) for red, green, blue in grid.tolist()])
    chroma = np.hypot(in_lab[:, 1], in_lab[:, 2])
    usable = (in_lab[:, 0] > LEAST_LIGHTNESS + 5) & (chroma > _LEAST_CHROMA)
    grid, in_lab = grid[usable], in_lab[usable]
    near: dict[str, set[str]] = {name: set() for name in colours}
    for first, second in pairs:
        near[first].add(second)
        near[second].add(first)
    while faults := list(_faults(result, near)):
        name = max(faults, key=lambda fault: (fault[0], len(near[fault[1]]), fault[1]))[1]
        own = lab([colours[name]])
        others = lab(rgb for other, rgb in result.items() if other != name)
        free = np.linalg.norm(in_lab[:, None] - others, axis=2).min(axis=1) > _DISTINCT
        for other in near[name]:
            free &= deltaE_ciede2000(in_lab, lab([result[other]])) > _WANTED_DISTANCE
        cost = np.where(free, deltaE_ciede2000(in_lab, own), np.inf)
        if not np.isfinite(cost).any():
            raise ValueError(f"no colour is left for {name}")
        red, green, blue = grid[int(cost.argmin())].tolist()
        result[name] = (red, green, blue)
    return result


def _faults(colours: Mapping[str, Rgb], near: Mapping[str, set[str]]) -> Iterator[tuple[int, str]]:
    """Yields each structure with a fault: 1000 if too dark, and its number of close neighbours."""
    in_lab = dict(zip(colours, lab(colours.values()), strict=True))
    for name, own in in_lab.items():
        close = sum(
            float(deltaE_ciede2000(own, in_lab[other])) <= LEAST_DISTANCE for other in near[name]
        )
        if own[0] < LEAST_LIGHTNESS or close:
            yield (1000 if own[0] < LEAST_LIGHTNESS else 0) + close, name


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

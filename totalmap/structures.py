"""Defines the structures of a task, their measurements, and the limitations of a measurement."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# A cube of 3 x 3 x 3. The volume of a smaller structure depends on how its surface is sampled.
FEW_VOXELS = 27


class Face(StrEnum):
    """A side of the field of view, as seen from within the patient."""

    RIGHT = "right"
    LEFT = "left"
    ANTERIOR = "anterior"
    POSTERIOR = "posterior"
    INFERIOR = "inferior"
    SUPERIOR = "superior"


class Limitation(StrEnum):
    """A limitation of a measurement; `totalmap.limitation_words` has the words for each.

    `incomplete`: the structure touches the edge of the field of view, so its true volume is larger.
    `few_voxels`: fewer than 27 voxels. `several_components`: it has more than one piece of
    some size.
    """

    INCOMPLETE = "incomplete"
    FEW_VOXELS = "few_voxels"
    SEVERAL_COMPONENTS = "several_components"


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One structure of a task, with TotalSegmentator's label number and name."""

    label: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStructure:
    """A structure that was found, with its measurements rounded as every result shows them.

    Attributes:
        voxels: Number of voxels on the slices of the source.
        volume_ml: Volume of these voxels in mL; each slice reaches half way to its neighbours.
        mean: Mean of their values: HU in CT, the scanner's own units in MR.
        sd: Standard deviation of these values.
        faces: The sides of the field of view that the structure touches.
        components: Number of pieces on the inference grid, connected by faces, edges or corners:
            the largest, and all others of more than 1 % of the structure and more than 1 mL.
        largest_share: Share of the structure in the largest of them, 0..1.
    """

    structure: Structure
    voxels: int
    volume_ml: float
    mean: float
    sd: float
    faces: tuple[Face, ...]
    components: int
    largest_share: float

    @property
    def limitations(self) -> tuple[Limitation, ...]:
        """The limitations of this measurement."""
        applies = {
            Limitation.INCOMPLETE: bool(self.faces),
            Limitation.FEW_VOXELS: self.voxels < FEW_VOXELS,
            Limitation.SEVERAL_COMPONENTS: self.components > 1,
        }
        return tuple(limitation for limitation in Limitation if applies[limitation])


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxContact:
    """A structure that reaches the edge of the box in which its network searched.

    Attributes:
        faces: The sides of the box that it touches, of those that lie within the volume.
    """

    structure: Structure
    faces: tuple[Face, ...]


def chosen(structures: Iterable[Structure], names: tuple[str, ...]) -> tuple[Structure, ...]:
    """Returns the structures with one of these names, or all if there are no names."""
    return tuple(structure for structure in structures if not names or structure.name in names)

"""A structure of a task, and what is measured of it where it was found."""

from dataclasses import dataclass
from enum import StrEnum

# A cube of 3 x 3 x 3: of anything smaller, the surface decides what its volume is.
FEW_VOXELS = 27


class Face(StrEnum):
    """A side of the field of view, as seen from within the patient."""

    RIGHT = "right"
    LEFT = "left"
    ANTERIOR = "anterior"
    POSTERIOR = "posterior"
    INFERIOR = "inferior"
    SUPERIOR = "superior"


class Flag(StrEnum):
    """What matters to whoever reads a number.

    `incomplete`: the structure touches the edge of the field of view, so its true volume is larger.
    `few_voxels`: fewer than 27 voxels. `several_components`: it is not one connected piece.
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
    """A structure that was found, rounded as every result shows it.

    Attributes:
        voxels: On the source's slices.
        volume_ml: Of these voxels; each slice reaches half way to its neighbours.
        mean: Of their values: HU in CT, the scanner's own units in MR.
        sd: Standard deviation of these values.
        faces: The sides of the field of view that the structure touches.
        components: Connected pieces, by faces, edges or corners, where the network put them.
        largest_share: What part of the structure the largest of them is, 0..1.
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
    def flags(self) -> tuple[Flag, ...]:
        """What matters to whoever reads the volume."""
        raised = {
            Flag.INCOMPLETE: bool(self.faces),
            Flag.FEW_VOXELS: self.voxels < FEW_VOXELS,
            Flag.SEVERAL_COMPONENTS: self.components > 1,
        }
        return tuple(flag for flag, is_raised in raised.items() if is_raised)

    def remark(self, flag: Flag) -> str:
        """Returns what a flag says of this structure, in words."""
        if flag is Flag.INCOMPLETE:
            faces = ", ".join(self.faces)
            return f"volume incomplete: touches the {faces} edge of the field of view"
        if flag is Flag.FEW_VOXELS:
            return f"very small: {self.voxels} voxel{'s' if self.voxels > 1 else ''}"
        return f"{self.components} separate pieces, the largest is {self.largest_share:.0%}"

"""What the values of voxels mean: attenuation in CT, signal intensity in MR."""

from dataclasses import dataclass

from pydicom.sr.coding import Code

from totalmap.dicom.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """A quantity.

    Attributes:
        name: Coded, of CID 7469 Generic Intensity and Size Measurements.
        unit: Coded, UCUM.
        symbol: The unit for people, empty where there is none.
    """

    name: Code
    unit: Code
    symbol: str


_OF_MODALITY = {
    "CT": Intensity(
        name=Code("112031", "DCM", "Attenuation Coefficient"),
        unit=Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
        symbol="HU",
    ),
    "MR": Intensity(
        name=Code("110852", "DCM", "MR signal intensity"),
        unit=Code("1", "UCUM", "no units"),
        symbol="",
    ),
}


def intensity_of(volume: Volume) -> Intensity | None:
    """Returns what the voxels of a volume measure, None for what is neither CT nor MR."""
    return _OF_MODALITY.get(volume.modality)

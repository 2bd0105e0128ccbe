"""Puts the measurements into one table for each body system, with totals of organs in parts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from totalmap.limitation_words import INCOMPLETE_MARK
from totalmap.segmentation import Segmentation
from totalmap.structures import Limitation, MeasuredStructure
from totalmap.texts.catalogue import Texts
from totalmap.writers.dicom.codes import BodySystem, structure_code

Colour = tuple[int, int, int]

# The order in which a reader looks at a trunk; other systems follow.
_ORDER = (
    BodySystem.DIGESTIVE,
    BodySystem.UROGENITAL,
    BodySystem.ENDOCRINE_LYMPHATIC,
    BodySystem.RESPIRATORY,
    BodySystem.CARDIOVASCULAR,
    BodySystem.NERVOUS,
    BodySystem.SKELETAL,
    BodySystem.MUSCULAR,
    BodySystem.OTHER,
)

_LEFT_LOBES = ("lung_upper_lobe_left", "lung_lower_lobe_left")
_RIGHT_LOBES = ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right")
_LOBES: Mapping[str, tuple[str, ...]] = {"lung_right": _RIGHT_LOBES, "lung_left": _LEFT_LOBES}
# Organs that TotalSegmentator gives in parts. There is a total if all parts were found.
_TOTALS: Mapping[str, tuple[BodySystem, tuple[str, ...]]] = {
    "liver": (BodySystem.DIGESTIVE, tuple(f"liver_segment_{n}" for n in range(1, 9))),
    "kidneys": (BodySystem.UROGENITAL, ("kidney_right", "kidney_left")),
    "adrenal_glands": (
        BodySystem.ENDOCRINE_LYMPHATIC,
        ("adrenal_gland_right", "adrenal_gland_left"),
    ),
    "lungs": (BodySystem.RESPIRATORY, (*_RIGHT_LOBES, *_LEFT_LOBES)),
    **{side: (BodySystem.RESPIRATORY, lobes) for side, lobes in _LOBES.items()},
}
# The volumes that page 1 names, if they were found: totals, or else single structures. Of a lung
# without a total, the lobes that were found are named.
_KEY_VOLUMES = (
    *("lungs", "lung_right", "lung_left", "liver", "spleen", "pancreas", "kidneys"),
    *("kidney_right", "kidney_left", "adrenal_glands", "heart", "urinary_bladder", "prostate"),
    *("brain", "thyroid_gland"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table: a structure that was found, or a total.

    Attributes:
        colour: Its colour in the pictures; None for a total.
        volume: In mL, with a mark in front if the structure is incomplete.
        mean: Mean of its values; empty for a total.
        sd: Their standard deviation; empty for a total.
        note: Further limitations in a word or two, or empty.
    """

    name: str
    colour: Colour | None
    volume: str
    is_incomplete: bool
    mean: str = ""
    sd: str = ""
    note: str = ""

    @property
    def is_total(self) -> bool:
        """Whether it is the sum of other lines."""
        return self.colour is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemTable:
    """The table of a body system; totals come first, structures by label."""

    name: str
    rows: tuple[Row, ...]


def system_tables(segmentation: Segmentation, texts: Texts) -> tuple[SystemTable, ...]:
    """Returns a table for each body system with a structure that was found.

    Raises:
        OutputError: A structure has no name and colour.
    """
    found = segmentation.found()
    tables = []
    for system in _ORDER:
        of_system = [one for one in found if structure_code(one.structure.name).system is system]
        if of_system:
            totals = _totals(found, system, texts)
            rows = (*totals, *(structure_row(one, segmentation, texts) for one in of_system))
            tables.append(SystemTable(name=texts(f"system.{system}"), rows=rows))
    return tuple(tables)


def key_volumes(segmentation: Segmentation, texts: Texts) -> tuple[Row, ...]:
    """Returns the most important volumes that were found."""
    found = segmentation.found()
    by_name = {one.structure.name: one for one in found}
    rows = []
    for name in _KEY_VOLUMES:
        total = _total(found, name, texts)
        if total is not None:
            rows.append(total)
            continue
        parts = _LOBES.get(name, (name,))
        of_parts = (by_name[part] for part in parts if part in by_name)
        rows += [structure_row(one, segmentation, texts) for one in of_parts]
    return tuple(rows)


def structure_row(found: MeasuredStructure, segmentation: Segmentation, texts: Texts) -> Row:
    """Returns the line of a structure.

    Raises:
        OutputError: It has no name and colour.
    """
    is_hu = segmentation.volume.modality == "CT"
    name = found.structure.name
    return Row(
        name=texts.structure(name),
        colour=structure_code(name).rgb,
        volume=volume_text(found.volume_ml, is_incomplete=_is_incomplete(found), texts=texts),
        is_incomplete=_is_incomplete(found),
        mean=_value_text(found.mean, is_hu=is_hu, texts=texts),
        sd=_value_text(found.sd, is_hu=is_hu, texts=texts),
        note=note_on(found, texts),
    )


def volume_text(volume_ml: float, *, is_incomplete: bool, texts: Texts) -> str:
    """Returns a volume in mL with three significant digits, and a mark if it is incomplete."""
    text = texts.number(volume_ml)
    return f"{INCOMPLETE_MARK} {text}" if is_incomplete else text


def note_on(found: MeasuredStructure, texts: Texts) -> str:
    """Returns the limitations of a measurement in a word or two, but for the incomplete volume."""
    notes = {
        Limitation.FEW_VOXELS: texts("legend.small"),
        Limitation.SEVERAL_COMPONENTS: texts("legend.pieces", count=found.components),
    }
    return ", ".join(notes[each] for each in found.limitations if each in notes)


def _value_text(value: float, *, is_hu: bool, texts: Texts) -> str:
    """Returns a mean or a standard deviation: whole HU, or three significant digits."""
    if not is_hu:
        return texts.number(value)
    return str(round(value))


def _is_incomplete(found: MeasuredStructure) -> bool:
    return Limitation.INCOMPLETE in found.limitations


def _totals(found: Iterable[MeasuredStructure], system: BodySystem, texts: Texts) -> list[Row]:
    measured = tuple(found)
    keys = [key for key, (of_system, _) in _TOTALS.items() if of_system is system]
    return [row for key in keys if (row := _total(measured, key, texts))]


def _total(found: Iterable[MeasuredStructure], key: str, texts: Texts) -> Row | None:
    """Returns the sum of the parts of an organ; None if there is none or a part is missing."""
    if key not in _TOTALS:
        return None
    _, names = _TOTALS[key]
    parts = [one for one in found if one.structure.name in names]
    if len(parts) < len(names):
        return None
    is_incomplete = any(map(_is_incomplete, parts))
    volume_ml = sum(part.volume_ml for part in parts)
    return Row(
        name=texts(f"total.{key}"),
        colour=None,
        volume=volume_text(volume_ml, is_incomplete=is_incomplete, texts=texts),
        is_incomplete=is_incomplete,
    )

"""Splits the structures into SEG objects: one for all, or one for each body system.

Some viewers refuse an object of many frames, or take minutes to open it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from totalmap.result_options import SegSplit
from totalmap.settings import ResultsSection
from totalmap.structures import Structure, chosen
from totalmap.writers.dicom.codes import BodySystem, structure_code


@dataclass(frozen=True, slots=True, kw_only=True)
class SegPart:
    """One SEG object.

    Attributes:
        name: The body system; empty if there is one object for all.
        structures: By Segment Number, from 1.
    """

    name: str
    structures: tuple[Structure, ...]


def seg_parts(found: Iterable[Structure], results: ResultsSection) -> tuple[SegPart, ...]:
    """Returns the objects to write, none of them empty.

    Args:
        found: The structures that were found, by label.
        results: The settings: wanted structures, and how they are split.

    Raises:
        OutputError: A structure has no code.
    """
    wanted = chosen(found, results.seg_structures)
    if results.seg_split is SegSplit.NONE:
        return (SegPart(name="", structures=wanted),) if wanted else ()
    parts: dict[BodySystem, list[Structure]] = {system: [] for system in BodySystem}
    for structure in wanted:
        parts[structure_code(structure.name).system].append(structure)
    return tuple(
        SegPart(name=system, structures=tuple(structures))
        for system, structures in parts.items()
        if structures
    )


def would_hold(
    part: SegPart,
    structures: Iterable[Structure],
    found: Iterable[Structure],
    results: ResultsSection,
) -> tuple[Structure, ...]:
    """Returns the structures that an object would hold if they were all found.

    A body system without any found structure has no object. Its structures then belong to every
    other object, so that a reader of any object learns that they were looked for.

    Args:
        part: The object.
        structures: All structures that were looked for, by label.
        found: The structures that were found.
        results: The settings: wanted structures.

    Raises:
        OutputError: A structure has no code.
    """
    wanted = chosen(structures, results.seg_structures)
    if not part.name:
        return wanted
    found = chosen(found, results.seg_structures)
    others = {structure_code(structure.name).system for structure in found}
    others -= {BodySystem(part.name)}
    return tuple(
        structure for structure in wanted if structure_code(structure.name).system not in others
    )


def undivided(results: ResultsSection) -> ResultsSection:
    """Returns the same settings with one object for all, as for a label map."""
    return results.model_copy(update={"seg_split": SegSplit.NONE})

"""What goes into which SEG object: everything that was found, what is chosen, or a body system.

Some viewers refuse an object of many frames, or take minutes to open it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from totalmap.settings import ResultsSection, SegSplit
from totalmap.structures import Structure
from totalmap.writers.dicom.codes import BodySystem, structure_code


@dataclass(frozen=True, slots=True, kw_only=True)
class SegPart:
    """One SEG object.

    Attributes:
        name: Empty where there is only one, else the body system.
        structures: By Segment Number, from 1.
    """

    name: str
    structures: tuple[Structure, ...]


def seg_parts(found: Iterable[Structure], results: ResultsSection) -> tuple[SegPart, ...]:
    """Returns the objects to write, none of them empty.

    Args:
        found: The structures that were found, by label.
        results: Which of them are wanted, and how they are split.

    Raises:
        OutputError: A structure has no code.
    """
    wanted = chosen(found, results.seg_structures)
    if results.seg_split is SegSplit.NONE:
        return (SegPart(name="", structures=wanted),) if wanted else ()
    systems = {one: structure_code(one.name).system for one in wanted}
    return tuple(
        SegPart(name=system, structures=tuple(one for one in wanted if systems[one] is system))
        for system in BodySystem
        if system in systems.values()
    )


def would_hold(
    part: SegPart,
    structures: Iterable[Structure],
    found: Iterable[Structure],
    results: ResultsSection,
) -> tuple[Structure, ...]:
    """Returns what an object would hold had it been found.

    A body system of which nothing was found has no object; its structures are counted to all
    others, so that they are missed whichever of them are read.

    Args:
        part: The object.
        structures: All that were looked for, by label.
        found: Those of them that were found.
        results: Which of them are wanted.

    Raises:
        OutputError: A structure has no code.
    """
    wanted = chosen(structures, results.seg_structures)
    if not part.name:
        return wanted
    others = {structure_code(one.name).system for one in chosen(found, results.seg_structures)}
    others -= {BodySystem(part.name)}
    return tuple(one for one in wanted if structure_code(one.name).system not in others)


def undivided(results: ResultsSection) -> ResultsSection:
    """Returns the same settings with one SEG for all: a label map is never split."""
    return results.model_copy(update={"seg_split": SegSplit.NONE})


def chosen(found: Iterable[Structure], names: tuple[str, ...]) -> tuple[Structure, ...]:
    """Returns the structures that are wanted by name; no name wants all."""
    return tuple(one for one in found if not names or one.name in names)

"""Holds the words for the limitations of a measurement: one table for every result and page.

SR and CSV take their words from here, in English. The sentences of findings are in the catalogues
(totalmap.texts), as are the words of preview, report, PDF and dashboard.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from totalmap.structures import FEW_VOXELS, Face, Limitation, MeasuredStructure
from totalmap.texts.catalogue import Joined, Message, StructureName


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitationWords:
    """The words for one limitation.

    Fields of a `MeasuredStructure` stand in braces in `note` and `remark`, `{edges}` for the edges
    of the field of view that it touches, and `{structure}` for its name.

    Attributes:
        note: At most two words, for the legend of the preview; empty: the legend marks the volume.
        remark: A clause with the numbers, for the report and the CSV.
        code_meaning: Code Meaning in the SR, at most 64 characters; `{face}` is the side.
    """

    note: str
    remark: str
    code_meaning: str


LIMITATION_WORDS: Mapping[Limitation, LimitationWords] = {
    Limitation.INCOMPLETE: LimitationWords(
        note="",
        remark="incomplete: touches the {edges} of the field of view",
        code_meaning="Incomplete: touches {face} edge of field of view",
    ),
    Limitation.FEW_VOXELS: LimitationWords(
        note="very small",
        remark=f"very small: fewer than {FEW_VOXELS} voxels ({{voxels}})",
        code_meaning="Very small: few voxels",
    ),
    Limitation.SEVERAL_COMPONENTS: LimitationWords(
        note="{components} pieces",
        remark="{components} separate pieces, the largest is {largest_share}",
        code_meaning="Several separate pieces",
    ),
}

# The mark before an incomplete volume in the preview and the report, and its explanation.
INCOMPLETE_MARK = ">"
INCOMPLETE_EXPLAINED = (
    f"{INCOMPLETE_MARK} incomplete: the structure touches the edge of the field of view, so its "
    "true volume is larger"
)


def remarks(found: MeasuredStructure) -> str:
    """Returns all limitations of a measurement as clauses, separated by semicolons."""
    templates = (LIMITATION_WORDS[limitation].remark for limitation in found.limitations)
    return "; ".join(_filled(template, found) for template in templates)


def legend_note(found: MeasuredStructure) -> str:
    """Returns the note on a structure in the legend of the preview; empty if there is none."""
    templates = (LIMITATION_WORDS[limitation].note for limitation in found.limitations)
    return _filled(next(filter(None, templates), ""), found)


def edge_meaning(face: Face) -> str:
    """Returns the Code Meaning of a structure that touches one side of the field of view."""
    return LIMITATION_WORDS[Limitation.INCOMPLETE].code_meaning.format(face=face)


def incomplete_sentence(name: str, faces: Sequence[Face]) -> Message:
    """Returns the sentence of a finding: the field of view cuts a structure.

    Args:
        name: TotalSegmentator's name of the structure.
        faces: The sides of the field of view that it touches.
    """
    return Message("finding.INCOMPLETE", structure=StructureName(name), edges=_edges(faces))


def box_edge_sentence(name: str, faces: Sequence[Face]) -> Message:
    """Returns the sentence of a finding: the box of a network cuts a structure.

    Args:
        name: TotalSegmentator's name of the structure.
        faces: The sides of the box that it touches.
    """
    return Message("finding.BOX_EDGE", structure=StructureName(name), edges=_edges(faces))


def several_pieces_sentence(name: str, second_ml: float, limit_ml: float) -> Message:
    """Returns the sentence of a finding: a structure of one piece is found in several.

    Args:
        name: TotalSegmentator's name of the structure.
        second_ml: Volume of the second largest piece, in mL.
        limit_ml: The largest expected volume, in mL.
    """
    return Message(
        "finding.FRAGMENT",
        structure=StructureName(name),
        second_ml=float(second_ml),
        limit_ml=float(limit_ml),
    )


def _filled(template: str, found: MeasuredStructure) -> str:
    return template.format(
        edges=_edges(found.faces),
        voxels=found.voxels,
        components=found.components,
        largest_share=_percent(found.largest_share),
    )


def _percent(share: float) -> str:
    """Returns a share in whole percent, rounded down, so that nearly all is not 100 %."""
    # The share has four decimals; the small number makes up for its binary form.
    return f"{math.floor(100 * share + 1e-9)}%"


def _edges(faces: Sequence[Face]) -> Message:
    """Returns, for example, "superior edge", or "left, inferior and superior edges"."""
    names = tuple(Message(f"face.{face}") for face in faces)
    number = "one" if len(faces) < 2 else "many"
    return Message(f"edges.{number}", faces=Joined(names, with_and=True))

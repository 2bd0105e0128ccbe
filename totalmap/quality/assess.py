"""Assesses a segmentation: plausibility, boxes, second opinion and suitability of the images."""

from collections.abc import Collection, Iterable, Iterator

from totalmap.finding import Assessment, Finding, Severity
from totalmap.limitation_words import box_edge_sentence
from totalmap.quality.plausibility.assess_plausibility import assess_plausibility
from totalmap.segmentation import Confidence, Opinion, Segmentation
from totalmap.structures import BoxContact
from totalmap.texts.catalogue import Message, StructureName

# On the reference labels of a CT, brought to both resolutions, structures above 1 mL have a Dice of
# at least 0.81. Of 30 labels that were corrupted at one resolution, 29 lie below 0.7.
LOWEST_DICE = 0.7
SMALLEST_ML = 1.0
# The field of view may leave a part of a structure that is a voxel thin. With borders moved by
# about a voxel, 110 of 938 parts of 1 to 5 mL have a Dice below 0.7, and none of 1628 larger ones
# (random crops of two reference labels).
SMALLEST_CUT_ML = 5.0


def assess(segmentation: Segmentation) -> Assessment:
    """Returns all findings about a segmentation and its volume, from which the verdict follows."""
    is_hu = segmentation.volume.modality == "CT"
    implausible = assess_plausibility(segmentation.statistics, segmentation.structures, is_hu=is_hu)
    cut = {found.structure.name for found in segmentation.found() if found.faces}
    disagreeing = disagreements(segmentation.confidence, cut)
    cut_by_boxes = box_edges(segmentation.box_contacts)
    suitability = segmentation.volume.suitability
    return Assessment(findings=(*implausible, *cut_by_boxes, *disagreeing, *suitability))


def box_edges(contacts: Iterable[BoxContact]) -> Iterator[Finding]:
    """Yields BOX_EDGE for structures that reach the edge of the box of their network.

    The network did not see what lies beyond that edge, and the volume continues there.
    """
    for contact in contacts:
        yield Finding(
            code="BOX_EDGE",
            severity=Severity.REVIEW,
            sentence=box_edge_sentence(contact.structure.name, contact.faces),
            structure=contact.structure.name,
        )


def disagreements(
    confidence: Confidence | None, incomplete: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Returns DISAGREEMENT for structures on which networks of two resolutions differ.

    Errors that both networks make are not detected. Margins give no finding: no limit for them is
    known yet.

    Args:
        confidence: That of a segmentation; without a second opinion there is no finding.
        incomplete: Names of structures that the field of view cuts.
    """
    opinions = (confidence.opinions if confidence else None) or ()
    return tuple(_disagreements(opinions, incomplete))


def _disagreements(opinions: tuple[Opinion, ...], incomplete: Collection[str]) -> Iterator[Finding]:
    for opinion in opinions:
        name, dice = opinion.structure.name, opinion.dice
        smallest_ml = SMALLEST_CUT_ML if name in incomplete else SMALLEST_ML
        larger_ml = max(opinion.volume_ml, opinion.other_volume_ml)
        if dice < LOWEST_DICE and larger_ml >= smallest_ml:
            yield Finding(
                code="DISAGREEMENT",
                severity=Severity.REVIEW,
                sentence=Message(
                    "finding.DISAGREEMENT",
                    structure=StructureName(name),
                    dice=float(dice),
                    limit=LOWEST_DICE,
                    volume_ml=float(opinion.volume_ml),
                    other_ml=float(opinion.other_volume_ml),
                ),
                structure=name,
                value=round(dice, 4),
                limit=LOWEST_DICE,
            )

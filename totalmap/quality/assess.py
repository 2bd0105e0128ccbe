"""The front door: all that is found about a volume and its labels."""

from collections.abc import Collection, Iterator

from totalmap.display_names import in_sentence
from totalmap.finding import Assessment, Finding, Severity
from totalmap.quality.plausibility.rules import implausible
from totalmap.segmentation import Confidence, Opinion, Segmentation


def assess(segmentation: Segmentation, suitability: tuple[Finding, ...] = ()) -> Assessment:
    """Returns what was found about a volume and its labels, and so the verdict.

    Args:
        segmentation: The labels, and the volume that they are of.
        suitability: What was found about the volume before it was segmented.
    """
    is_hu = segmentation.volume.modality == "CT"
    doubts = implausible(segmentation.statistics, segmentation.structures, is_hu=is_hu)
    cut = {one.structure.name for one in segmentation.found() if one.faces}
    differing = disagreements(segmentation.confidence, cut)
    return Assessment(findings=(*doubts, *differing, *suitability))


CODE = "DISAGREEMENT"

# On the reference labels of a CT, brought to both resolutions, structures above 1 mL agree by at
# least 0.81, and below 0.7 lie 29 of 30 labels that were spoilt on one side
# (shared/design/quality.md, section 3).
LOWEST_DICE = 0.7
SMALLEST_ML = 1.0
# What the field of view leaves of a structure may be as thin as a voxel. With borders moved by
# about a voxel, 110 of 938 parts of 1 to 5 mL agreed by less than 0.7, and none of 1628 larger
# ones (random crops of two reference labels).
SMALLEST_CUT_ML = 5.0


def disagreements(
    confidence: Confidence | None, incomplete: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Returns DISAGREEMENT for structures on which networks of two resolutions differ.

    Errors that both make alike are not seen, and margins are no finding: nobody knows yet which of
    them is small.

    Args:
        confidence: Of a segmentation; without a second opinion nothing is found.
        incomplete: Names of structures that the field of view cuts.
    """
    opinions = (confidence.opinions if confidence else None) or ()
    return tuple(_differing(opinions, incomplete))


def _differing(opinions: tuple[Opinion, ...], incomplete: Collection[str]) -> Iterator[Finding]:
    for one in opinions:
        name = one.structure.name
        smallest_ml = SMALLEST_CUT_ML if name in incomplete else SMALLEST_ML
        if one.dice < LOWEST_DICE and max(one.volume_ml, one.other_volume_ml) >= smallest_ml:
            yield Finding(
                code=CODE,
                severity=Severity.REVIEW,
                sentence=f"Two networks disagree about the {in_sentence(name)}: this result "
                f"has {one.volume_ml:.0f} mL, the other one {one.other_volume_ml:.0f} mL, and they "
                f"overlap by a Dice of {one.dice:.2f} ({LOWEST_DICE} is expected).",
                structure=name,
                value=round(one.dice, 4),
                limit=LOWEST_DICE,
            )

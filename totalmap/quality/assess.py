"""The front door: all that is found about a volume and its labels."""

from totalmap.finding import Assessment, Finding
from totalmap.quality.opinion import disagreements
from totalmap.quality.plausibility.rules import implausible
from totalmap.segmentation import Segmentation


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

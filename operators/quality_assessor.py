"""Assesses the quality of results: operator from segmentations to assessed segmentations."""

from operators.base_operator import ChainOperator
from totalmap.quality.assess import assess
from totalmap.segmentation import Segmentation


class QualityAssessorOperator(ChainOperator):
    """Adds quality findings and a verdict to the segmentations."""

    receives = "segmentations"
    emits = "segmentations"

    def process(self, segmentations: tuple[Segmentation, ...]) -> tuple[Segmentation, ...]:
        """Assesses the segmentations."""
        with self.run_log.stage("check_quality"):
            assessed = tuple(
                segmentation.with_assessment(assess(segmentation)) for segmentation in segmentations
            )
            for segmentation in assessed:
                self.run_log.assessed(segmentation)
            return assessed

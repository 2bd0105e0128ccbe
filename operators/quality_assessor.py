"""Operator: segmentations -> segmentations of which it is known whether they are to be believed."""

from operators.chain_operator import ChainOperator
from totalmap.quality.assess import assess
from totalmap.segmentation import Segmentation


class QualityAssessorOperator(ChainOperator):
    """Looks for reasons not to believe the labels."""

    receives = "segmentations"
    emits = "segmentations"

    def process(self, segmentations: tuple[Segmentation, ...]) -> tuple[Segmentation, ...]:
        """Assesses the segmentations."""
        with self.run_log.stage("check_quality"):
            assessed = tuple(
                one.assessed(assess(one, self.run_log.reasons_of(one.volume.folder)))
                for one in segmentations
            )
            for segmentation in assessed:
                self.run_log.assessed(segmentation)
            return assessed

"""Operator: series -> volume."""

from operators.chain_operator import ChainOperator
from totalmap.dicom.study import Series
from totalmap.dicom.volume import Volume, build_volume


class VolumeBuilderOperator(ChainOperator):
    """Decodes the pixels of the series into voxels with a geometry."""

    receives = "series"
    emits = "volume"

    def process(self, series: Series) -> Volume:
        """Builds the volume."""
        with self.journal.stage("build_volume"):
            return build_volume(series)

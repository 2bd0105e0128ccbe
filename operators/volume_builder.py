"""Operator: selections -> volumes."""

from typing import Any

from operators.chain_operator import ChainOperator
from totalmap.dicom.select import Selection
from totalmap.dicom.volume import Volume, build_volume
from totalmap.settings import GeometrySection


class VolumeBuilderOperator(ChainOperator):
    """Decodes the pixels of what was chosen into voxels with a geometry."""

    receives = "selections"
    emits = "volumes"

    def __init__(self, *args: Any, geometry: GeometrySection, **kwargs: Any) -> None:
        self._geometry = geometry
        super().__init__(*args, **kwargs)

    def process(self, selections: tuple[Selection, ...]) -> tuple[Volume, ...]:
        """Builds the volumes."""
        with self.journal.stage("build_volume"):
            volumes = tuple(build_volume(one, self._geometry) for one in selections)
            for volume in volumes:
                self.journal.built(volume)
            return volumes

"""Decodes the pixels of the chosen series: operator from selections to volumes."""

from typing import Any

from operators.base_operator import ChainOperator
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.volume import Volume, build_volume
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.settings import GeometrySection


class VolumeBuilderOperator(ChainOperator):
    """Decodes the pixels of the selections into voxels with a geometry."""

    receives = "selections"
    emits = "volumes"

    def __init__(self, *args: Any, geometry: GeometrySection, task: str, **kwargs: Any) -> None:
        self._geometry = geometry
        self._task = task
        super().__init__(*args, **kwargs)

    def process(self, selections: tuple[Selection, ...]) -> tuple[Volume, ...]:
        """Builds the volumes and assesses whether they suit the task."""
        with self.run_log.stage("build_volume"):
            volumes = tuple(
                with_suitability(build_volume(selection, self._geometry), self._task)
                for selection in selections
            )
            for volume in volumes:
                self.run_log.built(volume)
            return volumes

"""Operator: NIfTI file -> volume."""

from pathlib import Path
from typing import Any

from operators.chain_operator import ChainOperator
from totalmap.dicom.volume import Volume
from totalmap.nifti import read_nifti
from totalmap.quality.suitability.rules import unsuitable
from totalmap.settings import GeometrySection


class NiftiLoaderOperator(ChainOperator):
    """Reads an image in place of study, series and pixels."""

    emits = "volumes"

    def __init__(
        self,
        *args: Any,
        path: Path,
        geometry: GeometrySection,
        task: str,
        modality: str,
        **kwargs: Any,
    ) -> None:
        self._path = path
        self._geometry = geometry
        self._task = task
        self._modality = modality
        super().__init__(*args, **kwargs)

    def process(self, received: None) -> tuple[Volume, ...]:
        """Reads the image, and looks whether it suits the task."""
        with self.run_log.stage("read_nifti"):
            volume = read_nifti(self._path, self._modality, self._geometry)
            self.run_log.built(volume, unsuitable(volume, self._task))
            return (volume,)

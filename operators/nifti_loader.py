"""Reads a NIfTI image: operator from a file to volumes."""

from pathlib import Path
from typing import Any

from operators.base_operator import ChainOperator
from totalmap.dicom.volume import Volume
from totalmap.nifti import read_nifti
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.settings import GeometrySection


class NiftiLoaderOperator(ChainOperator):
    """Reads a NIfTI image; takes the place of the three operators that read DICOM."""

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
        """Reads the image and assesses whether it suits the task."""
        with self.run_log.stage("read_nifti"):
            image = read_nifti(self._path, self._modality, self._geometry)
            volume = with_suitability(image, self._task)
            self.run_log.built(volume)
            return (volume,)

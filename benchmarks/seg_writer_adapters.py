"""Prepares the writers of SEGs that are compared; each then writes one file."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.segmentations import TASK, segmentation_with, volume_of
from totalmap.dicom.geometry import to_canonical
from totalmap.result_options import SegTransferSyntax
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.dicom.codes import structure_code

Write = Callable[[Path], None]


class Case:
    """A CT series and labels for it."""

    def __init__(self, folder: Path) -> None:
        self.series = folder / "ct"
        self.labels_path = folder / "labels.npy"

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """(k, j, i) labels of task total."""
        labels: NDArray[np.uint8] = np.load(self.labels_path)
        return labels

    @cached_property
    def segmentation(self) -> Segmentation:
        """The labels as TotalMAP passes them to its writers."""
        return segmentation_with(volume_of(self.series), self.labels)

    @cached_property
    def headers(self) -> list[Dataset]:
        """The files of the series in the order of the slices, without pixels."""
        slices = self.segmentation.volume.slices
        return [pydicom.dcmread(item.instance.path, stop_before_pixels=True) for item in slices]


def _totalmap(syntax: SegTransferSyntax) -> Callable[[Case], Write]:
    def prepare(case: Case) -> Write:
        from totalmap.writers.seg.binary import encode_segs

        segmentation = case.segmentation
        settings = Settings(results=ResultsSection(seg_transfer_syntax=syntax))

        def write(path: Path) -> None:
            with path.open("wb") as file:
                (seg,) = encode_segs(segmentation, settings)
                seg.write(file)

        return write

    return prepare


def _highdicom(case: Case) -> Write:
    from highdicom.seg import Segmentation as HighdicomSeg
    from highdicom.seg import SegmentationTypeValues

    headers, labels, descriptions = case.headers, case.labels, _descriptions()

    def write(path: Path) -> None:
        HighdicomSeg(
            source_images=headers,
            pixel_array=labels,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid="1.2.3.4",
            series_number=1,
            sop_instance_uid="1.2.3.4.5",
            instance_number=1,
            manufacturer="x",
            manufacturer_model_name="x",
            software_versions="1",
            device_serial_number="0",
            transfer_syntax_uid=ExplicitVRLittleEndian,
        ).save_as(path)

    return write


def _descriptions() -> list[Any]:
    import highdicom
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="x", family=codes.DCM.ArtificialIntelligence, version="1"
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=structure.name,
            segmented_property_category=structure_code(structure.name).category,
            segmented_property_type=structure_code(structure.name).type,
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, structure in enumerate(TASK.structures, start=1)
    ]


def _app_sdk(case: Case) -> Write:
    from monai.deploy.core import Application
    from monai.deploy.core.domain.dicom_series import DICOMSeries
    from monai.deploy.operators.dicom_seg_writer_operator import (
        DICOMSegmentationWriterOperator,
        SegmentDescription,
    )
    from pydicom.sr.codedict import codes

    series = DICOMSeries(str(case.headers[0].SeriesInstanceUID))
    for header in case.headers:
        series.add_sop_instance(header)
    descriptions = [
        SegmentDescription(
            segment_label=structure.name,
            segmented_property_category=structure_code(structure.name).category,
            segmented_property_type=structure_code(structure.name).type,
            algorithm_name="x",
            algorithm_family=codes.DCM.ArtificialIntelligence,
            algorithm_version="1",
        )
        for structure in TASK.structures
    ]
    labels = case.labels

    def write(path: Path) -> None:
        operator = DICOMSegmentationWriterOperator(
            Application(), segment_descriptions=descriptions, output_folder=path.parent
        )
        operator.create_dicom_seg(labels, series, path.parent)
        (written,) = path.parent.glob("*.dcm")
        written.rename(path)

    return write


def _dcmqi(case: Case) -> Write:
    import SimpleITK as sitk  # noqa: N813  its usual name

    folder = case.labels_path.parent
    image, attributes = folder / "labels.nrrd", folder / "dcmqi.json"
    written: Any = sitk.GetImageFromArray(case.labels)
    affine = case.segmentation.volume.geometry.affine_lps
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    written.SetSpacing(spacing.tolist())
    written.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    written.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(written, str(image))
    attributes.write_text(json.dumps(_dcmqi_attributes()), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("itkimage2segimage"))]
    command += ["--inputImageList", str(image), "--inputDICOMDirectory", str(case.series)]
    command += ["--inputMetadata", str(attributes)]

    def write(path: Path) -> None:
        subprocess.run(  # noqa: S603  a fixed command
            [*command, "--outputDICOM", str(path)], check=True, capture_output=True
        )

    return write


def _dcmqi_attributes() -> dict[str, Any]:
    segments = []
    for structure in TASK.structures:
        code = structure_code(structure.name)
        segments.append(
            {
                "labelID": structure.label,
                "SegmentLabel": structure.name,
                "SegmentDescription": structure.name,
                "SegmentAlgorithmType": "AUTOMATIC",
                "SegmentAlgorithmName": "x",
                "SegmentedPropertyCategoryCodeSequence": _triplet(code.category),
                "SegmentedPropertyTypeCodeSequence": _triplet(code.type),
            }
        )
    return {
        "ContentCreatorName": "x",
        "SeriesDescription": "x",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "ContentLabel": "SEGMENTATION",
        "segmentAttributes": [segments],
    }


def _triplet(code: Any) -> dict[str, str]:
    return {
        "CodeValue": code.value,
        "CodingSchemeDesignator": code.scheme_designator,
        "CodeMeaning": code.meaning,
    }


def _totalsegmentator(case: Case) -> Write:
    from totalsegmentator.dicom_io import save_mask_as_dicomseg

    volume = case.segmentation.volume
    labels = to_canonical(case.labels, volume.geometry)
    names = {structure.label: structure.name for structure in TASK.structures}

    def write(path: Path) -> None:
        save_mask_as_dicomseg(labels, names, str(case.series), path, np.eye(4))

    return write


WRITERS: dict[str, Callable[[Case], Write]] = {
    "TotalMAP": _totalmap(SegTransferSyntax.NATIVE),
    "TotalMAP, deflated": _totalmap(SegTransferSyntax.DEFLATED),
    "highdicom": _highdicom,
    "MONAI Deploy App SDK": _app_sdk,
    "dcmqi": _dcmqi,
    "TotalSegmentator": _totalsegmentator,
}

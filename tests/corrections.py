"""Makes corrections of a small result of the phantom, as other tools send them back."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_of
from totalmap.dicom.study import read_study
from totalmap.existing_seg import read_labels, read_segs
from totalmap.reviewer import Reviewer
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.codes import StructureCode, structure_code
from totalmap.writers.seg.binary import write_seg

SPEC = SeriesSpec(
    rows=24, columns=21, n_slices=12, slice_spacing_mm=12.0, pixel_spacing_mm=(17.5, 17.5)
)
REVIEWER = Reviewer(name="Eva Müller", at=1_796_336_116.0, reason="Liver.", uid_key="7")
SETTINGS = Settings()
ITKIMAGE2SEGIMAGE = Path(sys.executable).with_name("itkimage2segimage")
Labels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reviewed:
    """A result of TotalMAP that a person looks at.

    Attributes:
        output: The output folder of its run; the SEG is `results/seg.dcm`.
    """

    series: WrittenSeries
    segmentation: Segmentation
    output: Path

    @property
    def seg(self) -> Path:
        return self.output / "results" / "seg.dcm"

    @property
    def labels(self) -> Labels:
        """(k, j, i) as the result has them, in the order of its slices."""
        return self.segmentation.labels.astype(np.uint8)

    def label(self, name: str) -> int:
        (label,) = (one.label for one in self.segmentation.structures if one.name == name)
        return label


def reviewed_result(
    folder: Path, spec: SeriesSpec = SPEC, settings: Settings = SETTINGS
) -> Reviewed:
    """Writes a series and the SEG of the labels that a perfect network would find in it."""
    series = write_series(folder / "study", 1, spec)
    segmentation = segmentation_of(series)
    with open_release(folder / "out") as release:
        write_seg(segmentation, settings, release)
        release.publish({})
    return Reviewed(series=series, segmentation=segmentation, output=folder / "out")


def edited(reviewed: Reviewed) -> Labels:
    """Labels with a liver without half of its rows, and a spleen with a voxel of the kidney."""
    labels = reviewed.labels.copy()
    liver, spleen = reviewed.label("liver"), reviewed.label("spleen")
    rows = np.unique(np.nonzero(labels == liver)[1])
    low = labels[:, rows[len(rows) // 2] :]
    low[low == liver] = 0
    k, j, i = np.argwhere(labels == spleen)[0]
    labels[k, j, i - 1] = spleen
    return labels


def masks_of(reviewed: Reviewed, labels: Labels, names: Sequence[str]) -> NDArray[np.bool_]:
    """(k, j, i, structure) masks."""
    return np.stack([labels == reviewed.label(name) for name in names], axis=-1)


def described(code: StructureCode, name: str, number: int) -> highdicom.seg.SegmentDescription:
    """A segment as a person of another tool draws it: with codes, and without our Tracking UID."""
    segment = highdicom.seg.SegmentDescription(
        number,
        name,
        code.category,
        code.type,
        highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    for modifier, item in (("SegmentedPropertyTypeModifierCodeSequence", code.modifier),):
        if item is not None:
            setattr(
                segment.SegmentedPropertyTypeCodeSequence[0],
                modifier,
                [highdicom.sr.CodedConcept(item.value, item.scheme_designator, item.meaning)],
            )
    return segment


def seg_of_highdicom(
    path: Path,
    reviewed: Reviewed,
    masks: NDArray[np.bool_],
    codes: Mapping[str, StructureCode],
    kind: str = "BINARY",
) -> Path:
    """Writes a SEG of highdicom.

    Args:
        masks: (k, j, i, segment).
        codes: The codes of each segment, by its Segment Label.
        kind: BINARY, FRACTIONAL or LABELMAP.
    """
    sources = [
        pydicom.dcmread(slice_.instance.path) for slice_ in reviewed.segmentation.volume.slices
    ]
    segments = [
        described(code, name, number) for number, (name, code) in enumerate(codes.items(), start=1)
    ]
    pixels = masks
    extra: dict[str, object] = {}
    if kind == "FRACTIONAL":
        pixels = masks.astype(np.float32) * 0.6 + 0.2  # type: ignore[assignment]
        extra = {"fractional_type": "PROBABILITY", "max_fractional_value": 255}
    seg = highdicom.seg.Segmentation(
        sources,
        pixels,
        kind,
        segments,
        highdicom.UID(),
        9,
        highdicom.UID(),
        1,
        "Another tool",
        "Viewer",
        "1",
        "1",
        omit_empty_frames=kind != "FRACTIONAL",
        **extra,
    )
    seg.save_as(path)
    return path


def codes_of(*names: str) -> dict[str, StructureCode]:
    """The codes of structures, by a label that no program knows."""
    return {f"Mine {n}": structure_code(name) for n, name in enumerate(names, start=1)}


def seg_of_dcmqi(path: Path, reviewed: Reviewed, labels: Labels, names: Sequence[str]) -> Path:
    """Writes a SEG of dcmqi, with a file for each structure."""
    volume = reviewed.segmentation.volume
    affine = volume.geometry.affine_ras
    attributes, images = [], []
    for number, name in enumerate(names, start=1):
        image = path.with_name(f"{number}.nii.gz")
        mask = (labels == reviewed.label(name)).astype(np.uint8).transpose(2, 1, 0)
        nibabel.save(nibabel.Nifti1Image(mask, affine), image)
        images.append(str(image))
        attributes.append([_dcmqi_segment(structure_code(name), f"Mine {number}")])
    meta = path.with_name("meta.json")
    meta.write_text(
        json.dumps(
            {
                "ContentCreatorName": "Reader^Other",
                "ClinicalTrialSeriesID": "1",
                "ClinicalTrialTimePointID": "1",
                "SeriesDescription": "Edited",
                "SeriesNumber": "300",
                "InstanceNumber": "1",
                "segmentAttributes": attributes,
            }
        )
    )
    command = [ITKIMAGE2SEGIMAGE, "--inputImageList", ",".join(images)]
    command += ["--inputDICOMDirectory", reviewed.series.folder, "--outputDICOM", path]
    command += ["--inputMetadata", meta]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return path


def _dcmqi_segment(code: StructureCode, label: str) -> dict[str, object]:
    segment: dict[str, object] = {
        "labelID": 1,
        "SegmentLabel": label,
        "SegmentDescription": label,
        "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": _as_json(code.category),
        "SegmentedPropertyTypeCodeSequence": _as_json(code.type),
        "recommendedDisplayRGBValue": list(code.rgb),
    }
    if code.modifier is not None:
        segment["SegmentedPropertyTypeModifierCodeSequence"] = _as_json(code.modifier)
    return segment


def _as_json(code: Code) -> dict[str, str]:
    return {
        "CodeValue": code.value,
        "CodingSchemeDesignator": code.scheme_designator,
        "CodeMeaning": code.meaning,
    }


def labels_of(seg: Path, reviewed: Reviewed) -> dict[str, NDArray[np.bool_]]:
    """The mask of each structure of a SEG of ours, (k, j, i), by name."""
    study = read_study(reviewed.series.folder)
    assert study.series
    found = read_labels(read_segs([seg]), reviewed.segmentation.volume.geometry)
    return {name: found.labels == number for name, number in found.numbers.items()}


def changed_copy(seg: Path, path: Path, **attributes: object) -> Path:
    """Writes a SEG with other attributes and a new SOP Instance UID."""
    dataset: Dataset = pydicom.dcmread(seg)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = highdicom.UID()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path

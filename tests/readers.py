"""Reads SEG and RTSTRUCT with other software, and places masks by the phantom's geometry."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813  its usual name
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from skimage.draw import polygon2mask
from totalsegmentator.map_to_binary import class_map

from tests.phantom.study import WrittenSeries, decimal
from totalmap.display_names import display_name
from totalmap.result_options import RoiNames
from totalmap.writers.rtstruct.roi_names import roi_name

SEGIMAGE2ITKIMAGE = Path(sys.executable).with_name("segimage2itkimage")
NUMBER_OF: dict[str, int] = {name: number for number, name in class_map["total"].items()}
# Other writers of structure sets use the names of the structures themselves.
NUMBER_OF_ROI = NUMBER_OF | {
    roi_name(name, RoiNames.TOTALSEGMENTATOR): number for name, number in NUMBER_OF.items()
}
NUMBER_OF_LABEL = {display_name(name): number for name, number in NUMBER_OF.items()}
# The SEG repeats the decimal strings of its source.
SAME_PLACE_MM = 1e-3

Labels = NDArray[np.uint8]


def read_by_highdicom(path: Path, written: WrittenSeries) -> Labels:
    """Returns (k, j, i) labels; each frame goes to the slice at its physical position."""
    seg = highdicom.seg.segread(path)
    names = {s.SegmentNumber: s.SegmentLabel for s in seg.SegmentSequence}
    orientation = _group(seg, 0, "PlaneOrientationSequence").ImageOrientationPatient
    assert np.allclose(np.array(orientation, float), written.spec.orientation, atol=1e-6)
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    labels = np.zeros(written.hu.shape, dtype=np.uint8)
    for frame, pixel in enumerate(pixels):
        position = _group(seg, frame, "PlanePositionSequence").ImagePositionPatient
        distances = np.linalg.norm(
            written.spec.positions_lps_mm - np.array(position, float), axis=1
        )
        k = int(distances.argmin())
        assert distances[k] < SAME_PLACE_MM, "a frame lies where no slice is"
        if seg.SegmentationType == "LABELMAP":
            for number in np.unique(pixel[pixel > 0]):
                labels[k][pixel == number] = NUMBER_OF_LABEL[names[int(number)]]
        else:
            number = _group(seg, frame, "SegmentIdentificationSequence").ReferencedSegmentNumber
            labels[k][pixel > 0] = NUMBER_OF_LABEL[names[number]]
    return labels


def read_by_dcmqi(path: Path, folder: Path, written: WrittenSeries) -> Labels:
    """Returns (k, j, i) labels, placed by the physical positions of dcmqi's images.

    An ITK image can't express a tilt: for frames that are shifted in one direction, dcmqi 1.5.7
    ignores the shift; for the other direction, it ends without a result and with exit status 0. So
    it gets a copy of a tilted SEG whose frames were moved over the first slice.
    """
    folder.mkdir()
    upright = written.affine_lps.copy()
    normal = written.spec.normal_lps
    upright[:3, 2] = normal * (normal @ upright[:3, 2])
    if written.spec.tilt_degrees:
        path = _moved_over_first_slice(path, folder / "upright.dcm", written)
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nii"]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    meta = json.loads((folder / "meta.json").read_text())
    labels = np.zeros(written.hu.shape, dtype=np.uint8)
    for number, segments in enumerate(meta["segmentAttributes"], start=1):
        image = nibabel.load(folder / f"{number}.nii.gz")
        values = np.asarray(image.dataobj)
        name_of = {segment["labelID"]: segment["SegmentLabel"] for segment in segments}
        assert set(np.unique(values)) - {0} == set(name_of) - {0}
        voxels = np.argwhere(values > 0)
        to_index = np.linalg.inv(upright) @ np.diag([-1, -1, 1, 1]) @ image.affine
        index = nibabel.affines.apply_affine(to_index, voxels)
        k = np.abs(index[:, 2:] - np.array(written.spec.steps)).argmin(axis=1)
        i, j = np.rint(index[:, :2]).astype(int).T
        named = values[tuple(voxels.T)]
        labels[k, j, i] = [NUMBER_OF_LABEL[name_of[value]] for value in named]
    return labels


def _moved_over_first_slice(path: Path, copy: Path, written: WrittenSeries) -> Path:
    seg = pydicom.dcmread(path)
    first, normal = written.spec.positions_lps_mm[0], written.spec.normal_lps
    for frame in range(int(seg.NumberOfFrames)):
        plane = _group(seg, frame, "PlanePositionSequence")
        height = normal @ (np.array(plane.ImagePositionPatient, float) - first)
        plane.ImagePositionPatient = [decimal(mm) for mm in first + height * normal]
    seg.save_as(copy)
    return copy


def _group(seg: Dataset, frame: int, sequence: str) -> Dataset:
    own = seg.PerFrameFunctionalGroupsSequence[frame]
    item: Dataset = (own if sequence in own else seg.SharedFunctionalGroupsSequence[0])[
        sequence
    ].value[0]
    return item


def read_by_filling(path: Path, written: WrittenSeries) -> Labels:
    """Returns (k, j, i) labels: the contours of an RT Structure Set, each filled separately.

    The phantom's geometry gives the slice of a contour.
    """
    rtstruct = pydicom.dcmread(path)
    names = {roi.ROINumber: roi.ROIDescription for roi in rtstruct.StructureSetROISequence}
    to_index = np.linalg.inv(written.affine_lps)
    labels = np.zeros(written.hu.shape, dtype=np.uint8)
    for roi in rtstruct.ROIContourSequence:
        for contour in roi.ContourSequence:
            positions = np.array(contour.ContourData, float).reshape(-1, 3)
            i, j, steps = nibabel.affines.apply_affine(to_index, positions).T
            k = int(np.abs(steps[0] - np.array(written.spec.steps)).argmin())
            off_plane = np.abs(steps - written.spec.steps[k]) * written.spec.slice_spacing_mm
            assert off_plane.max() < 2 * SAME_PLACE_MM
            mask = polygon2mask(labels.shape[1:], np.column_stack([j, i]))
            assert not labels[k][mask].any(), "contours overlap"
            labels[k][mask] = NUMBER_OF[names[roi.ReferencedROINumber]]
    return labels


def read_by_plastimatch(
    path: Path, folder: Path, series: Path
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yields each label and its (k, j, i) mask, as plastimatch rasterises contours on an axial CT.

    plastimatch writes an image of bytes: bit n of the vector at a voxel is the n-th structure of
    its list.
    """
    image_path, names = folder / "structures.nrrd", folder / "structures.txt"
    command = ["plastimatch", "convert", "--input", path, "--referenced-ct", series]
    command += ["--output-ss-img", image_path, "--output-ss-list", names]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(image_path)))
    image = image.reshape(*image.shape[:3], -1)
    for line in names.read_text().splitlines():
        number, _colour, name = line.split("|")
        byte, bit = divmod(int(number), 8)
        yield NUMBER_OF_ROI[name], (image[..., byte] >> bit & 1).astype(bool)

"""Reads an RT Structure Set with dcmrtstruct2nii and dicompyler-core, in their own environment.

Usage: read_structure_set.py FOLDER RTSTRUCT SERIES writes FOLDER/mask_NAME.nii.gz for each ROI
(dcmrtstruct2nii) and FOLDER/dicompyler.json (dicompyler-core). SERIES is the folder of the source.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from dcmrtstruct2nii import dcmrtstruct2nii
from dicompylercore import dicomparser, dvhcalc
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid

AXIAL = 0.99  # the least part of a slice's normal along the axis of the body


def main() -> None:
    """Writes what both readers return."""
    folder, path, series = map(Path, sys.argv[1:])
    dcmrtstruct2nii(str(path), str(series), str(folder), mask_foreground_value=1)
    slices = [pydicom.dcmread(file) for file in series.iterdir()]
    structure_set = dicomparser.DicomParser(str(path))
    rows, columns = np.reshape(slices[0].ImageOrientationPatient, (2, 3))
    dose = flat_dose(slices) if abs(np.cross(rows, columns)[2]) > AXIAL else None
    read = [
        {
            "name": roi["name"],
            "rgb": roi["color"].tolist(),
            "type": roi["type"],
            "contours_lps_mm": contours(structure_set, number),
            "volume_ml": None if dose is None else volume_ml(structure_set.ds, dose, number),
        }
        for number, roi in structure_set.GetStructures().items()
    ]
    (folder / "dicompyler.json").write_text(json.dumps(read))


def contours(structure_set: dicomparser.DicomParser, number: int) -> list[list[list[float]]]:
    """Returns the points of each contour of an ROI, in LPS mm."""
    planes = structure_set.GetStructureCoordinates(number).values()
    found = [contour["data"] for plane in planes for contour in plane]
    return [[[float(mm) for mm in point] for point in points] for points in found]


def volume_ml(structure_set: Dataset, dose: Dataset, number: int) -> float:
    """Returns the volume that the dose-volume histogram of an ROI covers."""
    offsets = dose.GridFrameOffsetVector
    histogram = dvhcalc.get_dvh(structure_set, dose, number, thickness=offsets[1] - offsets[0])
    return float(histogram.volume)


def flat_dose(slices: Sequence[Dataset]) -> Dataset:
    """Returns an RT Dose of 1 Gy in each voxel of a CT with axial slices of equal distance."""
    ordered = sorted(slices, key=lambda one: float(one.ImagePositionPatient[2]))
    first = ordered[0]
    dose = Dataset()
    dose.file_meta = FileMetaDataset()
    dose.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dose.file_meta.MediaStorageSOPClassUID = dose.SOPClassUID = RTDoseStorage
    dose.file_meta.MediaStorageSOPInstanceUID = dose.SOPInstanceUID = generate_uid()
    dose.is_little_endian, dose.is_implicit_VR = True, False
    for keyword in ("Rows", "Columns", "ImageOrientationPatient", "ImagePositionPatient"):
        setattr(dose, keyword, first[keyword].value)
    dose.PixelSpacing = first.PixelSpacing
    heights = [float(one.ImagePositionPatient[2]) for one in ordered]
    dose.GridFrameOffsetVector = [height - heights[0] for height in heights]
    dose.NumberOfFrames = len(slices)
    dose.SamplesPerPixel, dose.PhotometricInterpretation = 1, "MONOCHROME2"
    dose.BitsAllocated = dose.BitsStored = 16
    dose.HighBit, dose.PixelRepresentation = 15, 0
    dose.DoseUnits, dose.DoseType, dose.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dose.DoseGridScaling = "0.01"
    dose.PixelData = np.full((len(slices), first.Rows, first.Columns), 100, "<u2").tobytes()
    return dose


if __name__ == "__main__":
    main()

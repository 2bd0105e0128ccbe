"""Writes the DICOM attributes of the synthetic studies, a function for each group of modules."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

PATIENT_NAME = "PHANTOM^TOTALMAP"
PATIENT_ID = "TM-PHANTOM-0001"
BIRTH_DATE = "19700102"
ACCESSION_NUMBER = "TMACC0001"
STUDY_DATE = "20200304"
STUDY_TIME = "101112"
MANUFACTURER = "TotalMAP phantom"
IMPLEMENTATION = "TOTALMAP_PHANTOM"


def phantom_uid(*parts: object) -> UID:
    """Returns the UID of the parts: 2.25. and a number of 128 bits."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def file_meta(sop_class: UID, sop_uid: UID) -> FileMetaDataset:
    """Returns the file meta information (PS3.10 section 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = phantom_uid("implementation")
    meta.ImplementationVersionName = IMPLEMENTATION
    return meta


def patient_and_study(seed: int) -> Dataset:
    """Returns the Patient, General Study and General Equipment modules."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName = PATIENT_NAME
    ds.PatientID = PATIENT_ID
    ds.PatientBirthDate = BIRTH_DATE
    ds.PatientSex = "O"
    ds.StudyInstanceUID = phantom_uid("study", seed)
    ds.StudyDate = STUDY_DATE
    ds.StudyTime = STUDY_TIME
    ds.StudyID = str(seed)
    ds.AccessionNumber = ACCESSION_NUMBER
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "CT trunk"
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "Phantom"
    ds.DeviceSerialNumber = "0001"
    ds.SoftwareVersions = "1"
    return ds


def series_modules(
    seed: int, series_uid: UID, number: int, description: str, modality: str
) -> Dataset:
    """Returns patient_and_study with the General Series module."""
    ds = patient_and_study(seed)
    ds.Modality = modality
    ds.SeriesInstanceUID = series_uid
    ds.SeriesNumber = number
    ds.SeriesDescription = description
    ds.SeriesDate = STUDY_DATE
    ds.SeriesTime = STUDY_TIME
    ds.ContentDate = STUDY_DATE
    ds.ContentTime = STUDY_TIME
    return ds


def ct_modules(
    ds: Dataset, image_type: tuple[str, ...], seed: int, *, kernel: str, tilt: str
) -> None:
    """Adds what all images of a CT series share: frame of reference, pixels, CT Image module.

    tilt is the gantry's, in degrees, as a decimal string.
    """
    ds.SOPClassUID = CTImageStorage
    _image_modules(ds, image_type, seed)
    ds.RescaleIntercept = "-1024"
    ds.RescaleSlope = "1"
    if "LOCALIZER" not in image_type:
        ds.RescaleType = "HU"
    ds.KVP = "120"
    ds.XRayTubeCurrent = 200
    ds.ExposureTime = 500
    ds.Exposure = 100
    ds.GantryDetectorTilt = tilt
    ds.ConvolutionKernel = kernel
    ds.WindowCenter = "40"
    ds.WindowWidth = "400"


def mr_modules(ds: Dataset, image_type: tuple[str, ...], seed: int) -> None:
    """Adds what all images of an MR series share: frame of reference, pixels, MR Image module."""
    ds.SOPClassUID = MRImageStorage
    _image_modules(ds, image_type, seed)
    ds.ScanningSequence = "GR"
    ds.SequenceVariant = "SP"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime = "180"
    ds.EchoTime = "2.3"
    ds.EchoTrainLength = 1
    ds.MagneticFieldStrength = "1.5"
    ds.FlipAngle = "70"
    ds.WindowCenter = "1100"
    ds.WindowWidth = "600"


def _image_modules(ds: Dataset, image_type: tuple[str, ...], seed: int) -> None:
    """Adds Frame of Reference, General Image and the Image Pixel module: 12 bits unsigned."""
    ds.ImageType = list(image_type)
    ds.FrameOfReferenceUID = phantom_uid("frame of reference", seed)
    ds.PositionReferenceIndicator = ""
    ds.PatientPosition = "HFS"
    ds.ProtocolName = "Trunk"
    ds.BodyPartExamined = "ABDOMEN"
    ds.AcquisitionNumber = 1
    ds.AcquisitionDate = STUDY_DATE
    ds.AcquisitionTime = STUDY_TIME
    pixel_module(ds)


def pixel_module(ds: Dataset) -> None:
    """Adds the Image Pixel module without size and pixels: 12 bits unsigned in 16."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored = 12
    ds.HighBit = 11
    ds.PixelRepresentation = 0

"""Writes a CT series as one Enhanced CT file (PS3.3 A.38), one frame a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedCTImageStorage

from .anatomy import Anatomy
from .modules import STUDY_DATE, STUDY_TIME, file_meta, phantom_uid, pixel_module, series_modules
from .study import (
    STORED_OFFSET,
    SeriesSpec,
    WrittenSeries,
    decimal,
    file_numbers,
    sample_series,
    stored_values,
)

FILE_NAME = "IM0001.dcm"
STACK_ID = "1"
PHASE_STEP_HU = 40  # each further phase is brighter by so much
EXPOSURE_MS = 500.0
TUBE_CURRENT_MA = 200.0


def write_enhanced(
    folder: Path | str,
    body: Anatomy | int = 0,
    spec: SeriesSpec | None = None,
    *,
    phases: int = 1,
) -> WrittenSeries:
    """Writes one CT series of a body as a single multi-frame file and returns it with the truth.

    The frames follow each other as spec.file_order says; InStackPositionNumber follows the slices.

    Args:
        folder: created when it is missing; one file is added.
        body: the anatomy, or the seed of a random one.
        spec: the series; None is a small axial scan of the trunk (96 x 96 x 40).
        phases: how often the slices are repeated, one phase after the other, each PHASE_STEP_HU
            brighter than the one before; hu is that of the first.
    """
    anatomy = Anatomy.random(body) if isinstance(body, int) else body
    spec = spec or SeriesSpec()
    if spec.modality != "CT":
        raise ValueError(f"Enhanced {spec.modality} cannot be written")
    hu, labels = sample_series(anatomy, spec)
    series_uid = phantom_uid("enhanced series", anatomy.seed, spec, phases)
    sop_uid = phantom_uid("enhanced image", series_uid)
    slices = np.argsort(file_numbers(spec, anatomy.seed))
    ds = _header(anatomy.seed, spec, series_uid, sop_uid)
    ds.SharedFunctionalGroupsSequence = Sequence([_shared_groups(spec, series_uid)])
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        _frame_groups(spec, int(k), phase, phases) for phase in range(1, phases + 1) for k in slices
    )
    ds.NumberOfFrames = phases * spec.n_slices
    _add_dimensions(ds, phantom_uid("dimensions", series_uid), phases)
    stored = [stored_values(hu[slices] + np.int16(n * PHASE_STEP_HU)) for n in range(phases)]
    ds.PixelData = np.concatenate(stored).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    path = Path(folder) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.file_meta = file_meta(ds.SOPClassUID, sop_uid)
    ds.save_as(path, enforce_file_format=True)
    return WrittenSeries(
        spec=spec,
        folder=path.parent,
        series_uid=str(series_uid),
        paths=(path,) * spec.n_slices,
        sop_uids=(str(sop_uid),) * spec.n_slices,
        hu=hu,
        labels=labels,
    )


def _header(seed: int, spec: SeriesSpec, series_uid: UID, sop_uid: UID) -> Dataset:
    """Returns all modules but the functional groups, the dimensions and the pixels."""
    ds = series_modules(seed, series_uid, spec.number, spec.description, "CT")
    ds.SOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = sop_uid
    ds.InstanceNumber = 1
    ds.FrameOfReferenceUID = phantom_uid("frame of reference", seed)
    ds.PositionReferenceIndicator = ""
    ds.PatientPosition = "HFS"
    ds.ImageType = _image_type(spec)
    ds.AcquisitionNumber = 1
    ds.AcquisitionDateTime = STUDY_DATE + STUDY_TIME
    ds.AcquisitionDuration = 10.0
    ds.AcquisitionContextSequence = Sequence()
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"
    _add_pixel_meaning(ds)
    pixel_module(ds)
    ds.Rows, ds.Columns = spec.rows, spec.columns
    return ds


def _add_dimensions(ds: Dataset, uid: UID, phases: int) -> None:
    """Adds the Multi-frame Dimension module: stack, position and, of several, the phase."""
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    ds.DimensionOrganizationSequence = Sequence([organization])
    keywords = ["StackID", "InStackPositionNumber"]
    keywords += ["TemporalPositionIndex"] if phases > 1 else []
    ds.DimensionIndexSequence = Sequence(_dimension(uid, keyword) for keyword in keywords)


def _dimension(uid: UID, keyword: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = uid
    item.DimensionIndexPointer = _tag(keyword)
    item.FunctionalGroupPointer = _tag("FrameContentSequence")
    item.DimensionDescriptionLabel = keyword
    return item


def _shared_groups(spec: SeriesSpec, series_uid: UID) -> Dataset:
    """Returns the functional groups that are the same for all frames."""
    groups = Dataset()
    groups.PixelMeasuresSequence = _pixel_measures(spec)
    groups.PlaneOrientationSequence = _item(
        ImageOrientationPatient=[decimal(value) for value in spec.orientation]
    )
    groups.FrameAnatomySequence = _item(
        FrameLaterality="U",
        AnatomicRegionSequence=_item(
            CodeValue="22943007", CodingSchemeDesignator="SCT", CodeMeaning="Trunk"
        ),
    )
    groups.PixelValueTransformationSequence = _item(
        RescaleIntercept=str(-STORED_OFFSET), RescaleSlope="1", RescaleType="HU"
    )
    groups.FrameVOILUTSequence = _item(WindowCenter="40", WindowWidth="400")
    groups.CTImageFrameTypeSequence = _frame_type(spec)
    _add_scan(groups, spec)
    _add_image_formation(groups, spec)
    groups.IrradiationEventIdentificationSequence = _item(
        IrradiationEventUID=phantom_uid("irradiation event", series_uid)
    )
    return groups


def _pixel_measures(spec: SeriesSpec) -> Sequence:
    sequence = _item(
        PixelSpacing=[decimal(value) for value in spec.pixel_spacing_mm],
        SliceThickness=decimal(spec.slice_thickness_mm),
    )
    if spec.n_slices > 1 and spec.slice_steps is None:
        sequence[0].SpacingBetweenSlices = decimal(spec.slice_spacing_mm)
    return sequence


def _frame_type(spec: SeriesSpec) -> Sequence:
    sequence = _item(FrameType=_image_type(spec))
    _add_pixel_meaning(sequence[0])
    return sequence


def _add_scan(groups: Dataset, spec: SeriesSpec) -> None:
    """Adds the groups that say how the scan was acquired."""
    groups.CTAcquisitionTypeSequence = _item(
        AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO"
    )
    groups.CTAcquisitionDetailsSequence = _item(
        RotationDirection="CW",
        RevolutionTime=EXPOSURE_MS / 1000,
        SingleCollimationWidth=spec.slice_thickness_mm,
        TotalCollimationWidth=spec.slice_thickness_mm,
        TableHeight="150",
        GantryDetectorTilt=decimal(spec.tilt_degrees),
        DataCollectionDiameter="500",
    )
    groups.CTTableDynamicsSequence = _item(
        TableSpeed=spec.slice_thickness_mm * 1000 / EXPOSURE_MS,
        TableFeedPerRotation=spec.slice_thickness_mm,
        SpiralPitchFactor=1.0,
    )
    groups.CTGeometrySequence = _item(
        DistanceSourceToDetector="1000", DistanceSourceToDataCollectionCenter=570.0
    )
    groups.CTExposureSequence = _item(
        ExposureTimeInms=EXPOSURE_MS,
        XRayTubeCurrentInmA=TUBE_CURRENT_MA,
        ExposureInmAs=EXPOSURE_MS * TUBE_CURRENT_MA / 1000,
        ExposureModulationType="NONE",
    )
    groups.CTXRayDetailsSequence = _item(
        KVP="120", FocalSpots="1", FilterType="NONE", FilterMaterial="NONE"
    )


def _add_image_formation(groups: Dataset, spec: SeriesSpec) -> None:
    """Adds the groups that say how the images were made from the scan."""
    width_mm = spec.columns * spec.pixel_spacing_mm[1]
    height_mm = spec.rows * spec.pixel_spacing_mm[0]
    groups.CTReconstructionSequence = _item(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel=spec.kernel,
        ConvolutionKernelGroup="GENERAL",
        ReconstructionFieldOfView=[width_mm, height_mm],
        ReconstructionPixelSpacing=list(spec.pixel_spacing_mm),
        ReconstructionAngle=360.0,
        ImageFilter="NONE",
    )


def _frame_groups(spec: SeriesSpec, k: int, phase: int, phases: int) -> Dataset:
    """Returns the functional groups of slice k in a phase (counted from 1)."""
    position = [decimal(value) for value in spec.positions_lps_mm[k]]
    moment = f"{STUDY_DATE}{int(STUDY_TIME) + phase:06d}"
    content = Dataset()
    content.FrameAcquisitionNumber = phase
    content.FrameReferenceDateTime = moment
    content.FrameAcquisitionDateTime = moment
    content.FrameAcquisitionDuration = EXPOSURE_MS
    content.StackID = STACK_ID
    content.InStackPositionNumber = k + 1
    content.DimensionIndexValues = [1, k + 1]
    if phases > 1:
        content.TemporalPositionIndex = phase
        content.DimensionIndexValues = [1, k + 1, phase]
    groups = Dataset()
    groups.FrameContentSequence = Sequence([content])
    groups.PlanePositionSequence = _item(ImagePositionPatient=position)
    groups.CTPositionSequence = _item(
        TablePosition=float(spec.positions_lps_mm[k] @ spec.normal_lps),
        DataCollectionCenterPatient=list(spec.centre_lps_mm),
        ReconstructionTargetCenterPatient=list(spec.centre_lps_mm),
    )
    return groups


def _image_type(spec: SeriesSpec) -> list[str]:
    """Returns the four values of an enhanced image, which knows no AXIAL."""
    values = ("VOLUME" if value == "AXIAL" else value for value in spec.image_type[:3])
    return [*values, "NONE"]


def _add_pixel_meaning(ds: Dataset) -> None:
    """Adds the Common CT/MR Image Description macro: plain volume slices."""
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"


def _item(**attributes: object) -> Sequence:
    """Returns a sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Sequence([item])


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag

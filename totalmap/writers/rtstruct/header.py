"""Writes the elements of an RT Structure Set before and after its contours (PS3.3 A.19.3)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from totalmap.correction_history import AlgorithmType
from totalmap.dicom.volume import Volume
from totalmap.result_options import RoiNames
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import (
    code_item,
    modified_code_item,
    private_scheme,
    structure_code,
)
from totalmap.writers.dicom.header import (
    ObjectKind,
    algorithm_identification,
    derived_header,
    referenced_series,
)
from totalmap.writers.rtstruct.roi_names import roi_name

# Detached Study Management: retired, but PS3.3 C.8.8.5 requires it in references to a study.
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"


def structure_set(
    segmentation: Segmentation,
    settings: Settings,
    kind: ObjectKind,
    structures: tuple[Structure, ...],
) -> Dataset:
    """Returns the elements before the contours: patient, study, source, and the ROIs.

    Raises:
        OutputError: A structure has no code.
    """
    header = derived_header(segmentation, settings, kind)
    header.OperatorsName = None
    header.StructureSetLabel = identifiers.label(segmentation)
    header.StructureSetName = header.SeriesDescription
    header.StructureSetDescription = identifiers.content_description(segmentation)
    header.StructureSetDate, header.StructureSetTime = header.ContentDate, header.ContentTime
    del header.ContentDate, header.ContentTime
    header.ReferencedFrameOfReferenceSequence = [_frame_of_reference(segmentation.volume)]
    header.StructureSetROISequence = [
        _roi(segmentation, settings.results.rtstruct_names, number, structure)
        for number, structure in numbered(structures)
    ]
    if any(structure_code(structure.name).is_private for structure in structures):
        header.CodingSchemeIdentificationSequence = [private_scheme()]
    return header


def numbered(structures: tuple[Structure, ...]) -> Iterator[tuple[int, Structure]]:
    """Yields the structures with their ROI Numbers: 1, 2, and so on without gaps.

    A number has a meaning only in its own structure set (PS3.3 C.8.8.5). OHIF gives the ROI with
    number n the colour of the n-th ROI, so colours would be wrong after a gap.
    """
    return enumerate(structures, start=1)


def observations(structures: tuple[Structure, ...]) -> Dataset:
    """Returns the elements after the contours: the codes of the ROIs, and the missing approval."""
    trailer = Dataset()
    trailer.RTROIObservationsSequence = [
        _observation(number, structure) for number, structure in numbered(structures)
    ]
    trailer.ApprovalStatus = "UNAPPROVED"
    return trailer


def _frame_of_reference(volume: Volume) -> Dataset:
    """Returns the item of Referenced Frame of Reference Sequence, down to every source file."""
    source = volume.slices[0].instance
    reference = referenced_series(volume)
    series = Dataset()
    series.SeriesInstanceUID = reference.SeriesInstanceUID
    series.ContourImageSequence = list(reference.ReferencedInstanceSequence)
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = source.study_instance_uid
    study.RTReferencedSeriesSequence = [series]
    frame_of_reference = Dataset()
    frame_of_reference.FrameOfReferenceUID = source.frame_of_reference_uid
    frame_of_reference.RTReferencedStudySequence = [study]
    return frame_of_reference


def _roi(
    segmentation: Segmentation, naming: RoiNames, number: int, structure: Structure
) -> Dataset:
    """Returns the item of Structure Set ROI Sequence (PS3.3 C.8.8.5) of a structure."""
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = segmentation.volume.slices[
        0
    ].instance.frame_of_reference_uid
    roi.ROIName = roi_name(structure.name, naming)
    roi.ROIDescription = structure.name
    kind = segmentation.algorithm_type(structure)
    roi.ROIGenerationAlgorithm = kind
    if kind is not AlgorithmType.MANUAL:
        roi.ROIGenerationDescription = identifiers.algorithm_name(segmentation)
        roi.ROIDerivationAlgorithmIdentificationSequence = [algorithm_identification(segmentation)]
    return roi


def _observation(number: int, structure: Structure) -> Dataset:
    """Returns the item of RT ROI Observations Sequence (PS3.3 C.8.8.8) of a structure.

    The Observation Number is the label of the structure, which is the same in every study.
    """
    code = structure_code(structure.name)
    observation = Dataset()
    observation.ObservationNumber = structure.label
    observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = "ORGAN"
    observation.ROIInterpreter = None
    observation.SegmentedPropertyCategoryCodeSequence = [code_item(code.category)]
    observation.RTROIIdentificationCodeSequence = [
        modified_code_item(code.type, code.modifier, "SegmentedPropertyTypeModifierCodeSequence")
    ]
    if code.region is not None:
        observation.AnatomicRegionSequence = [
            modified_code_item(code.region, code.region_modifier, "AnatomicRegionModifierSequence")
        ]
    return observation

"""A DICOM Segmentation (PS3.3 A.51): BINARY, one segment a structure, on the source's frames."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import highdicom
import numpy as np
import pydicom
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as DicomSegmentation
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from totalmap.dicom.stacks import Slice
from totalmap.errors import OutputError
from totalmap.journal import Result
from totalmap.segmentation import Segmentation, Structure
from totalmap.writers import provenance
from totalmap.writers.codes import StructureCode, structure_code
from totalmap.writers.frames import functional_group
from totalmap.writers.placement import Sample, check_placement
from totalmap.writers.release import RESULTS_NAME, Release
from totalmap.writers.source_headers import source_headers

FILE_NAME = "seg.dcm"
SERIES_NUMBER = 9001
CONTENT_LABEL = "SEGMENTATION"

# CID 7162 Surface Processing / Algorithm Family; 123110 in PS3.16 annex D.
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")


def write_seg(segmentation: Segmentation, release: Release) -> Result:
    """Writes the labels as a SEG and compares the file with them, voxel by voxel.

    Frame of reference, position and matrix are the source's, and every frame names the source
    instance it lies on (Derivation Image). Empty frames are left out.

    Raises:
        OutputError: No structure was found, a structure has no code, or the file that was
            written differs from the labels.
    """
    structures = tuple(found.structure for found in segmentation.found())
    if not structures:
        raise OutputError(
            "no structure was found in any of "
            f"{len(segmentation.volume.slices)} slices: there is nothing to write"
        )
    dataset = _build(segmentation, structures)

    def write(file: BinaryIO) -> None:
        dataset.save_as(file, enforce_file_format=True)

    name = provenance.result_name(segmentation, FILE_NAME)
    aside = release.write(name, write)
    check_seg(pydicom.dcmread(aside), segmentation, structures)
    return Result(
        kind="seg",
        path=f"{RESULTS_NAME}/{name}",
        sop_instance_uid=str(dataset.SOPInstanceUID),
    )


def _build(segmentation: Segmentation, structures: tuple[Structure, ...]) -> DicomSegmentation:
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[[structure.label for structure in structures]] = np.arange(1, len(structures) + 1)
    slices = segmentation.volume.slices
    is_multiframe = len(slices[0].instance.frames) > 1
    seg = DicomSegmentation(
        source_images=source_headers(segmentation.volume),
        plane_positions=_plane_positions(slices) if is_multiframe else None,
        pixel_array=numbers[segmentation.labels],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe(segmentation, structure, number)
            for number, structure in enumerate(structures, start=1)
        ],
        series_instance_uid=provenance.series_uid(segmentation, "seg"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=provenance.instance_uid(segmentation, "seg"),
        instance_number=1,
        manufacturer=provenance.MANUFACTURER,
        manufacturer_model_name=provenance.MODEL_NAME,
        software_versions=provenance.software_versions(),
        device_serial_number=provenance.DEVICE_SERIAL_NUMBER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        series_description=provenance.series_description(segmentation),
        content_label=CONTENT_LABEL,
        content_description=provenance.series_description(segmentation),
    )
    if is_multiframe:
        _keep_own_frames(seg, {one.frame.number for one in slices})
    return seg


def _plane_positions(slices: Sequence[Slice]) -> list[highdicom.PlanePositionSequence]:
    return [
        highdicom.PlanePositionSequence(
            highdicom.CoordinateSystemNames.PATIENT, one.plane.position_mm
        )
        for one in slices
    ]


def _keep_own_frames(seg: Dataset, numbers: set[int]) -> None:
    """Leaves the frames of our volume alone in Derivation Image.

    highdicom names all frames of the source at a position, those of other phases too.
    """
    for number in range(int(seg.NumberOfFrames)):
        derivation = functional_group(seg, number, "DerivationImageSequence")
        derivation.SourceImageSequence = [
            source
            for source in derivation.SourceImageSequence
            if source.ReferencedFrameNumber in numbers
        ]


def _describe(segmentation: Segmentation, structure: Structure, number: int) -> SegmentDescription:
    code = structure_code(structure.name)
    weights = "+".join(model.sha256[:12] for model in segmentation.models)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=provenance.algorithm_name(segmentation),
        family=ARTIFICIAL_INTELLIGENCE,
        version=provenance.software_versions(),
        source="TotalMAP",
        parameters={"weights_sha256": weights},
    )
    description = SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=code.category,
        segmented_property_type=code.type,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=provenance.tracking_uid(segmentation, structure.name),
        tracking_id=structure.name,
        anatomic_regions=None if code.region is None else [code.region],
        display_color=highdicom.color.CIELabColor.from_rgb(*code.rgb),
    )
    _add_laterality(description, code)
    return description


def _add_laterality(description: SegmentDescription, code: StructureCode) -> None:
    """Adds the modifiers inside the coded items, where PS3.3 C.8.20.4 places them."""
    if code.modifier is not None:
        description.SegmentedPropertyTypeCodeSequence[
            0
        ].SegmentedPropertyTypeModifierCodeSequence = [
            highdicom.sr.CodedConcept(*code.modifier[:3])
        ]
    if code.region_modifier is not None:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [
            highdicom.sr.CodedConcept(*code.region_modifier[:3])
        ]


def check_seg(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Compares a SEG with the labels it was made from, frame by frame, and with their places.

    Raises:
        OutputError: A frame differs, lies on an unknown slice, voxels are missing, or they do
            not lie where the network put them.
    """
    slice_of = {one.key: k for k, one in enumerate(segmentation.volume.slices)}
    covered = 0
    samples: list[Sample] = []
    for number, (segment_number, source, frame) in enumerate(_frames(written)):
        if source not in slice_of:
            raise OutputError(f"{FILE_NAME}: a frame refers to an image that is not a source")
        structure = structures[segment_number - 1]
        expected = segmentation.labels[slice_of[source]] == structure.label
        if not np.array_equal(frame, expected):
            raise OutputError(f"{FILE_NAME}: a frame of {structure.name} differs from its labels")
        covered += int(np.count_nonzero(frame))
        samples += _ends(frame, number, structure.label)
    total = int(np.count_nonzero(segmentation.labels))
    if covered != total:
        raise OutputError(f"{FILE_NAME} holds {covered} voxels, the labels {total}")
    check_placement(written, samples, segmentation.inference)


def _ends(frame: NDArray[np.bool_], number: int, label: int) -> list[Sample]:
    """Returns a pixel at each of the four ends of what is labelled in a frame."""
    rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
    if not rows.size:
        return []
    places = [(row, frame[row].argmax()) for row in (rows[0], rows[-1])]
    places += [(frame[:, column].argmax(), column) for column in (columns[0], columns[-1])]
    return [
        Sample(label=label, frame=number, row=int(row), column=int(column))
        for row, column in places
    ]


def _frames(seg: Dataset) -> Iterator[tuple[int, tuple[str, int], NDArray[np.bool_]]]:
    """Yields segment number, key of the source slice and (rows, columns) of each frame.

    Frames of BINARY pixel data follow each other without padding, first pixel in the lowest
    bit (PS3.5 8.1.1), so a frame may begin in the middle of a byte.
    """
    shape = (int(seg.Rows), int(seg.Columns))
    size = shape[0] * shape[1]
    packed = np.frombuffer(seg.PixelData, dtype=np.uint8)
    for number in range(len(seg.PerFrameFunctionalGroupsSequence)):
        first = number * size
        chunk = packed[first // 8 : -(-(first + size) // 8)]
        bits = np.unpackbits(chunk, bitorder="little")[first % 8 : first % 8 + size]
        (source,) = functional_group(seg, number, "DerivationImageSequence").SourceImageSequence
        key = str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))
        segment = functional_group(seg, number, "SegmentIdentificationSequence")
        yield int(segment.ReferencedSegmentNumber), key, bits.astype(bool).reshape(shape)

"""Writes the functional groups of the frames of a SEG (PS3.3 C.7.6.16).

A SEG has thousands of frames on a few hundred slices, so most of their items are the same bytes.
pydicom would take most of the time of a SEG to write each item. Here equal items are encoded once.
"""

from collections.abc import Sequence
from struct import pack

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DSfloat

from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.copied_attributes import (
    pixel_measures,
    plane_orientation,
    plane_position,
)
from totalmap.writers.dicom.fast_dataset_encoding import encoded
from totalmap.writers.dicom.write_file_in_parts import element, sequence

# CID 7203 Image Derivation; CID 7202 Source Image Purposes of Reference.
_SEGMENTATION = encoded(code_item(Code("113076", "DCM", "Segmentation")))
_SOURCE_IMAGE = encoded(
    code_item(Code("121322", "DCM", "Source image for image processing operation"))
)


def shared_groups(volume: Volume) -> Dataset:
    """Returns the groups that are the same for all frames: pixel measures and orientation."""
    shared = Dataset()
    shared.PixelMeasuresSequence = [pixel_measures(volume)]
    shared.PlaneOrientationSequence = [plane_orientation(volume)]
    return shared


def per_frame_groups(volume: Volume, frames: Sequence[tuple[int, int | None]]) -> bytes:
    """Returns the whole element Per-Frame Functional Groups Sequence.

    Dimension index values are the Segment Number, if a frame has one, and the number of the slice
    among the slices that have frames, from 1, in the order of the stack.

    Args:
        volume: The source.
        frames: Index k of the slice and Segment Number of each frame; None in a label map.
    """
    used = sorted({k for k, _ in frames})
    number_of = {k: number for number, k in enumerate(used, start=1)}
    derivations = {k: _derivation(volume.slices[k]) for k in used}
    positions = {k: _position(volume.slices[k]) for k in used}
    segments = {segment for _, segment in frames if segment is not None}
    identifications = {segment: _identification(segment) for segment in segments}
    items = []
    for k, segment in frames:
        index = (number_of[k],) if segment is None else (segment, number_of[k])
        groups = derivations[k] + _content(index) + positions[k]
        items.append(groups if segment is None else groups + identifications[segment])
    return sequence("PerFrameFunctionalGroupsSequence", *items)


def _derivation(slice_: Slice) -> bytes:
    """Returns Derivation Image (PS3.3 C.7.6.16.2.6): the image that a frame was made from."""
    source = element("ReferencedSOPClassUID", slice_.instance.sop_class_uid)
    source += element("ReferencedSOPInstanceUID", slice_.instance.sop_instance_uid)
    if len(slice_.instance.frames) > 1:
        source += element("ReferencedFrameNumber", str(slice_.frame.number))
    source += sequence("PurposeOfReferenceCodeSequence", _SOURCE_IMAGE)
    derivation = sequence("SourceImageSequence", source)
    derivation += sequence("DerivationCodeSequence", _SEGMENTATION)
    return sequence("DerivationImageSequence", derivation)


def _position(slice_: Slice) -> bytes:
    (position,) = plane_position(slice_)
    return sequence("PlanePositionSequence", element(position.keyword, _text(position.value)))


def _text(values: Sequence[DSfloat]) -> str:
    return "\\".join(map(str, values))


def _content(index: tuple[int, ...]) -> bytes:
    values = pack(f"<{len(index)}L", *index)
    return sequence("FrameContentSequence", element("DimensionIndexValues", values))


def _identification(segment: int) -> bytes:
    number = element("ReferencedSegmentNumber", pack("<H", segment))
    return sequence("SegmentIdentificationSequence", number)

"""The functional groups of a SEG's frames (PS3.3 C.7.6.16).

There are thousands of frames, and to have pydicom write their items is most of the time that a SEG
takes. So they are put together from bytes here: what is the same in all frames of a slice once.
"""

from collections.abc import Sequence
from struct import pack

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DSfloat

from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume
from totalmap.writers.dicom.coded import coded
from totalmap.writers.dicom.encoding import element, encoded, sequence
from totalmap.writers.dicom.source_headers import pixel_measures, plane_orientation, plane_position

# CID 7203 Image Derivation; CID 7202 Source Image Purposes of Reference.
_SEGMENTATION = encoded(coded(Code("113076", "DCM", "Segmentation")))
_SOURCE_IMAGE = encoded(coded(Code("121322", "DCM", "Source image for image processing operation")))


def shared_groups(volume: Volume) -> Dataset:
    """Returns the groups that hold for all frames: how large pixels are, how slices lie."""
    shared = Dataset()
    shared.PixelMeasuresSequence = [pixel_measures(volume)]
    shared.PlaneOrientationSequence = [plane_orientation(volume)]
    return shared


def per_frame_groups(volume: Volume, frames: Sequence[tuple[int, int | None]]) -> bytes:
    """Returns the whole element Per-Frame Functional Groups Sequence.

    Dimension index values are the Segment Number, where a frame has one, and the place of the
    slice among those that hold any frame, from 1, in the order of the stack.

    Args:
        frames: Slice k and Segment Number of each; no number in a label map.
    """
    used = sorted({k for k, _ in frames})
    place_of = {k: place for place, k in enumerate(used, start=1)}
    derivations = {k: _derivation(volume.slices[k]) for k in used}
    positions = {k: _position(volume.slices[k]) for k in used}
    segments = {one for _, one in frames if one is not None}
    identifications = {segment: _identification(segment) for segment in segments}
    items = []
    for k, segment in frames:
        index = (place_of[k],) if segment is None else (segment, place_of[k])
        groups = derivations[k] + _content(index) + positions[k]
        items.append(groups if segment is None else groups + identifications[segment])
    return sequence("PerFrameFunctionalGroupsSequence", *items)


def _derivation(one: Slice) -> bytes:
    """Returns Derivation Image (PS3.3 C.7.6.16.2.6): the image that a frame was made from."""
    source = element("ReferencedSOPClassUID", one.instance.sop_class_uid)
    source += element("ReferencedSOPInstanceUID", one.instance.sop_instance_uid)
    if len(one.instance.frames) > 1:
        source += element("ReferencedFrameNumber", str(one.frame.number))
    source += sequence("PurposeOfReferenceCodeSequence", _SOURCE_IMAGE)
    derivation = sequence("SourceImageSequence", source)
    derivation += sequence("DerivationCodeSequence", _SEGMENTATION)
    return sequence("DerivationImageSequence", derivation)


def _position(one: Slice) -> bytes:
    (position,) = plane_position(one)
    return sequence("PlanePositionSequence", element(position.keyword, _text(position.value)))


def _text(values: Sequence[DSfloat]) -> str:
    return "\\".join(map(str, values))


def _content(index: tuple[int, ...]) -> bytes:
    values = pack(f"<{len(index)}L", *index)
    return sequence("FrameContentSequence", element("DimensionIndexValues", values))


def _identification(segment: int) -> bytes:
    number = element("ReferencedSegmentNumber", pack("<H", segment))
    return sequence("SegmentIdentificationSequence", number)

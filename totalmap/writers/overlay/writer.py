"""Writes the overlay: the slices of the source with coloured structures, as images (PS3.3 A.8.1).

Each slice is a single-frame Secondary Capture image with the Frame of Reference, position,
orientation and spacing of its source. The IOD of Secondary Captures does not list the Image Plane
module (PS3.3 C.7.6.2), and its SOP Class may be extended by it (PS3.2, Standard Extended SOP
Class). The Multi-frame True Color Secondary Capture (A.8.5) has positions in functional groups,
which old viewers do not read: they scroll single images in step with the source, and play
multi-frame images as a film.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage

from totalmap.dicom.derived_uids import derived_uid
from totalmap.dicom.slices import Slice
from totalmap.environment_variables import processor_threads
from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.texts.catalogue import texts_in
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.copied_attributes import image_plane, pixel_measures
from totalmap.writers.dicom.header import ObjectKind, reference
from totalmap.writers.dicom.run_lengths import run_length_frame, single_frame
from totalmap.writers.dicom.secondary_capture import secondary_capture_header, source_images
from totalmap.writers.dicom.write_file_in_parts import encapsulated_pixels, write_parts
from totalmap.writers.overlay.annotations import Annotations, annotations, direction
from totalmap.writers.overlay.legend import Legend
from totalmap.writers.overlay.painting import Planes, SlicePainter, suitable_painter
from totalmap.writers.overlay.windows import Window, slice_windows

FOLDER_NAME = "overlay"
# Modality "other", not that of the source, so that nobody mistakes an image for a scan.
KIND = ObjectKind(
    name=ResultKind.OVERLAY, sop_class=SecondaryCaptureImageStorage, modality="OT", title="overlay"
)
_SAME_MM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Series:
    """What all images of the overlay share.

    Attributes:
        header: Attributes of all images. Threads share its elements, so none of them is changed.
        uid: The UID that those of the images are derived from.
        numbers: The Instance Number of each slice.
        slices: Indices of the slices that are shown, in the order of their numbers.
    """

    segmentation: Segmentation
    header: Dataset
    uid: str
    numbers: tuple[int, ...]
    slices: tuple[int, ...]
    windows: tuple[Window, ...]
    painter: SlicePainter
    annotations: Annotations
    legend: Legend

    def image(self, place: int) -> Planes:
        """Returns an image with its texts by its place in the series, from 0."""
        k = self.slices[place]
        planes = self.painter.planes(k)
        if place < len(self.legend):
            planes = self.legend.draw(planes, place)
            self.annotations.draw_notices(planes)
        else:
            self.annotations.draw(planes, self.windows[k].name)
        return planes


def write_overlay(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the images, and compares each file with its slice.

    Returns:
        A result for each image in the order of the Instance Numbers; none if no structure was
        found.

    Raises:
        OutputError: A structure has no name and colour, or a file that was written differs from
            its image.
    """
    if not segmentation.found():
        return ()
    series = _series(segmentation, settings)
    with ThreadPoolExecutor(processor_threads()) as pool:
        return tuple(pool.map(partial(_write, series, release), range(len(series.slices))))


def _series(segmentation: Segmentation, settings: Settings) -> _Series:
    volume, every = segmentation.volume, settings.results.overlay_every
    numbers = instance_numbers(volume.slices)
    slices = sorted(range(0, len(volume.slices), every), key=lambda k: numbers[k])
    windows = slice_windows(segmentation)
    texts = texts_in(settings.report.language)
    notes = annotations(segmentation, [window.name for window in windows], texts)
    header = _header(segmentation, settings)
    uid = str(header.pop("SOPInstanceUID").value)
    del header.InstanceNumber
    return _Series(
        segmentation=segmentation,
        header=header,
        uid=uid,
        numbers=numbers,
        slices=tuple(slices),
        windows=windows,
        painter=suitable_painter(segmentation, windows, slices),
        annotations=notes,
        legend=Legend(segmentation, notes.body_top, len(slices), texts),
    )


def instance_numbers(slices: tuple[Slice, ...]) -> tuple[int, ...]:
    """Returns an Instance Number for each slice: those of the source if all of them differ."""
    numbers = tuple(slice_.frame.instance_number for slice_ in slices)
    is_usable = len(set(numbers)) == len(numbers) and min(numbers) > 0
    return numbers if is_usable else tuple(range(1, len(slices) + 1))


def _header(segmentation: Segmentation, settings: Settings) -> Dataset:
    """Returns what the headers of all images share (PS3.3 C.7.6.2, C.8.6.1)."""
    volume, every = segmentation.volume, settings.results.overlay_every
    derivation = "Structures of an automatic segmentation, drawn in colour on the source image"
    header = secondary_capture_header(segmentation, settings, KIND, derivation)
    # All images together could show the patient's face.
    del header.RecognizableVisualFeatures
    header.update(pixel_measures(volume, every))
    cosines = volume.slices[0].plane.cosines
    header.PatientOrientation = [direction(cosines[:3]), direction(cosines[3:])]
    header.Rows, header.Columns = volume.geometry.shape[1:]
    return header


def _image_header(series: _Series, k: int) -> Dataset:
    """Returns the header of the image of slice k."""
    header = Dataset()
    header.update(series.header)
    source = series.segmentation.volume.slices[k]
    uid, frame = source.key
    header.SOPInstanceUID = derived_uid("overlay image", series.uid, f"{uid}#{frame}")
    header.InstanceNumber = series.numbers[k]
    header.update(image_plane(source))
    image = reference(uid, source.instance.sop_class_uid)
    if len(source.instance.frames) > 1:
        image.ReferencedFrameNumber = frame
    header.SourceImageSequence = source_images([image])
    return header


def _write(series: _Series, release: Release, place: int) -> Result:
    k = series.slices[place]
    header, planes = _image_header(series, k), series.image(place)
    name = f"{FOLDER_NAME}/image_{header.InstanceNumber:04}.dcm"
    name = identifiers.result_name(series.segmentation, name)
    pixels = encapsulated_pixels([run_length_frame(planes)])
    staged = release.write(
        name, partial(write_parts, dataset=header, parts=(pixels,), syntax=RLELossless)
    )
    compare_overlay_image(pydicom.dcmread(staged), series.segmentation.volume.slices[k], planes)
    uid = str(header.SOPInstanceUID)
    return Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid)


def compare_overlay_image(written: Dataset, source: Slice, planes: NDArray[np.uint8]) -> None:
    """Compares an image of the overlay with its slice.

    Args:
        written: The image, as pydicom reads it.
        source: The slice that it shows.
        planes: The expected pixels, (3, rows, columns).

    Raises:
        OutputError: It refers to another image, lies elsewhere, or has other pixels.
    """
    number = written.InstanceNumber
    (image,) = written.SourceImageSequence
    key = str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))
    if key != source.key:
        raise OutputError(f"image {number} of the overlay refers to another image than its source")
    plane = source.plane
    expected = (*plane.position_mm, *plane.cosines, *plane.pixel_spacing_mm)
    found = (
        *written.ImagePositionPatient,
        *written.ImageOrientationPatient,
        *written.PixelSpacing,
    )
    if not np.allclose(np.array(found, float), expected, rtol=0, atol=_SAME_MM):
        raise OutputError(f"image {number} of the overlay does not lie where its source lies")
    if not np.array_equal(single_frame(written), planes):
        raise OutputError(f"image {number} of the overlay differs from its slice after writing")

import numpy as np

from totalmap.segmentation import Segmentation
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.overlay.painting import GREY_SCALES, SlicePainter, suitable_painter
from totalmap.writers.overlay.windows import SOFT_TISSUE
from totalmap.writers.preview.painting import contour_pixels

FULL, COARSE = GREY_SCALES[0], GREY_SCALES[-1]


def painter_of(segmentation: Segmentation, scale: object = FULL) -> SlicePainter:
    return SlicePainter(segmentation, (SOFT_TISSUE,) * len(segmentation.labels), scale)  # type: ignore[arg-type]


def test_the_overlay_has_a_grey_background_and_contours_in_the_colour_of_the_seg(
    true_segmentation: Segmentation,
) -> None:
    k = 20
    planes, labels = painter_of(true_segmentation).planes(k), true_segmentation.labels[k]
    red, green, blue = planes[:, labels == 0]
    assert (red == green).all()
    assert (green == blue).all()
    contours = contour_pixels(labels)
    for found in true_segmentation.found():
        shown = planes[:, contours & (labels == found.structure.label)]
        rgb = np.array(structure_code(found.structure.name).rgb)
        assert (shown == rgb[:, None]).all(), found.structure.name


def test_overlay_values_outside_the_window_are_black_and_white(
    true_segmentation: Segmentation,
) -> None:
    k = 20
    planes, values = painter_of(true_segmentation).planes(k), true_segmentation.volume.voxels[k]
    is_free = true_segmentation.labels[k] == 0
    assert (planes[:, is_free & (values < SOFT_TISSUE.low)] == 0).all()
    assert (planes[:, is_free & (values > SOFT_TISSUE.high)] == 255).all()


def test_a_coarse_grey_scale_of_the_overlay_has_few_levels(true_segmentation: Segmentation) -> None:
    planes = painter_of(true_segmentation, COARSE).planes(20)
    levels = np.unique(planes[0][true_segmentation.labels[20] == 0])
    assert len(levels) <= 255 // COARSE.step + 2
    assert levels[0] == 0


def test_small_overlay_images_have_all_grey_values(true_segmentation: Segmentation) -> None:
    windows = (SOFT_TISSUE,) * len(true_segmentation.labels)
    chosen = suitable_painter(true_segmentation, windows, range(len(windows)))
    np.testing.assert_array_equal(chosen.planes(20), painter_of(true_segmentation).planes(20))

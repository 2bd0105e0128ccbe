from itertools import combinations
from pathlib import Path

import pytest

from tests.phantom.study import AXIAL, CORONAL, SAGITTAL, SeriesSpec, write_series
from tests.segmentations import segmentation_of
from totalmap.texts.catalogue import Language, texts_in
from totalmap.writers.presentation.fonts import font
from totalmap.writers.preview.page_drawing import BODY_TEXT, TEXT, Box, Canvas, Colour
from totalmap.writers.preview.views import draw_axial_views, draw_three_views, scene_of

WIDTH, HEIGHT = 960, 1000  # of the views on page 1


class TextPlaces(Canvas):
    """A canvas that keeps the size of each text and the rectangle that it fills."""

    def __init__(self) -> None:
        super().__init__(WIDTH, HEIGHT)
        self.texts: list[tuple[str, int, tuple[float, float, float, float]]] = []

    def text(
        self,
        place: tuple[float, float],
        words: str,
        size: int,
        colour: Colour = TEXT,
        anchor: str = "la",
        *,
        bold: bool = False,
    ) -> None:
        super().text(place, words, size, colour, anchor, bold=bold)
        left, top, right, bottom = font(size, bold=bold).getbbox(words, anchor=anchor)
        filled = (place[0] + left, place[1] + top, place[0] + right, place[1] + bottom)
        self.texts.append((words, size, filled))


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL], ids=str)
def test_captions_of_the_preview_views_are_readable_and_beside_no_other_text(
    tmp_path: Path, orientation: tuple[float, float, float, float, float, float]
) -> None:
    spec = SeriesSpec(
        orientation=orientation, n_slices=20, slice_spacing_mm=20.0, slice_thickness_mm=3.0
    )
    segmentation = segmentation_of(write_series(tmp_path, 1, spec))
    scene = scene_of(segmentation, texts_in(Language.ENGLISH))
    for draw in (draw_three_views, draw_axial_views):
        canvas = TextPlaces()
        draw(canvas, Box(0, 0, WIDTH, HEIGHT), scene)
        for (one, _, a), (other, _, b) in combinations(canvas.texts, 2):
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (one, other)
        if draw is draw_three_views:
            captions = [size for words, size, _ in canvas.texts if "series" in words]
            assert captions == [BODY_TEXT]

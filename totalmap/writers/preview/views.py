"""Draws the views of the preview: three planes, and axial views from head to feet."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from totalmap.environment_variables import processor_threads
from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Texts
from totalmap.writers.preview.page_drawing import (
    BODY_TEXT,
    MUTED,
    TEXT,
    Box,
    Canvas,
    fitting_size,
)
from totalmap.writers.preview.painting import (
    Rgb,
    Window,
    grey_window,
    lung_labels,
    painted,
    palette,
)
from totalmap.writers.preview.view_sampling import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Millimetres,
    View,
    ViewPositions,
    evenly_spaced,
    sampled_view,
    slice_through,
    view_positions,
)

# Possible arrangements of the three views in rows; the one that makes them largest is used.
_ARRANGEMENTS = (
    ((CORONAL, SAGITTAL), (AXIAL,)),
    ((CORONAL,), (SAGITTAL,), (AXIAL,)),
    ((CORONAL, SAGITTAL, AXIAL),),
    ((CORONAL, AXIAL), (SAGITTAL,)),
)
_CAPTION = 24
_LINE = 20  # of a caption above the letter of a view: side by side, they would not always fit
_LETTER = 14  # half the width of such a letter, with a gap
# For the letters beside a picture, so that none lies on it.
_SIDE, _BELOW = 22, 22
_GAP = 12
_EDGE = 8
_FEWEST_AXIAL_VIEWS, _MOST_AXIAL_VIEWS = 6, 20
# Views that lie closer to each other look alike; fewer ones are larger.
_LEAST_STEP_MM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """The images and labels to draw.

    Attributes:
        positions: Region and positions of the views.
        window: The values that are shown in black and in white.
        colours: The colour of each label, (label, 3).
        lungs: The labels that are shown in a lung window.
    """

    segmentation: Segmentation
    texts: Texts
    positions: ViewPositions
    window: Window
    colours: Rgb
    lungs: frozenset[int]

    def picture(self, view: View, position_mm: float, pixels_per_mm: float) -> Rgb:
        """Returns a painted view, (rows, columns, 3)."""
        region = self.positions.region
        sampled = sampled_view(self.segmentation, view, position_mm, region, pixels_per_mm)
        return painted(sampled, self.window, self.colours, self.lungs)

    @property
    def shows_lungs(self) -> bool:
        """Whether a lung was found, which is shown in a lung window."""
        return any(one.structure.label in self.lungs for one in self.segmentation.found())

    def image_number(self, view: View, position_mm: float) -> int | None:
        """Returns the number of the source image nearest to a view; None: it is no such plane."""
        volume = self.segmentation.volume
        k = slice_through(volume.geometry, view, position_mm, self.positions.region)
        return volume.slices[k].frame.instance_number if volume.slices and k is not None else None

    @property
    def series_number(self) -> int | None:
        """Series Number of the source."""
        slices = self.segmentation.volume.slices
        return slices[0].instance.series_number if slices else None


def scene_of(segmentation: Segmentation, texts: Texts) -> Scene:
    """Returns what the views of a result show.

    Raises:
        OutputError: A structure has no colour.
    """
    return Scene(
        segmentation=segmentation,
        texts=texts,
        positions=view_positions(segmentation),
        window=grey_window(segmentation.volume),
        colours=palette(segmentation),
        lungs=lung_labels(segmentation),
    )


def draw_three_views(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws a coronal, a sagittal and an axial view into a box; a row has one scale."""
    size_mm = scene.positions.region.size_mm
    arrangement = max(_ARRANGEMENTS, key=lambda rows: _drawn_area(rows, size_mm, box))
    top = box.top
    for row, scale in zip(arrangement, _view_scales(arrangement, size_mm, box), strict=True):
        left, below = box.left, top
        for view in row:
            position_mm = scene.positions.positions_mm[view.through]
            pixels = scene.picture(view, position_mm, scale)
            width = pixels.shape[1] + 2 * _SIDE
            words = _caption(scene, view, position_mm)
            size = fitting_size([words], BODY_TEXT, width - _SIDE)
            canvas.text((left + _SIDE, top), words, size, MUTED)
            picture = canvas.picture((left + _SIDE, top + _LINE + _CAPTION), pixels)
            _draw_letters(canvas, picture, view)
            canvas.scale_bar(picture, scale)
            left, below = left + width + _GAP, picture.bottom + _BELOW + _GAP
        top = below


def _caption(scene: Scene, view: View, position_mm: float) -> str:
    """Returns the name of a view; with the number of its image, so that one can scroll there."""
    texts, name = scene.texts, scene.texts(f"view.{view.orientation}")
    image, series = scene.image_number(view, position_mm), scene.series_number
    if image is None:
        return name
    if series is None:
        return texts("view.in_unnumbered_series", view=name, image=image)
    return texts("view.in_series", view=name, series=series, image=image)


def _draw_letters(canvas: Canvas, box: Box, view: View) -> None:
    """Draws the directions beside a picture: R, L, A, P, H or F."""
    middle, centre = (box.left + box.right) // 2, (box.top + box.bottom) // 2
    left, right, top, bottom = view.edges
    for place, letter, anchor in (
        ((box.left - 5, centre), left, "rm"),
        ((box.right + 5, centre), right, "lm"),
        ((middle, box.top - 4), top, "mb"),
        ((middle, box.bottom + 4), bottom, "mt"),
    ):
        canvas.text(place, letter, BODY_TEXT, TEXT, anchor, bold=True)


def _view_scales(rows: Sequence[Sequence[View]], size_mm: Millimetres, box: Box) -> list[float]:
    """Returns the scales of rows of views whose captions have a line of their own."""
    return _row_scales(rows, size_mm, box._replace(bottom=box.bottom - len(rows) * _LINE))


def _row_scales(rows: Sequence[Sequence[View]], size_mm: Millimetres, box: Box) -> list[float]:
    """Returns the scale of each row, in pixels per mm, at which all rows fit into a box."""
    widest = [
        float(_width_left(row, box) / sum(size_mm[view.across] for view in row)) for row in rows
    ]
    needed = sum(
        scale * max(size_mm[view.down] for view in row)
        for row, scale in zip(rows, widest, strict=True)
    )
    shrunk = min(1.0, float(_height_left(len(rows), box) / needed))
    return [scale * shrunk for scale in widest]


def _drawn_area(rows: Sequence[Sequence[View]], size_mm: Millimetres, box: Box) -> float:
    """Returns the area of all pictures of an arrangement, in pixels."""
    return float(
        sum(
            scale**2 * size_mm[view.across] * size_mm[view.down]
            for row, scale in zip(rows, _view_scales(rows, size_mm, box), strict=True)
            for view in row
        )
    )


def _width_left(row: Sequence[View], box: Box) -> int:
    return box.width - len(row) * 2 * _SIDE - (len(row) - 1) * _GAP


def _height_left(rows: int, box: Box) -> int:
    return box.height - rows * (_CAPTION + _BELOW) - (rows - 1) * _GAP


def draw_axial_views(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws axial views from head to feet, all at one scale, into a box."""
    heights_mm = scene.positions.heights_mm
    covered_mm = float(heights_mm[-1] - heights_mm[0])
    most = min(_MOST_AXIAL_VIEWS, max(_FEWEST_AXIAL_VIEWS, int(covered_mm / _LEAST_STEP_MM) + 1))
    positions_mm = evenly_spaced(heights_mm, most)[::-1]
    size_mm = scene.positions.region.size_mm
    scale, columns = max(
        (min(_row_scales(_grid(len(positions_mm), columns), size_mm, box)), columns)
        for columns in range(1, len(positions_mm) + 1)
    )
    with ThreadPoolExecutor(processor_threads()) as pool:
        pictures = list(pool.map(lambda mm: scene.picture(AXIAL, mm, scale), positions_mm))
    for number, (position_mm, pixels) in enumerate(zip(positions_mm, pictures, strict=True)):
        row, column = divmod(number, columns)
        left = box.left + column * (pixels.shape[1] + 2 * _SIDE + _GAP) + _SIDE
        top = box.top + row * (pixels.shape[0] + _CAPTION + _BELOW + _GAP) + _CAPTION
        picture = canvas.picture((left, top), pixels)
        _draw_letters(canvas, picture, AXIAL)
        image = scene.image_number(AXIAL, position_mm)
        if image is not None:
            words = scene.texts("view.image", image=image)
            size = fitting_size([words], BODY_TEXT, pixels.shape[1] // 2 - _LETTER)
            canvas.text((left, top - 4), words, size, MUTED, "lb")
        if number == 0:
            canvas.scale_bar(picture, scale)


def _grid(number: int, columns: int) -> list[list[View]]:
    """Returns rows of axial views; the last row counts as a full one."""
    return [[AXIAL] * columns for _ in range(0, number, columns)]


def three_views_picture(scene: Scene, width: int, height: int) -> Canvas:
    """Returns the three views as a picture of at most a width and a height in pixels."""
    canvas = Canvas(width, height)
    draw_three_views(canvas, Box(_EDGE, _EDGE, width - _EDGE, height - _EDGE), scene)
    return canvas


def axial_views_picture(scene: Scene, width: int, height: int) -> Canvas:
    """Returns the axial views as a picture of at most a width and a height in pixels."""
    canvas = Canvas(width, height)
    draw_axial_views(canvas, Box(_EDGE, _EDGE, width - _EDGE, height - _EDGE), scene)
    return canvas


def axial_words(scene: Scene) -> str:
    """Returns what the axial views show, and what the numbers beside them mean."""
    texts, series = scene.texts, scene.series_number
    words = [texts("view.axial_views")]
    if scene.image_number(AXIAL, float(scene.positions.heights_mm[0])) is not None:
        numbers = (
            texts("view.numbers_of_the_series")
            if series is None
            else texts("view.numbers", series=series)
        )
        words.append(numbers)
    if scene.shows_lungs:
        words.append(texts("view.lung_window"))
    return " · ".join(words)

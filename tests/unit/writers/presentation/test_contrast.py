"""Texts can be read, and no meaning rests on colours that people confuse."""

import re
from collections.abc import Mapping
from importlib.resources import files
from itertools import combinations, pairwise

import pytest

from tests.colour_vision import RED_GREEN_CONFUSIONS, Confusion, Rgb, contrast
from tests.structure_colours import distance
from totalmap.writers.overlay import annotations
from totalmap.writers.pdf import page_drawing as pdf_drawing
from totalmap.writers.preview import page_drawing

# WCAG 2.2, 1.4.3 (AA): text; 1.4.11: parts of a page that tell something.
READABLE, VISIBLE = 4.5, 3.0
DIFFERENT = 10.0  # CIEDE2000
BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)

_SCHEME = re.compile(
    r"(@media \(prefers-color-scheme: dark\)|@media print)?\s*\{?\s*:root \{(.*?)\}", re.S
)
_VARIABLE = re.compile(r"--([a-z-]+): #([0-9a-f]{6})")
_NOTICE = re.compile(r"background: #([0-9a-f]{6}); color: #([0-9a-f]{6})")


def rgb(code: str) -> Rgb:
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


def schemes(package: str, name: str) -> dict[str, Mapping[str, Rgb]]:
    """Returns the colours of a page by scheme (light, dark, print) and by name."""
    style = files(package).joinpath(name).read_text(encoding="utf-8")
    found: dict[str, Mapping[str, Rgb]] = {}
    for media, block in _SCHEME.findall(style):
        scheme = "dark" if "dark" in media else "print" if "print" in media else "light"
        found[scheme] = {key: rgb(code) for key, code in _VARIABLE.findall(block)}
    return found


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_the_html_report_is_readable_on_light_and_dark_screens_and_on_paper(scheme: str) -> None:
    colours = schemes("totalmap.writers", "report.html.jinja")[scheme]
    for text in ("text", "muted", "cut"):
        for back in ("back", "soft"):
            assert contrast(colours[text], colours[back]) >= READABLE, (text, back)


def test_notices_of_the_html_report_are_readable() -> None:
    style = files("totalmap.writers").joinpath("report.html.jinja").read_text(encoding="utf-8")
    notices = _NOTICE.findall(style)
    assert len(notices) == 4
    for back, ink in notices:
        assert contrast(rgb(back), rgb(ink)) >= READABLE, back


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_gateway_page_is_readable_on_light_and_dark_screens(scheme: str) -> None:
    colours = schemes("gateway.web", "static/style.css")[scheme]
    for text in ("text", "muted", "link"):
        for back in ("back", "card"):
            assert contrast(colours[text], colours[back]) >= READABLE, (text, back)
    for badge in ("good", "bad", "warn", "busy", "calm"):
        for back in (f"{badge}-back", "card"):
            assert contrast(colours[badge], colours[back]) >= READABLE, (badge, back)
    assert contrast(colours["on-main"], colours["main"]) >= READABLE
    assert contrast(colours["edge"], colours["button"]) >= VISIBLE


def test_the_texts_of_preview_overlay_and_pdf_are_readable() -> None:
    on_paper = [(ink, WHITE) for ink in (pdf_drawing.BLACK, pdf_drawing.GREY, pdf_drawing.BROWN)]
    on_paper += [(pdf_drawing.BLACK, pdf_drawing.AMBER), (pdf_drawing.BLACK, pdf_drawing.PALE)]
    on_paper += [(pdf_drawing.WHITE, pdf_drawing.RED), (pdf_drawing.WHITE, pdf_drawing.PURPLE)]
    drawn = page_drawing
    on_screen = [(ink, drawn.BACKGROUND) for ink in (drawn.TEXT, drawn.MUTED, drawn.AMBER)]
    on_screen += [(drawn.INK, drawn.AMBER), (drawn.INK, drawn.PALE)]
    on_screen += [(drawn.TEXT, drawn.RED), (drawn.TEXT, drawn.PURPLE)]
    on_images = [(ink, BLACK) for ink in (drawn.AMBER, annotations.ALARM)]
    for ink, back in (*on_paper, *on_screen, *on_images):
        assert contrast(ink, back) >= READABLE, (ink, back)


@pytest.mark.parametrize("confusion", RED_GREEN_CONFUSIONS)
def test_notices_of_a_result_below_each_other_differ_without_red_and_green(
    confusion: Confusion,
) -> None:
    """The notice about AI is followed by a verdict, a demo model's notice, or both."""
    drawn = page_drawing
    bands = [
        pair
        for verdict in (drawn.PALE, drawn.RED)
        for pair in pairwise((drawn.AMBER, verdict, drawn.PURPLE))
    ]
    for first, second in (*bands, (drawn.AMBER, drawn.PURPLE)):
        assert distance(first, second, confusion) > DIFFERENT, (first, second)


@pytest.mark.parametrize("confusion", RED_GREEN_CONFUSIONS)
def test_the_simulation_of_colour_blindness_keeps_greys_and_merges_red_with_green(
    confusion: Confusion,
) -> None:
    for first, second in combinations(((0, 0, 0), (128, 128, 128), (255, 255, 255)), 2):
        unchanged = distance(first, second)
        assert distance(first, second, confusion) == pytest.approx(unchanged, abs=0.01)
    red, green = (200, 70, 60), (110, 120, 50)
    assert distance(red, green, confusion) < distance(red, green) / 2
    assert distance((230, 120, 0), (0, 90, 200), confusion) > 40

"""Finds the font of preview and PDF, so that no font of the system is needed.

Bitstream Vera comes with reportlab. It has the letters of all languages of Western Europe.
"""

from functools import cache
from importlib.resources import files

from PIL import ImageFont

_PROBE = 20  # size in pixels in which a character is looked for


def font_path(*, bold: bool = False) -> str:
    """Returns the path of the font as TrueType."""
    return str(files("reportlab") / "fonts" / ("VeraBd.ttf" if bold else "Vera.ttf"))


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Returns the font in a size in pixels."""
    return ImageFont.truetype(font_path(bold=bold), size)


@cache
def _missing() -> bytes:
    return bytes(font(_PROBE).getmask("\uffff"))


def drawable(text: str) -> bool:
    """Returns whether the font has every character of a text."""
    return all(character.isspace() or _has(character) for character in text)


@cache
def _has(character: str) -> bool:
    return bytes(font(_PROBE).getmask(character)) != _missing()

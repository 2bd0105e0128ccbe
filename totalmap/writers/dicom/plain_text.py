r"""Makes texts of people safe for the values of DICOM attributes (PS3.5 6.1.3 and 6.2).

The backslash separates values of one line, `^` and `=` separate parts of a name, and an escape
switches the character set. Marks that reverse the direction of writing could make a name look like
another one.
"""

import re
import unicodedata

# Characters of a value: VR LO; VR PN, in a component group.
LONGEST_LINE = 64
LONGEST_NAME = 64
_NAME_DELIMITERS = re.compile(r"[\^=\\]")
# Control characters, surrogates, marks of format, and separators of lines and paragraphs.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cs", "Cf", "Zl", "Zp"))
# The joiners are part of the spelling in Persian and in languages of India.
_JOINERS = "\u200c\u200d"


def one_line(text: str) -> str:
    r"""Returns a text without repeated spaces, control characters and the \ of several values."""
    return " ".join(_safe(text.replace("\\", " ")).split())


def long_string(text: str) -> str:
    """Returns the first 64 characters of a text in one line (VR LO)."""
    return one_line(unicodedata.normalize("NFC", text))[:LONGEST_LINE].rstrip()


def person_name(text: str) -> str:
    """Returns a name as one component of a person name (VR PN, PS3.5 6.2.1), 64 characters at most.

    A name that somebody typed has no known parts. It is therefore the family name as a whole, in
    the first component group, which every reader shows. A delimiter ends it, since dciodvfy and
    highdicom take a name without any for one of the retired form without components.

    Returns:
        An empty text for a name without any character that is safe.
    """
    name = one_line(_NAME_DELIMITERS.sub(" ", unicodedata.normalize("NFC", text)))
    name = name[: LONGEST_NAME - 1].rstrip()
    return f"{name}^" if name else ""


def lines_of_text(text: str) -> str:
    """Returns a text of several lines (VR UT, ST, LT), each but the last ended by CR and LF."""
    return "\r\n".join(
        _safe(line.replace("\t", " ")).rstrip() for line in text.strip().splitlines()
    )


def _safe(text: str) -> str:
    return "".join(" " if _is_unsafe(character) else character for character in text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in _JOINERS

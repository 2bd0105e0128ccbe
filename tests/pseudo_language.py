"""Makes a language for tests in which every text is unreadable, to find texts in no catalogue."""

import re
from dataclasses import replace

from totalmap.display_names import known_names
from totalmap.texts.catalogue import Language, Texts, texts_in

_LETTER = re.compile(r"[A-Za-z]")
_TEXT_OR_VALUE = re.compile(r"\{[^}]*\}|[^{]+")


def pseudo_texts() -> Texts:
    """Returns the English texts with an o with a stroke for each letter."""
    english = texts_in(Language.ENGLISH)
    entries = {key: _disguised(text) for key, text in english.entries.items()}
    names = {name: _disguised(english.structure(name)) for name in known_names()}
    return replace(english, language="xx", entries=entries, structures=names)


def _disguised(text: str) -> str:
    return "".join(
        part if part.startswith("{") else _LETTER.sub("\u00f8", part)
        for part in _TEXT_OR_VALUE.findall(text)
    )

"""Folds names, IDs and numbers into words by which users find them however they type them."""

import re
from collections.abc import Sequence
from unicodedata import combining, normalize

# Letters that Unicode does not decompose.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
# How the same letters are written without their marks, in German and in the Nordic languages.
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_WORD = re.compile(r"\w+")


def variants(text: str) -> Sequence[str]:
    """Returns a text without case and marks: müller as muller and as mueller; each once."""
    composed = normalize("NFKC", text).casefold()
    return tuple(dict.fromkeys((_plain(composed), _plain(composed.translate(_DIGRAPHS)))))


def search_words(*texts: str) -> str:
    """Returns the words by which texts are found, each after a space, in the order of the texts.

    A text of several words, such as an ID with hyphens, is also found without what separates them.
    """
    words: dict[str, None] = {}
    for text in texts:
        for variant in variants(text):
            found = _WORD.findall(variant)
            words |= dict.fromkeys([*found, "".join(found)] if found else [])
    return "".join(f" {word}" for word in words)


def search_patterns(text: str) -> Sequence[Sequence[str]]:
    """Returns patterns for LIKE (escaped by a backslash) for what a user typed.

    Each word has to be the beginning of a word of the result of `search_words`, in one of the
    forms that are given for it.
    """
    forms = [_WORD.findall(variant) for variant in variants(text)]
    words = zip(*forms, strict=True)  # the forms differ in letters, not in the number of words
    return [[_pattern(form) for form in dict.fromkeys(word)] for word in words]


def _plain(text: str) -> str:
    letters = normalize("NFKD", text.translate(_LETTERS))
    return "".join(letter for letter in letters if not combining(letter))


def _pattern(word: str) -> str:
    return "% {}%".format(word.replace("_", "\\_"))

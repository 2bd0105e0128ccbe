"""Removes from texts everything that may name a patient, a person, a machine or a place.

A word stays only if it occurs in a text of TotalMAP itself, in a message of the operating system,
or among TotalSegmentator's structures. A name therefore goes without being known beforehand.
"""

import ast
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from totalsegmentator.map_to_binary import class_map

REMOVED = "#"
PATH = "PATH"
_PACKAGES = ("totalmap", "gateway", "app", "operators", "cli")
_WORD = re.compile(r"[^\W\d_]+")
# A name may consist of parts that are words by themselves: it stays or goes as a whole.
_TOKEN = re.compile(r"\w+(?:[-^@._,:'\u2019]\w+)*|.", re.DOTALL)
_PATH = re.compile(r"\S*/\S*")
# Longer numbers may be an ID or a date; a dotted one is a UID or an address.
_LONGEST_NUMBER = 5
_DOTS_OF_UID = 3
_HASH_CHARACTERS = 8
# They name nothing outside this machine.
_KEPT_ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::", "localhost")  # noqa: S104


class NameRemover:
    """Removes names; the same name has the same replacement within one report."""

    def __init__(self, *, keeps_nodes: bool = False) -> None:
        """Reads the words that may stay.

        Args:
            keeps_nodes: Whether AE titles, hosts and addresses stay.
        """
        self._keeps_nodes = keeps_nodes
        self._words = frozenset(word.lower() for text in _texts() for word in _WORD.findall(text))
        self._pseudonyms: dict[tuple[str, str], str] = {}
        self._salt = secrets.token_bytes(16)

    def pseudonym(self, kind: str, name: str) -> str:
        """Returns the replacement of a name, such as AE-1.

        Args:
            kind: `AE`, `HOST`, or another word for what is named.
            name: The name.
        """
        if name in _KEPT_ADDRESSES or (self._keeps_nodes and kind in ("AE", "HOST")):
            return name
        same_kind = sum(known == kind for known, _ in self._pseudonyms)
        return self._pseudonyms.setdefault((kind, name), f"{kind}-{same_kind + 1}")

    def clean(self, text: str) -> str:
        """Returns a text without paths, UIDs, addresses, long numbers and unknown words."""
        has_path = "/" in text
        without_paths = _PATH.sub(PATH, text)
        tokens = _TOKEN.findall(without_paths)
        return re.sub(
            rf"{REMOVED}(?:[ ^_-]?{REMOVED})+",
            REMOVED,
            "".join(self._token(token, has_path=has_path) for token in tokens),
        )

    def hashed(self, text: str) -> str:
        """Returns a short hash, which is the same within one report only."""
        digest = hashlib.sha256(self._salt + text.encode()).hexdigest()
        return f"{REMOVED}{digest[:_HASH_CHARACTERS]}"

    def _token(self, token: str, *, has_path: bool) -> str:
        if not token[0].isalnum():
            return token if token.isascii() and token.isprintable() else " "
        if token == PATH:
            return token
        words, n_digits = _WORD.findall(token), sum(map(str.isdigit, token))
        if not words:
            if token.count(".") >= _DOTS_OF_UID:
                return self.hashed(token)
            return REMOVED if has_path or n_digits > _LONGEST_NUMBER else token
        is_known = all(word.lower() in self._words for word in words)
        return token if is_known and n_digits < _LONGEST_NUMBER - 1 else REMOVED


def _texts() -> Iterator[str]:
    """Yields the texts of TotalMAP, without docstrings, and those of the operating system."""
    for package in _PACKAGES:
        found = find_spec(package)
        for folder in (found.submodule_search_locations or ()) if found else ():
            for file in sorted(Path(folder).rglob("*.py")):
                yield from _constants(ast.parse(file.read_text(encoding="utf-8")))
    yield from map(os.strerror, errno.errorcode)
    for task, structures in class_map.items():
        yield task
        yield from structures.values()


def _constants(module: ast.Module) -> Iterator[str]:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and _starts_with_text(node)
        if isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg  # a key of the log


def _starts_with_text(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr)

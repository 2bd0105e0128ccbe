"""Which packages go into an image, each with its version."""

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pinned(requirements: Path, constraints: Path, without: Iterable[str] = ()) -> list[str]:
    """Returns lines for pip: what is required, and all that this needs in turn.

    What a package needs is looked up in this environment, so both files have to be installed.

    Args:
        requirements: A requirements file.
        constraints: The versions.
        without: Names of packages that are left out, though others ask for them.

    Raises:
        PackageNotFoundError: A package is not installed here.
    """
    versions = {
        canonicalize_name(name): line
        for line in _lines(requirements) + _lines(constraints)
        for name, pin, _ in [line.partition("==")]
        if pin
    }
    out = {canonicalize_name(name) for name in without}
    waiting = [Requirement(line) for line in _lines(requirements)]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if name in out or (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = versions.get(name, str(one))
        waiting += [
            need
            for text in metadata.requires(one.name) or ()
            if _applies(need := Requirement(text), extras)
        ]
    return sorted(found.values(), key=str.lower)


def names(path: Path) -> list[str]:
    """Returns the names in a list of packages, one a line, with comments."""
    return _lines(path)


def _applies(need: Requirement, extras: Iterable[str]) -> bool:
    if need.marker is None:
        return True
    return any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line for raw in text.splitlines() if (line := re.sub(r"\s*#.*", "", raw).strip())]

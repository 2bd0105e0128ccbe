"""Remembers between processes which shortcuts were proven, for one set of conditions.

Each set of conditions has a file, whose name is a hash of the conditions. The file repeats the
conditions, so that a file of another machine under a name of this one is not used.
"""

import hashlib
import json
from collections.abc import Mapping

from totalmap.engine.arithmetic.shortcut_conditions import Conditions, digest
from totalmap.private_cache import PrivateCache

Facts = dict[str, bool]
"""Whether each operation, with its layer and operand as text, has the bits of PyTorch's own."""


class ShortcutMemory:
    """The file of the present conditions."""

    def __init__(self, cache: PrivateCache, conditions: Conditions) -> None:
        self._cache = cache
        self._conditions = conditions
        self._name = f"shortcuts-{digest(conditions)}.json"

    def read(self) -> Facts:
        """Returns what is remembered; nothing if there is no file that can be trusted."""
        return self._facts(self._cache.read(self._name))

    def add(self, new: Mapping[str, bool]) -> None:
        """Adds results; an operation that was not exact in any process stays so."""

        def merged(content: bytes | None) -> bytes:
            facts = self._facts(content)
            for operation, is_exact in new.items():
                facts[operation] = is_exact and facts.get(operation, True)
            return _written(self._conditions, facts)

        self._cache.update(self._name, merged)

    def forget(self) -> None:
        """Removes the file."""
        self._cache.remove(self._name)

    def _facts(self, content: bytes | None) -> Facts:
        if content is None:
            return {}
        try:
            conditions, facts = _read(content)
        except (ValueError, KeyError, TypeError):  # also a JSONDecodeError or a UnicodeDecodeError
            self._cache.ignored(self._name, "is damaged")
            return {}
        if conditions != self._conditions:
            self._cache.ignored(self._name, "was made under other conditions")
            return {}
        return facts


def _written(conditions: Conditions, facts: Facts) -> bytes:
    document = {"conditions": conditions, "facts": facts}
    return json.dumps({**document, "sha256": _checksum(document)}, indent=1).encode()


def _read(content: bytes) -> tuple[Conditions, Facts]:
    """Returns the content of a file.

    Raises:
        ValueError, KeyError, TypeError: It is damaged.
    """
    document = json.loads(content)
    parts = {name: document[name] for name in ("conditions", "facts")}
    if document["sha256"] != _checksum(parts):
        raise ValueError("the checksum differs")
    facts = dict(parts["facts"])
    if not all(isinstance(is_exact, bool) for is_exact in facts.values()):
        raise ValueError("a fact is neither true nor false")
    return dict(parts["conditions"]), facts


def _checksum(document: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

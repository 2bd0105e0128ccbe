"""Reads all error messages of the code from its source.

A message is returned as a template: the literal text, with VALUE where the code inserts a value.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.conftest import REPOSITORY
from totalmap.texts.catalogue import Language, texts_in

PACKAGES = ("app", "cli", "deploy", "gateway", "operators", "totalmap")
BASE = "TotalMapError"
VALUE = "\0"
_VALUE_IN_TEXT = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A line that makes an error.

    Attributes:
        place: The file, relative to the repository, and the line.
        kind: The name of the class.
        template: The message; None if it is no literal text.
    """

    place: str
    kind: str
    template: str | None


@cache
def error_classes() -> frozenset[str]:
    """Returns the names of TotalMapError and all classes derived from it."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for _, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {BASE}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return frozenset(found)


@cache
def raised_errors() -> tuple[Raised, ...]:
    """Returns every line that makes an error, sorted by file."""
    return tuple(raised for path, tree in _modules() for raised in _raised_in(path, tree))


@cache
def _modules() -> tuple[tuple[str, ast.Module], ...]:
    paths = (path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py")))
    return tuple(
        (str(path.relative_to(REPOSITORY)), ast.parse(Path(path).read_text())) for path in paths
    )


def _raised_in(path: str, tree: ast.Module) -> Iterator[Raised]:
    constants = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        kind = _called(node)
        if kind is None or not isinstance(node, ast.Call) or not node.args:
            continue
        for template in _templates(node.args[0], constants):
            yield Raised(place=f"{path}:{node.lineno}", kind=kind, template=template)


def _called(node: ast.AST) -> str | None:
    """Returns the error class that a call makes an instance of, super().__init__ included."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name) and node.func.id in error_classes():
        return node.func.id
    is_super = ast.unparse(node.func) == "super().__init__"
    return (
        "super" if is_super and any(isinstance(arg, ast.JoinedStr) for arg in node.args) else None
    )


def _templates(message: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str | None]:
    if isinstance(message, ast.IfExp):
        yield from _templates(message.body, constants)
        yield from _templates(message.orelse, constants)
    elif isinstance(message, ast.Constant) and isinstance(message.value, str):
        yield message.value
    elif isinstance(message, ast.JoinedStr):
        yield "".join(_part(part, constants) for part in message.values)
    elif isinstance(message, ast.Name) and message.id in constants:
        yield from _templates(constants[message.id], constants)
    elif isinstance(message, ast.Call) and ast.unparse(message.func) == "Message":
        yield _text_of(message.args[0])
    else:
        yield None


def _text_of(key: ast.expr) -> str | None:
    """Returns the text of a key of the catalogues; None if it is no literal text."""
    if not isinstance(key, ast.Constant):
        return None
    return _VALUE_IN_TEXT.sub(VALUE, texts_in(Language.ENGLISH).entries[str(key.value)])


def _part(part: ast.expr, constants: dict[str, ast.expr]) -> str:
    """Returns the text of a piece of an f-string; a constant of the module is its text."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(inner, ast.Name):
        constant = constants.get(inner.id)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
            return constant.value
    return VALUE

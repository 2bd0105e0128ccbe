"""Explains errors in settings without quoting values that may be secrets.

Messages quote numbers that are out of range, and words close to a member of an enumeration. Any
other setting may hold a password, at least by mistake, so its value is not quoted.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from totalmap.suggest_similar_words import did_you_mean, nearest, quoted_if_close

_OUT_OF_RANGE = frozenset(
    {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "int_from_float"}
)
_NO_CHOICE = frozenset({"enum", "literal_error"})
_NO_SECTION = frozenset({"model_type", "model_attributes_type"})
# Smallest similarity to a key of another section.
_CLOSE_ELSEWHERE = 0.8
# Form of a key. Other text may be a secret.
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_WORD = re.compile(r"[a-z][a-z_]{0,31}")
# Quotes of PyYAML that hold no text of the document: kinds of token, and single characters.
_HARMLESS_QUOTE = re.compile(r"'(<[a-z ]+>|\\?.|\\x..)'")

Path = tuple[str | int, ...]


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """Returns a sentence about the first error, with the closest known key or value."""
    first = error.errors(include_url=False)[0]
    kind, where, value = first["type"], first["loc"], first["input"]
    if kind == "extra_forbidden":
        return _unknown_key(model, _known_part(model, where[:-1]), where[-1], value)
    path = _known_part(model, where)
    context: Mapping[str, Any] = first.get("ctx", {})
    if kind in _NO_CHOICE:
        return f"setting {_dotted(path)}{not_one_of(value, _quoted(context['expected']))}"
    section = _section_at(model, path)
    if kind in _NO_SECTION and section is not None:
        keys = ", ".join(section.model_fields)
        return f"setting {_dotted(path)}: it has to be a section with keys of {keys}"
    message = str(context["error"]) if kind == "value_error" else first["msg"]
    is_shown = kind in _OUT_OF_RANGE and isinstance(value, int | float)
    place = f"setting {_dotted(path)}: " if path else ""
    return f"{place}{message}{f' (value {value!r})' if is_shown else ''}"


def not_one_of(value: object, choices: tuple[str, ...]) -> str:
    """Returns the text after the name of a setting whose value is none of its choices."""
    return (
        f"{quoted_if_close(value, choices)} is not one of {', '.join(choices)}"
        f"{did_you_mean(value, choices)}"
    )


def explain_yaml(error: yaml.YAMLError | ValueError) -> str:
    """Returns the error in a document and its place, without quoting lines."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
    problem = getattr(error, "problem", None) or "it can't be read as YAML in UTF-8"
    harmless = _HARMLESS_QUOTE.sub(lambda quote: quote[0].replace("'", "`"), problem)
    return f"{where}: {harmless.partition(chr(39))[0].replace('`', chr(39)).strip()}"


def key_elsewhere(model: type[BaseModel], key: str) -> tuple[str, ...]:
    """Returns the settings with this key, else those with a similar one, as `section.key`."""
    known = {
        _dotted((*path, name)): name
        for path, section in _sections(model, ())
        for name in section.model_fields
    }
    same = tuple(dotted for dotted, name in known.items() if name == key)
    close = nearest(key, tuple(dict.fromkeys(known.values())), _CLOSE_ELSEWHERE)[:1]
    return same or tuple(dotted for dotted, name in known.items() if name in close)


def _unknown_key(model: type[BaseModel], path: Path, key: object, value: object) -> str:
    section = _section_at(model, path)
    own = tuple(section.model_fields) if section else ()
    place = f"section {_dotted(path)}" if path else "the settings"
    close = nearest(key, own)
    elsewhere = key_elsewhere(model, key) if isinstance(key, str) and not close else ()
    meant = [_dotted((*path, name)) for name in close[:1]] or elsewhere
    if meant:
        return f"setting {_dotted((*path, str(key)))} is not known, did you mean {meant[0]}?"
    is_name = isinstance(key, str) and value is not None and _KEY.fullmatch(key)
    name = f"setting {_dotted((*path, str(key)))}" if is_name else f"a key in {place}"
    return f"{name} is not known; {place} knows {', '.join(own)}"


def _known_part(model: type[BaseModel], where: Path) -> Path:
    """Returns the part of a location that consists of known keys; the rest may be a secret.

    In a section without fixed keys, any word counts as a key.
    """
    found: list[str | int] = []
    section: type[BaseModel] | None = model
    is_free = False
    for part in where:
        if isinstance(part, int):
            found.append(part)
        elif section is not None and part in section.model_fields:
            found.append(part)
            annotation = section.model_fields[part].annotation
            section = _section_in(annotation)
            is_free = get_origin(annotation) is dict
        elif is_free and _WORD.fullmatch(part):
            found.append(part)
        else:
            break
    return tuple(found)


def _section_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    section: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str) and section is not None:
            section = _section_in(section.model_fields[part].annotation)
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Returns the section that a setting is or contains: `Rule` for `tuple[Rule, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section_in(part) for part in get_args(annotation))
    return next((section for section in found if section is not None), None)


def _sections(model: type[BaseModel], path: Path) -> Iterator[tuple[Path, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        section = _section_in(field.annotation)
        if section is not None:
            yield from _sections(section, (*path, name))


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def _quoted(expected: str) -> tuple[str, ...]:
    """Returns the words that pydantic lists in quotes."""
    return tuple(re.findall(r"'([^']*)'", expected))

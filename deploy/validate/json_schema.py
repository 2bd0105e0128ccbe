"""Validates a document against its JSON Schema (Draft 2020-12) and writes the text of each fault.

The schemas are the files in `schemas/`, one for each kind of document. In addition to the standard
keywords they hold three annotations of ours:

- x-reader: the program that reads the document.
- x-expected: what to write if a value has the wrong type.
- x-fault: {rule, problem, remedy} of a wrong value. `{key}`, `{value}` and `{length}` are replaced.
  Without a remedy, the allowed values are listed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from deploy.validate.file_fault import FileFault, Place
from deploy.validate.yaml_positions import LocatedValue, plain

_SCHEMAS = Path(__file__).parent / "schemas"


class DocumentKind(StrEnum):
    """The kinds of documents that have a schema, by the names of its file."""

    CLINICAL_WORKFLOW = "clinical_workflow"
    ARGO_WORKFLOW_TEMPLATE = "argo_workflow_template"


def schema_faults(document: LocatedValue, kind: DocumentKind) -> Iterator[FileFault]:
    """Yields every value that the schema refuses, and every key that it does not know."""
    validator = Draft202012Validator(read_schema(kind))
    data = plain(document.data)
    if kind is DocumentKind.CLINICAL_WORKFLOW:
        data = _with_known_spelling(data, _known_keys(kind))
    for error in validator.iter_errors(data):
        yield from _faults(error, document, read_schema(kind)["x-reader"])


@cache
def read_schema(kind: DocumentKind) -> dict[str, Any]:
    """Returns the schema of a kind of document."""
    schema: dict[str, Any] = json.loads((_SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    return schema


@cache
def _known_keys(kind: DocumentKind) -> Mapping[str, str]:
    """Returns {key in lower case: key as the schema spells it}."""

    def keys(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
            for value in schema.values():
                yield from keys(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from keys(value)

    return {key.lower(): key for key in keys(read_schema(kind))}


def _with_known_spelling(data: Any, known: Mapping[str, str]) -> Any:
    if isinstance(data, dict):
        return {
            known.get(key.lower(), key): _with_known_spelling(value, known)
            for key, value in data.items()
        }
    return [_with_known_spelling(item, known) for item in data] if isinstance(data, list) else data


def _faults(error: ValidationError, document: LocatedValue, reader: str) -> Iterator[FileFault]:
    path: list[str | int] = list(error.absolute_path)
    value = document.get(*path, any_case=True)
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "required":
        for key in schema["required"]:
            fault = schema["properties"].get(key, {}).get("x-fault")
            if key not in instance and fault:
                allowed = schema["properties"][key].get("enum", ())
                yield _fault(fault, value.place, key, "", allowed)
    elif error.validator == "additionalProperties":
        for entry in value.entries:
            if entry.key in instance and entry.key not in schema["properties"]:
                problem = f"key {entry.key!r} is unknown, and {reader} ignores it"
                remedy = _one_of(entry.key, schema["properties"])
                yield FileFault(entry.place, "key", problem, remedy)
    elif "x-fault" in schema:
        allowed = schema.get("enum", ())
        yield _fault(schema["x-fault"], value.place, _name(path), value.text, allowed)
    else:
        problem = f"{_name(path)} is {_described(instance)}, so {reader} can't read the file"
        remedy = f"write {schema.get('x-expected', 'a value of another type')}"
        yield FileFault(value.place, "type", problem, remedy)


def _fault(
    fault: Mapping[str, str], place: Place, key: str, value: str, allowed: Iterable[str] = ()
) -> FileFault:
    words = {"key": key, "value": value, "length": len(value)}
    remedy = fault["remedy"].format(**words) if "remedy" in fault else _one_of(value, allowed)
    return FileFault(place, fault["rule"], fault["problem"].format(**words), remedy)


def _one_of(word: str, allowed: Iterable[str]) -> str:
    names = sorted(allowed)
    close = get_close_matches(word, names, n=1)
    return f"write {close[0]!r}" if close else f"write one of {', '.join(names)}"


def _name(path: list[str | int]) -> str:
    """Returns the key at the end of a path, as a message names it."""
    if not path:
        return "the file"
    return f"an item of {_name(path[:-1])}" if isinstance(path[-1], int) else path[-1]


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value!r}"
    return f"{json.dumps(value)} without quotes"

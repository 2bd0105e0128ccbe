"""Stores messages in status.json and reads them again, for pages in another language.

status.json has each sentence in English. Beside it stands its key in the catalogues, with its
values: numbers and names as they are, and in objects

    {"key": ..., "values": {...}}      a sentence or word within it
    {"structure": name}                a structure, by TotalSegmentator's name
    {"pair": name}                     a pair of structures, by the name of the left one
    {"list": [...], "last": "and"}     several values; `last`: the word before the last one, or null
"""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from totalmap.texts.catalogue import Joined, Message, PairName, StructureName, Value


def stored_message(sentence: str) -> dict[str, Any] | None:
    """Returns the key and the values of a sentence for JSON; None: it is not a `Message`."""
    if not isinstance(sentence, Message):
        return None
    values = {name: _stored(value) for name, value in sentence.values.items()}
    return {"key": sentence.key, "values": values}


def restored_message(sentence: str, stored: Mapping[str, Any] | None) -> str:
    """Returns a stored sentence as a `Message`.

    Args:
        sentence: The sentence in English.
        stored: What `stored_message` returned for it; None: nothing is known.

    Returns:
        The sentence as it is if another version has written it with a key or values that the
        catalogues do not have.
    """
    if stored is None:
        return sentence
    try:
        return _message(stored)
    except (KeyError, TypeError, ValueError):
        return sentence


def _message(stored: Mapping[str, Any]) -> Message:
    values = {name: _restored(value) for name, value in stored["values"].items()}
    return Message(stored["key"], **values)


def _stored(value: Value) -> Any:
    match value:
        case Message():
            return stored_message(value)
        case StructureName():
            return {"structure": value.name}
        case PairName():
            return {"pair": value.left}
        case Joined():
            last = "and" if value.with_and else "or" if value.with_or else None
            return {"list": [_stored(each) for each in value.values], "last": last}
        case _:
            return _plain(value)


def _plain(value: Any) -> str | int | float:
    """Returns a value as json.dump takes it, also if it is a number of numpy."""
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _restored(value: Any) -> Value:
    match value:
        case {"key": _, "values": _}:
            return _message(value)
        case {"structure": str(name)}:
            return StructureName(name)
        case {"pair": str(name)}:
            return PairName(name)
        case {"list": list(values), "last": last}:
            parts = tuple(map(_restored, values))
            return Joined(parts, with_and=last == "and", with_or=last == "or")
        case str() | int() | float():
            return value
        case _:
            raise TypeError(f"no value of a message: {type(value).__name__}")

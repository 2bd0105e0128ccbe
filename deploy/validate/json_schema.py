"""Which keys a clinical workflow may hold and of what type: what Newtonsoft.Json makes of them.

Source: the classes of the Workflow Manager's contracts (Workflow, TaskObject, Artifact, ...). It
reads keys in any case and passes over those that it does not know, so a misspelt one is lost
without a word; a value that it can't convert is refused with the whole file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from deploy.validate.file_fault import Finding
from deploy.validate.yaml_positions import Entry, Kind, Node

Wanted = Literal["text", "number", "bool", "object", "list", "texts"]


@dataclass(frozen=True)
class Shape:
    """The type of a value.

    Attributes:
        keys: Of an object: what it may hold.
        item: Of a list: the shape of each item.
        ignored: Keys of older samples that have no meaning and do no harm.
    """

    wanted: Wanted
    keys: Mapping[str, "Shape"] = field(default_factory=dict)
    item: "Shape | None" = None
    ignored: frozenset[str] = frozenset()


TEXT = Shape("text")
TEXTS = Shape("list", item=TEXT)
ARTIFACT = Shape("object", {"name": TEXT, "value": TEXT, "mandatory": Shape("bool"), "type": TEXT})
DESTINATION = Shape("object", {"name": TEXT, "conditions": TEXTS})
TASK = Shape(
    "object",
    {
        "id": TEXT,
        "description": TEXT,
        "type": TEXT,
        "args": Shape("texts"),
        "task_destinations": Shape("list", item=DESTINATION),
        "export_destinations": Shape("list", item=Shape("object", {"name": TEXT})),
        "artifacts": Shape(
            "object",
            {"input": Shape("list", item=ARTIFACT), "output": Shape("list", item=ARTIFACT)},
        ),
        "timeout_minutes": Shape("number"),
    },
    ignored=frozenset({"ref", "input_parameters"}),
)
WORKFLOW = Shape(
    "object",
    {
        "name": TEXT,
        "version": TEXT,
        "description": TEXT,
        "informatics_gateway": Shape(
            "object", {"ae_title": TEXT, "data_origins": TEXTS, "export_destinations": TEXTS}
        ),
        "tasks": Shape("list", item=TASK),
        "dataRetentionDays": Shape("number"),
        "predicate": TEXTS,
    },
)

# What Newtonsoft.Json converts without a word: numbers and true to text, and text to these.
_KINDS_OF: Mapping[Wanted, tuple[Kind, ...]] = {
    "text": ("text", "number", "bool"),
    "number": ("number",),
    "bool": ("bool",),
    "object": ("mapping",),
    "list": ("sequence",),
    "texts": ("mapping",),
}
_FROM_TEXT = {"number": re.compile(r"\s*-?\d+(\.\d+)?\s*"), "bool": re.compile("(?i)true|false")}
# Lists and objects that the Workflow Manager reads without asking whether they are there.
_NEVER_NULL = ("tasks", "task_destinations", "export_destinations", "args")
_IN_WORDS = {
    "text": "text in quotes",
    "number": "a number without quotes",
    "bool": "true or false, without quotes",
    "object": "an object in { }",
    "list": "a list in [ ]",
    "texts": "an object in { }",
}
_FOUND = {
    "mapping": "an object",
    "sequence": "a list",
    "text": "text",
    "number": "a number without quotes",
    "bool": "true or false without quotes",
}


def shape_findings(node: Node, shape: Shape = WORKFLOW, key: str = "the file") -> Iterator[Finding]:
    """Yields every value of a wrong type and every key that would be passed over."""
    if not _is_read_as(node, shape.wanted):
        yield Finding(
            node.place,
            "type",
            f"{key} is {_FOUND[node.kind]}, so that the Workflow Manager can't read the file",
            f"write {_IN_WORDS[shape.wanted]}",
        )
        return
    if key in _NEVER_NULL and node.kind in ("null", "text"):
        yield Finding(
            node.place,
            "null",
            f"{key} is {node.text or 'empty'}, at which the Workflow Manager fails",
            "leave the key out, or write an empty list or object",
        )
    for entry in node.entries:
        yield from _entry_findings(entry, shape)
    for item in node.items:
        if shape.item:
            yield from shape_findings(item, shape.item, f"an item of {key}")


def _is_read_as(node: Node, wanted: Wanted) -> bool:
    if not node or node.kind in _KINDS_OF[wanted]:
        return True
    # An empty text becomes null, where there is such a thing.
    if node.kind != "text" or wanted == "text":
        return False
    return bool(_FROM_TEXT[wanted].fullmatch(node.text)) if wanted in _FROM_TEXT else not node.text


def _entry_findings(entry: Entry, shape: Shape) -> Iterator[Finding]:
    if shape.wanted == "texts":
        yield from shape_findings(entry.value, TEXT, entry.key)
        return
    known = {name.lower(): one for name, one in shape.keys.items()}
    if entry.key.lower() in known:
        yield from shape_findings(entry.value, known[entry.key.lower()], entry.key)
    elif entry.key not in shape.ignored:
        close = get_close_matches(entry.key, shape.keys, n=1)
        remedy = f"write {close[0]!r}" if close else f"keep to {', '.join(sorted(shape.keys))}"
        yield Finding(entry.place, "key", f"{entry.key!r} is not known and is passed over", remedy)

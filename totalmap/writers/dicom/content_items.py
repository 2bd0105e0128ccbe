"""Makes content items of SR and Key Object Selection documents (PS3.3 C.17.3), and their layout.

A report has thousands of items. highdicom checks each of them several times while it puts them
together, which takes most of the time of a report, so these are plain datasets.
"""

from collections.abc import Sequence
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DSfloat

from totalmap.writers.dicom.codes import code_item

_OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
_PERSON = Code("121006", "DCM", "Person")  # CID 270 Observer Type
_PERSON_OBSERVER_NAME = Code("121008", "DCM", "Person Observer Name")


class Relationship(StrEnum):
    """How an item belongs to the item above it (PS3.3 C.17.3.2.4)."""

    CONTAINS = "CONTAINS"
    OBSERVATION_CONTEXT = "HAS OBS CONTEXT"
    CONCEPT_MODIFIER = "HAS CONCEPT MOD"


def code_content(
    concept: Code, value: Code, relationship: Relationship = Relationship.CONTAINS
) -> Dataset:
    """Returns an item with a code."""
    item = _item("CODE", concept, relationship)
    item.ConceptCodeSequence = [code_item(value)]
    return item


def text_content(concept: Code, value: str, relationship: Relationship) -> Dataset:
    """Returns an item with a text."""
    item = _item("TEXT", concept, relationship)
    item.TextValue = value
    return item


def uid_content(
    concept: Code, value: str, relationship: Relationship = Relationship.CONTAINS
) -> Dataset:
    """Returns an item with a UID."""
    item = _item("UIDREF", concept, relationship)
    item.UID = value
    return item


def number_content(concept: Code, value: float, unit: Code) -> Dataset:
    """Returns an item with a number as a decimal string of 16 characters and in all its digits."""
    measured = Dataset()
    measured.NumericValue = DSfloat(value, auto_format=True)
    measured.FloatingPointValue = value
    measured.MeasurementUnitsCodeSequence = [code_item(unit)]
    item = _item("NUM", concept, Relationship.CONTAINS)
    item.MeasuredValueSequence = [measured]
    return item


def segment_content(
    concept: Code, sop_class: str, sop_instance_uid: str, segment_number: int
) -> Dataset:
    """Returns an item that refers to a segment of a SEG."""
    segment = Dataset()
    segment.ReferencedSOPClassUID = sop_class
    segment.ReferencedSOPInstanceUID = sop_instance_uid
    segment.ReferencedSegmentNumber = segment_number
    item = _item("IMAGE", concept, Relationship.CONTAINS)
    item.ReferencedSOPSequence = [segment]
    return item


def container(
    concept: Code,
    items: Sequence[Dataset],
    *,
    template: str = "",
    relationship: Relationship | None = Relationship.CONTAINS,
) -> Dataset:
    """Returns a list of items.

    Args:
        concept: What the list is.
        items: The items in it.
        template: The number of its template in PS3.16, if it is the root of one.
        relationship: None for the root of the document.
    """
    item = _item("CONTAINER", concept, relationship)
    item.ContinuityOfContent = "SEPARATE"
    if template:
        identification = Dataset()
        identification.MappingResource = "DCMR"
        identification.TemplateIdentifier = template
        item.ContentTemplateSequence = [identification]
    item.ContentSequence = items
    return item


def with_items_below(item: Dataset, *below: Dataset) -> Dataset:
    """Returns an item after other items are added below it."""
    if below:
        item.ContentSequence = below
    return item


def person_observer(name: str) -> list[Dataset]:
    """Returns the items that name a person as the observer (PS3.16 TID 1002 and TID 1003).

    Args:
        name: VR PN.
    """
    kind = code_content(_OBSERVER_TYPE, _PERSON, Relationship.OBSERVATION_CONTEXT)
    person = _item("PNAME", _PERSON_OBSERVER_NAME, Relationship.OBSERVATION_CONTEXT)
    person.PersonName = name
    return [kind, person]


def separate_containers(item: Dataset) -> None:
    """Makes each container of a tree of content items a list of items (PS3.3 C.18.8).

    highdicom declares containers as CONTINUOUS text, which readers show without the names of the
    items: "249.165 mL 79.57 [hnsf'U]". PS3.3 C.17.6.2 requires SEPARATE in Key Object Selections.

    Args:
        item: The root of the tree, which is changed.
    """
    if item.get("ValueType") == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for below in item.get("ContentSequence", ()):
        separate_containers(below)


def _item(value_type: str, concept: Code, relationship: Relationship | None) -> Dataset:
    item = Dataset()
    if relationship is not None:
        item.RelationshipType = str(relationship)
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [code_item(concept)]
    return item

"""Makes content items that SR and Key Object Selection documents share, and sets their layout."""

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from totalmap.writers.dicom.codes import code_item

_OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
_PERSON = Code("121006", "DCM", "Person")  # CID 270 Observer Type
_PERSON_OBSERVER_NAME = Code("121008", "DCM", "Person Observer Name")


def person_observer(name: str) -> list[Dataset]:
    """Returns the items that name a person as the observer (PS3.16 TID 1002 and TID 1003).

    Args:
        name: VR PN.
    """
    kind, person = Dataset(), Dataset()
    kind.ValueType, person.ValueType = "CODE", "PNAME"
    kind.ConceptNameCodeSequence = [code_item(_OBSERVER_TYPE)]
    kind.ConceptCodeSequence = [code_item(_PERSON)]
    person.ConceptNameCodeSequence = [code_item(_PERSON_OBSERVER_NAME)]
    person.PersonName = name
    for item in (kind, person):
        item.RelationshipType = "HAS OBS CONTEXT"
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

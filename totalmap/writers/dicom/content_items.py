"""Sets how readers lay out the content items of SR and Key Object Selection documents."""

from pydicom.dataset import Dataset


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

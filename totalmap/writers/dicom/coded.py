"""Coded entries (PS3.3 8.8)."""

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code


def coded(code: Code) -> Dataset:
    """Returns the item of a code sequence."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item

"""Finds out which structure of ours a segment of another tool is."""

from collections.abc import Iterable, Mapping

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from totalmap.existing_seg import structure_name
from totalmap.structures import Structure
from totalmap.writers.dicom.codes import StructureCode, structure_code

# CID 7150 Segmentation Property Categories: a tumour in the liver is not the liver.
_LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")


def match_structure(
    segment: Dataset, structures: Iterable[Structure], tracking_uids: Mapping[str, str]
) -> Structure | None:
    """Returns the structure of a segment; None if it is none of ours.

    Its codes decide, with the side and the anatomic region; then its Tracking UID; then its names,
    as in `structure_name`. SRT codes are those of SNOMED CT with the same meaning.

    Args:
        segment: The item of Segment Sequence (PS3.3 C.8.20.2).
        structures: The structures that it may be.
        tracking_uids: Their Tracking UIDs, by name.
    """
    candidates = tuple(structures)
    if (coded := _by_codes(segment, candidates)) is not None:
        return coded
    if _code(segment, "SegmentedPropertyCategoryCodeSequence") == _LESION:
        return None
    uid = str(segment.get("TrackingUID", ""))
    tracked = [one for one in candidates if uid and tracking_uids.get(one.name) == uid]
    name = structure_name(segment)
    named = [structure for structure in candidates if structure.name == name]
    return next(iter((*tracked, *named)), None)


def _by_codes(segment: Dataset, structures: tuple[Structure, ...]) -> Structure | None:
    """Returns the only structure with the codes of a segment; None if it is not the only one."""
    kind, side = _coded(segment, "SegmentedPropertyType", "CodeSequence", "ModifierCodeSequence")
    region, region_side = _coded(segment, "AnatomicRegion", "Sequence", "ModifierSequence")
    of_type = [
        (structure, code)
        for structure, code in ((one, structure_code(one.name)) for one in structures)
        if code.type == kind and _side(code) in (side, side or region_side)
    ]
    exact = [
        structure
        for structure, code in of_type
        if code.region == region and code.region_modifier == region_side
    ]
    # Many tools write no region, and some write one for every type.
    loose = [structure for structure, code in of_type if region is None or code.region is None]
    for found in (exact, loose):
        if len(found) == 1:
            return found[0]
    return None


def _side(code: StructureCode) -> Code | None:
    return code.modifier or code.region_modifier


def _coded(segment: Dataset, name: str, ending: str, modifier: str) -> tuple[Code | None, ...]:
    """Returns a code of a segment and its modifier."""
    item = (segment.get(f"{name}{ending}") or [Dataset()])[0]
    return _code(segment, f"{name}{ending}"), _code(item, f"{name}{modifier}")


def _code(dataset: Dataset, keyword: str) -> Code | None:
    item = (dataset.get(keyword) or [Dataset()])[0]
    value = item.get("CodeValue") or item.get("LongCodeValue")
    scheme = item.get("CodingSchemeDesignator")
    if not value or not scheme:
        return None
    return Code(str(value), str(scheme), str(item.get("CodeMeaning", "")))

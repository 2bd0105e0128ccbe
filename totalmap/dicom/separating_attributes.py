"""Finds the attributes in which slices at the same position differ; reads their whole headers."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pydicom.datadict import dictionary_description, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from totalmap.dicom.file_reader import read_header
from totalmap.dicom.header import BROKEN_VALUE, Header
from totalmap.dicom.instance import read_dataset
from totalmap.dicom.slices import Slice
from totalmap.dicom.split_criteria import Distinction

FUNCTIONAL_GROUPS = Tag("PerFrameFunctionalGroupsSequence")
# These differ in every slice, or follow from the pixels.
_OF_EVERY_SLICE = frozenset(
    {
        *("InstanceNumber", "ImagePositionPatient", "SliceLocation", "ImageIndex"),
        *("SmallestImagePixelValue", "LargestImagePixelValue", "WindowCenter", "WindowWidth"),
        *("SmallestPixelValueInSeries", "LargestPixelValueInSeries"),
        *("DimensionIndexValues", "InStackPositionNumber", "InConcatenationNumber"),
        *("ConcatenationFrameOffsetNumber", "NumberOfFrames"),
    }
)
_SINGLE_VALUES = frozenset({"AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "SH"})
_SINGLE_VALUES |= {"SL", "SS", "ST", "TM", "UL", "US", "UT"}
# Well-known attributes come first, then all others by tag.
_WELL_KNOWN = (
    *("SeriesDescription", "SeriesNumber", "AcquisitionNumber", "ImageComments"),
    *("NominalPercentageOfRespiratoryPhase", "SliceThickness", "ProtocolName"),
)
MAX_NAMED = 4
_PATIENT_GROUP = 0x0010


def differing_attributes(slices: Sequence[Slice]) -> tuple[str, ...]:
    """Returns the keywords of the attributes in which slices at the same position differ.

    UIDs, private attributes, attributes of the patient, and attributes that differ in every slice
    of a volume are not compared.
    """
    headers = [*_headers(slices)]
    keywords = set().union(*headers)
    differing = {
        keyword for keyword in keywords if len({header.get(keyword) for header in headers}) > 1
    }
    known = [keyword for keyword in _WELL_KNOWN if keyword in differing]
    return (*known, *sorted(differing - set(known), key=Tag))


def in_words(keywords: Sequence[str]) -> str:
    """Returns the names of the first attributes, separated by commas."""
    names = [attribute_name(keyword) for keyword in keywords[:MAX_NAMED]]
    return ", ".join(names) + (", ..." if len(keywords) > MAX_NAMED else "")


def attribute_name(keyword: str) -> str:
    """Returns the name of an attribute in the standard."""
    return dictionary_description(Tag(keyword))


def read_distinctions(slices: Sequence[Slice], keywords: Sequence[str]) -> list[Distinction]:
    """Returns a distinction for each attribute, with the values in the files of the slices."""
    texts: dict[tuple[str, int], dict[str, str]] = {}
    wanted = {item.key for item in slices}
    tags: list[BaseTag | int] = [*map(Tag, keywords), FUNCTIONAL_GROUPS]
    for instance in {item.instance.sop_instance_uid: item.instance for item in slices}.values():
        try:
            with instance.path.open("rb") as file:
                header = Header(read_header(file, tags))
            for frame, own in zip(instance.frames, header.frames(), strict=False):
                key = instance.sop_instance_uid, frame.number
                if key in wanted:
                    texts[key] = {keyword: own.text(keyword) for keyword in keywords}
        except BROKEN_VALUE:  # the next reader of the file reports the error
            continue

    def distinction(keyword: str) -> Distinction:
        return Distinction(
            name=attribute_name(keyword),
            value_of=lambda item: texts.get(item.key, {}).get(keyword, ""),
            is_shown=False,
        )

    return [distinction(keyword) for keyword in keywords]


def _headers(slices: Sequence[Slice]) -> Iterator[dict[str, str]]:
    """Yields the comparable attributes of each slice, by keyword; reads each file once."""
    of_file: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        of_file[item.instance.sop_instance_uid].append(item)
    for items in of_file.values():
        try:
            dataset = read_dataset(items[0].instance)
        except BROKEN_VALUE:  # the next reader of the file reports the error
            yield {}
            continue
        common = dict(_comparable(dataset))
        for item in items:
            yield common | dict(_of_frame(dataset, item.frame.number))


def _of_frame(dataset: Dataset, number: int) -> Iterator[tuple[str, str]]:
    try:
        if FUNCTIONAL_GROUPS in dataset:
            for element in dataset[FUNCTIONAL_GROUPS].value[number - 1]:
                for group in element.value or ():
                    yield from _comparable(group)
    except BROKEN_VALUE:  # the next reader of the file reports the error
        return


def _comparable(dataset: Dataset) -> Iterator[tuple[str, str]]:
    for tag in sorted(dataset.keys()):
        keyword = keyword_for_tag(tag)
        if not keyword or tag.group == _PATIENT_GROUP or keyword in _OF_EVERY_SLICE:
            continue
        try:
            element = dataset[tag]
            if element.VR in _SINGLE_VALUES:
                yield keyword, str(element.value)
        except BROKEN_VALUE:
            continue

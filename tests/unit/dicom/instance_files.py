"""Changes attributes of DICOM files, and reads their headers and faults."""

from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import UID

from tests.phantom import SeriesSpec
from totalmap.dicom.instance import Instance, read_instance

SPEC = SeriesSpec(
    rows=36, columns=40, n_slices=3, pixel_spacing_mm=(10.0, 9.0), kernel="B30f", number=7
)
BYTES = SPEC.rows * SPEC.columns * 2
FRAMES = pydicom.datadict.tag_for_keyword("PerFrameFunctionalGroupsSequence")


def keyword(uid: UID) -> str:
    return uid.keyword


def instance_of(path: Path) -> Instance:
    instance = read_instance(path)
    assert instance is not None
    return instance


def change(path: Path, **values: Any) -> None:
    """Sets attributes; None removes one."""
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


def overwrite(path: Path, name: str, text: bytes) -> None:
    """Writes a value that pydicom would refuse, over one of the same length in the file."""
    dataset = pydicom.dcmread(path)
    placeholder = b"1" * len(text)
    setattr(dataset, name, placeholder.decode())
    dataset.save_as(path)
    tag = pydicom.tag.Tag(name)
    start = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"DS"
    content = path.read_bytes()
    place = content.index(start) + 8
    assert content[place : place + len(text)] == placeholder
    path.write_bytes(content[:place] + text + content[place + len(text) :])


def fault_of(path: Path) -> str:
    (frame,) = instance_of(path).frames
    return frame.fault

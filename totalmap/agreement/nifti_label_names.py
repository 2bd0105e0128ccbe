"""Finds the names of the labels of a NIfTI file."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from totalsegmentator.map_to_binary import class_map

from totalmap.display_names import known_name
from totalmap.errors import InputError
from totalmap.nifti import SUFFIXES, read_nifti_extensions

FROM_CLASS_MAP = "the NIfTI file names no labels: they were taken for those of task total"
# Caret's extended header (ecode 0), as TotalSegmentator and TotalMAP write it.
_LABEL = re.compile(r'<Label\b[^>]*\bKey="(\d+)"[^>]*>(?:<!\[CDATA\[)?([^\]<]+)')


def stem(path: Path) -> str:
    """Returns the name of a NIfTI file without its suffix."""
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_label_names(path: Path, highest: int) -> tuple[dict[int, str], tuple[str, ...]]:
    """Returns the names of labels, and notes about them.

    They are in a file of the same name beside the image: `.json`, with names by label or labels
    by name, also under the key `labels` as in nnU-Net's dataset.json; or `.tsv`, with the columns
    `index` and `name` of BIDS. Else they are in the extended header of the image. Else a single
    mask has the name of its file, if this is a structure, and labels are those of task total.

    Args:
        path: The image.
        highest: Its highest label.

    Raises:
        InputError: The names can't be read, or two labels have the same name.
    """
    for suffix, read in ((".json", _json_names), (".tsv", _tsv_names)):
        sidecar = path.with_name(stem(path) + suffix)
        if sidecar.is_file():
            return _known(_read_sidecar(sidecar, read)), ()
    for content in read_nifti_extensions(path):
        if found := _LABEL.findall(content.decode("utf-8", "replace")):
            return _known({int(label): name for label, name in found}), ()
    if highest <= 1:
        return {1: known_name(stem(path)) or "mask"}, ()
    total: Mapping[int, str] = class_map["total"]
    return dict(total), (FROM_CLASS_MAP,)


def _known(names: Mapping[int, str]) -> dict[int, str]:
    """Returns the names of labels above 0, TotalSegmentator's where a name is that of one."""
    known = {label: known_name(name) or name for label, name in names.items() if label > 0}
    if len(set(known.values())) < len(known):
        raise InputError("two labels of the NIfTI file have the same name")
    return known


def _read_sidecar(path: Path, read: Callable[[str], dict[int, str]]) -> dict[int, str]:
    try:
        return read(path.read_text(encoding="utf-8-sig"))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(
            f"the {path.suffix} file beside the NIfTI file gives no names of labels "
            f"({type(error).__name__}): write names by label, or a table with the columns index "
            "and name"
        ) from error


def _json_names(text: str) -> dict[int, str]:
    content = json.loads(text)
    content = content.get("labels", content)
    if all(str(key).isdigit() for key in content):
        return {int(label): str(name) for label, name in content.items()}
    return {int(label): str(name) for name, label in content.items()}


def _tsv_names(text: str) -> dict[int, str]:
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    return {int(row["index"]): row["name"] for row in rows}

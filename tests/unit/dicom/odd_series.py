"""Writes unusual series, and selects from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.phantom.study import SeriesSpec, WrittenSeries
from totalmap.dicom.series_selection import Judgement, judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.errors import NoSuitableSeries
from totalmap.quality.suitability.header_rules import header_findings
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

COUNT = 12
SPEC = SeriesSpec(rows=12, columns=12, n_slices=COUNT, pixel_spacing_mm=(35.0, 35.0), scanner=None)
RULES = SelectionSection(rules=(SelectionRule(modalities=("CT", "MR")),))
Change = Callable[[int, Dataset], None]


def edit(written: WrittenSeries, change: Change) -> None:
    """Changes each file of a series; the change gets the number of the slice."""
    for k, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        change(k, dataset)
        dataset.save_as(path)


def add(written: WrittenSeries, k: int, name: str, **values: Any) -> None:
    """Adds an image to a series: another one with other attributes, None removes one."""
    dataset = pydicom.dcmread(written.paths[k])
    dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID[:50]}.{len(name)}.{k + 1}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in values.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(written.folder / name)


def judged(folder: Path) -> Judgement:
    return judge(read_study(folder), RULES, GeometrySection())


def volume_of(folder: Path) -> Volume:
    (selection,) = selected(judged(folder))
    return build_volume(selection, GeometrySection())


def refusal(folder: Path) -> str:
    with pytest.raises(NoSuitableSeries) as caught:
        selected(judged(folder))
    return str(caught.value)


def is_whole(volume: Volume, written: WrittenSeries) -> bool:
    """Whether a volume has all slices of a series, with their values, and nothing is said."""
    return (
        volume.geometry.is_grid
        and np.array_equal(volume.voxels, written.hu)
        and not [finding for finding in header_findings(volume) if finding.code == "PARTIAL_SERIES"]
    )

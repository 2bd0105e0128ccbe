"""Writes report.html: structures, source and origin of a result for people, in one file.

It loads nothing and names no patient: the UIDs of the source say where it belongs.
"""

import base64
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import BinaryIO

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from numpy.typing import NDArray
from PIL import Image

from totalmap.dicom.volume import Volume
from totalmap.errors import OutputError
from totalmap.limitation_words import INCOMPLETE_EXPLAINED, remarks
from totalmap.run_log import Result
from totalmap.segmentation import ModelIdentity, Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Limitation, MeasuredStructure
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.preview.legend import volume_text
from totalmap.writers.preview.page_drawing import AI_NOTICE, DEMO_NOTICE, quality_notice
from totalmap.writers.preview.pages import render_pages

FILE_NAME = "report.html"

_TEMPLATE = "report.html.jinja"
_JPEG_QUALITY = 88
# The report shows the pages before the legend; a table takes the place of the legend.
_CAPTIONS = (
    "Coronal, sagittal and axial view, with the structures of the table below in colour.",
    "Axial views from head to feet, with the structures in colour.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table: a structure that was found."""

    name: str
    colour: str
    volume: str
    is_incomplete: bool
    mean: str
    sd: str
    voxels: str
    remarks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A page of the preview; `data_uri` contains the image."""

    data_uri: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line such as "Slices: 200"."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of the template."""

    title: str
    summary: str
    notice: str
    demo_notice: str
    quality_notice: str
    pictures: tuple[Picture, ...]
    findings: tuple[str, ...]
    incomplete_explained: str
    unit: str
    rows: tuple[Row, ...]
    not_found: tuple[str, ...]
    source: tuple[Fact, ...]
    origin: tuple[Fact, ...]
    networks: tuple[ModelIdentity, ...]


def write_report(segmentation: Segmentation, settings: Settings, release: Release) -> Result:
    """Writes the report.

    Raises:
        OutputError: A structure has no name and colour, or the file differs from the report.
    """
    content = report_html(segmentation, settings).encode()
    name = identifiers.result_name(segmentation, FILE_NAME)

    def write(file: BinaryIO) -> None:
        file.write(content)

    staged = release.write(name, write)
    if staged.read_bytes() != content:
        raise OutputError(f"{name} differs from the report after writing")
    return Result(kind=ResultKind.REPORT, path=f"{RESULTS_NAME}/{name}")


def report_html(segmentation: Segmentation, settings: Settings) -> str:
    """Returns the report as HTML."""
    return _template().render(report=report_of(segmentation, settings))


def report_of(segmentation: Segmentation, settings: Settings) -> Report:
    """Returns the content of the report.

    Raises:
        OutputError: A structure has no name and colour.
    """
    found = segmentation.found()
    labels = {measured.structure.label for measured in found}
    notices = (model.notice for model in segmentation.models if model.notice)
    findings = (
        *(finding.sentence for finding in segmentation.quality_findings),
        *segmentation.volume.findings,
        *segmentation.findings,
        *notices,
    )
    return Report(
        title=f"TotalMAP {segmentation.task} {segmentation.variant}",
        summary=f"{len(found)} of {len(segmentation.structures)} structures were found.",
        notice=AI_NOTICE,
        demo_notice=DEMO_NOTICE if identifiers.is_demo(segmentation) else "",
        quality_notice=quality_notice(segmentation),
        pictures=_pictures(render_pages(segmentation)),
        findings=tuple(dict.fromkeys(findings)),
        incomplete_explained=INCOMPLETE_EXPLAINED,
        unit="HU" if segmentation.volume.modality == "CT" else "the scanner's own units",
        rows=tuple(map(_row, found)),
        not_found=tuple(
            structure_code(structure.name).display_name
            for structure in segmentation.structures
            if structure.label not in labels
        ),
        source=_source(segmentation),
        origin=_origin(segmentation, settings),
        networks=segmentation.models,
    )


def _row(found: MeasuredStructure) -> Row:
    code = structure_code(found.structure.name)
    red, green, blue = code.rgb
    return Row(
        name=code.display_name,
        colour=f"#{red:02x}{green:02x}{blue:02x}",
        volume=volume_text(found),
        is_incomplete=Limitation.INCOMPLETE in found.limitations,
        mean=f"{found.mean:,.1f}",
        sd=f"{found.sd:,.1f}",
        voxels=f"{found.voxels:,}",
        remarks=remarks(found),
    )


def _pictures(pages: list[NDArray[np.uint8]]) -> tuple[Picture, ...]:
    return tuple(
        Picture(
            data_uri=_data_uri(page), width=page.shape[1], height=page.shape[0], caption=caption
        )
        for page, caption in zip(pages, _CAPTIONS, strict=False)
    )


def _data_uri(page: NDArray[np.uint8]) -> str:
    """Returns a page as JPEG, with colours at full resolution for thin lines."""
    buffer = BytesIO()
    Image.fromarray(page).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _source(segmentation: Segmentation) -> tuple[Fact, ...]:
    volume = segmentation.volume
    between_columns, between_rows, between_slices = volume.geometry.spacing_mm
    slices, rows, columns = volume.geometry.shape
    chosen_by = (Fact(name="Chosen by rule", value=volume.folder),) if volume.folder else ()
    return (
        *_instance_facts(volume),
        *chosen_by,
        Fact(name="Modality", value=volume.modality),
        Fact(name="Slices", value=f"{slices}, {volume.geometry.orientation}"),
        Fact(name="Pixels", value=f"{rows} rows, {columns} columns"),
        Fact(
            name="Spacing",
            value=f"{between_rows:.3f} mm between rows, {between_columns:.3f} mm between columns, "
            f"{between_slices:.3f} mm between slices",
        ),
        Fact(name="Covered", value=f"{volume.geometry.coverage_mm:.0f} mm"),
    )


def _instance_facts(volume: Volume) -> tuple[Fact, ...]:
    """Returns the UIDs of the source, or the hash of a NIfTI file."""
    if not volume.is_dicom:
        (digest,) = volume.source_names
        return (
            Fact(name="Source", value="NIfTI file"),
            Fact(name="SHA-256 of voxels and place", value=digest, is_code=True),
        )
    instance = volume.slices[0].instance
    return (
        Fact(name="Series Instance UID", value=instance.series_instance_uid, is_code=True),
        Fact(name="Study Instance UID", value=instance.study_instance_uid, is_code=True),
    )


def _origin(segmentation: Segmentation, settings: Settings) -> tuple[Fact, ...]:
    return (
        Fact(name="TotalMAP", value=identifiers.software_versions()),
        Fact(name="Task", value=f"{segmentation.task}, {segmentation.variant}"),
        Fact(name="Algorithm", value=identifiers.algorithm_name(segmentation)),
        Fact(name="Engine", value=segmentation.engine),
        Fact(name="Arithmetic", value=segmentation.arithmetic),
        Fact(name="Search", value=segmentation.search),
        Fact(name="Device", value=segmentation.device),
        Fact(name="SHA-256 of settings", value=settings.fingerprint(), is_code=True),
    )


@cache
def _template() -> Template:
    """Returns the template, which escapes every value and fails on an unknown name."""
    text = (files("totalmap.writers") / _TEMPLATE).read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(text)

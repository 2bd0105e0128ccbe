"""Writes report.html: structures, source and origin of a result for people, in one file.

It loads nothing. It names the patient only as far as `report.identify` allows.
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

from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import ModelIdentity, Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import FEW_VOXELS
from totalmap.texts.catalogue import Texts, texts_in
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.presentation.finding_summary import SummaryLine, finding_summary
from totalmap.writers.presentation.patient_identification import Fact, identity_of
from totalmap.writers.presentation.structure_tables import SystemTable, system_tables
from totalmap.writers.presentation.title_and_notices import (
    ai_notice,
    demo_notice,
    found_words,
    origin_facts,
    print_notice,
    quality_notice,
    source_facts,
    source_words,
    title_of,
    verdict_words,
)
from totalmap.writers.preview.views import (
    Scene,
    axial_views_picture,
    axial_words,
    scene_of,
    three_views_picture,
)

FILE_NAME = "report.html"

_TEMPLATE = "report.html.jinja"
_JPEG_QUALITY = 88
# The largest size of the pictures, in pixels.
_THREE_VIEWS, _AXIAL_VIEWS = (1500, 1050), (1500, 1000)
_EDGE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of the result; `data_uri` contains the image."""

    data_uri: str
    width: int
    height: int
    description: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of the template."""

    language: str
    title: str
    identity: tuple[Fact, ...]
    verdict: str
    summary: str
    source_summary: str
    notice: str
    print_notice: str
    demo_notice: str
    quality_notice: str
    verdict_class: str
    pictures: tuple[Picture, ...]
    findings: tuple[SummaryLine, ...]
    values_explained: str
    remarks_explained: str
    tables: tuple[SystemTable, ...]
    not_found: str
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


def report_html(segmentation: Segmentation, settings: Settings, texts: Texts | None = None) -> str:
    """Returns the report as HTML.

    Args:
        segmentation: The result.
        settings: The settings with language and identity.
        texts: The texts; None: those of the language of the settings.

    Raises:
        OutputError: A structure has no name and colour.
    """
    told = texts or texts_in(settings.report.language)
    report = report_of(segmentation, settings, told)
    return _template().render(report=report, texts=told, colour=_css_colour)


def report_of(segmentation: Segmentation, settings: Settings, texts: Texts) -> Report:
    """Returns the content of the report.

    Raises:
        OutputError: A structure has no name and colour.
    """
    unit = texts("report.hu" if segmentation.volume.modality == "CT" else "report.scanner_units")
    return Report(
        language=texts.language,
        title=title_of(segmentation, texts),
        identity=identity_of(segmentation, settings.report, texts).facts,
        verdict=verdict_words(segmentation, texts),
        summary=found_words(segmentation, texts),
        source_summary=source_words(segmentation, texts),
        notice=ai_notice(segmentation, texts),
        print_notice=print_notice(segmentation, texts),
        demo_notice=demo_notice(segmentation, texts),
        quality_notice=quality_notice(segmentation, texts),
        verdict_class=segmentation.verdict,
        pictures=_pictures(scene_of(segmentation, texts)),
        findings=finding_summary(segmentation, texts),
        values_explained=texts("report.values", unit=unit),
        remarks_explained=texts("report.remarks_explained", voxels=FEW_VOXELS),
        tables=system_tables(segmentation, texts),
        not_found=_not_found(segmentation, texts),
        source=source_facts(segmentation, texts),
        origin=origin_facts(segmentation, settings.fingerprint(), texts),
        networks=segmentation.models,
    )


def _not_found(segmentation: Segmentation, texts: Texts) -> str:
    """Returns a sentence with the structures that were not found; empty if there are none."""
    labels = {measured.structure.label for measured in segmentation.found()}
    names = [
        texts.structure(structure.name)
        for structure in segmentation.structures
        if structure.label not in labels
    ]
    return texts("report.not_found", count=len(names), names=", ".join(names)) if names else ""


def _pictures(scene: Scene) -> tuple[Picture, ...]:
    """Returns the three views, and the axial views if anything was found."""
    texts = scene.texts
    three = three_views_picture(scene, *_THREE_VIEWS).cropped(_EDGE)
    words = texts("view.lung_window") if scene.shows_lungs else ""
    pictures = [_picture(three, texts("view.three"), words)]
    if scene.segmentation.found():
        axial = axial_views_picture(scene, *_AXIAL_VIEWS).cropped(_EDGE)
        pictures.append(_picture(axial, texts("view.many"), axial_words(scene)))
    return tuple(pictures)


def _picture(pixels: NDArray[np.uint8], description: str, caption: str) -> Picture:
    """Returns a picture as JPEG, with colours at full resolution for thin lines."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return Picture(
        data_uri=f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}",
        width=pixels.shape[1],
        height=pixels.shape[0],
        description=description,
        caption=caption,
    )


def _css_colour(rgb: tuple[int, int, int]) -> str:
    red, green, blue = rgb
    return f"#{red:02x}{green:02x}{blue:02x}"


@cache
def _template() -> Template:
    """Returns the template, which escapes every value and fails on an unknown name."""
    text = (files("totalmap.writers") / _TEMPLATE).read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(text)

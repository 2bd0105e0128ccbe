import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.segmentations import MODEL
from totalmap.finding import Assessment, Finding, Severity
from totalmap.report_settings import Identify, ReportSection
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.texts.catalogue import Language, TranslatedSentence, texts_in
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.html_report import report_html, write_report
from totalmap.writers.presentation.structure_tables import note_on

# Elements that need no end.
VOID = ("meta", "img", "br", "link")


class Page(HTMLParser):
    """Collects the content that a browser shows, and checks that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(true_segmentation: Segmentation) -> str:
    return report_html(true_segmentation, Settings())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_report_shows_every_structure_with_its_numbers_and_remarks(
    page: Page, true_segmentation: Segmentation
) -> None:
    english = texts_in(Language.ENGLISH)
    for found in true_segmentation.found():
        name = structure_code(found.structure.name).display_name
        row = re.search(rf"^{re.escape(name)}\n(.*?)\n\n", page.text, re.MULTILINE | re.DOTALL)
        assert row, name
        assert f"{english.number(found.volume_ml)}\n{round(found.mean)}\n" in row[1]
        assert note_on(found, english) in row[1]
    missing = structure_code("urinary_bladder").display_name
    assert re.search(rf"Looked for and not found \(\d+\): .*{missing}", page.text)


def test_report_states_its_origin_and_that_nobody_verified_it(
    page: Page, true_segmentation: Segmentation
) -> None:
    assert page.text.count("AI result, not verified, not for diagnosis") == 2
    series = true_segmentation.volume.slices[0].instance.series_instance_uid
    for fact in (MODEL.sha256, MODEL.dataset, Settings().fingerprint(), series, "exact", "cpu"):
        assert fact in page.text
    assert "DEMO MODEL" not in page.text


def test_report_of_a_demo_model_says_so(true_segmentation: Segmentation) -> None:
    demo = replace(true_segmentation, models=(replace(MODEL, notice="for trying out only"),))
    text = Page(report_html(demo, Settings())).text
    assert "DEMO MODEL, not for patients" in text
    assert "Warning: For trying out only" in text


def test_notice_of_a_model_is_told_in_the_language_of_the_report_or_marked_as_english(
    true_segmentation: Segmentation,
) -> None:
    german = Settings(report=ReportSection(language=Language.GERMAN))
    for translations, shown, marked in (
        ({"de": "nicht f\u00fcr Patienten"}, "Nicht f\u00fcr Patienten", []),
        ({}, "Not for patients", ["en"]),
    ):
        notice = TranslatedSentence("not for patients", translations)
        demo = replace(true_segmentation, models=(replace(MODEL, notice=notice),))
        page = Page(report_html(demo, german))
        assert f"Warnung: {shown}" in page.text
        assert [tag["lang"] for tag in page.all("span") if "lang" in tag] == marked


def test_the_head_of_every_printed_report_page_has_the_verdict(
    true_segmentation: Segmentation,
) -> None:
    finding = Finding(code="MIRRORED", severity=Severity.REJECT, sentence="Left is right.")
    rejected = true_segmentation.with_assessment(Assessment(findings=(finding,)))
    head = re.search(r"@top-center \{ content: \"(.*?)\"", report_html(rejected, Settings()))
    assert head
    assert head[1] == (
        "AI result, not verified, not for diagnosis \u00b7 REJECTED BY QUALITY CONTROL"
    )


def test_report_escapes_all_values(true_segmentation: Segmentation) -> None:
    hostile = replace(
        true_segmentation,
        findings=("<script>alert(1)</script> & more",),
        models=(replace(MODEL, licence='"><img src=x>'),),
    )
    page = Page(report_html(hostile, Settings()))
    assert page.all("script") == []
    assert len(page.all("img")) == 2
    assert "<script>alert(1)</script> & more" in page.text


def test_report_is_one_file_that_loads_nothing(html: str, page: Page) -> None:
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_report_contains_its_pictures_with_descriptions(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 2
    for picture in pictures:
        assert picture["alt"]
        kind, data = (picture["src"] or "").split(",")
        assert kind == "data:image/jpeg;base64"
        shape = np.asarray(Image.open(BytesIO(base64.b64decode(data)))).shape
        assert shape == (int(picture["height"] or 0), int(picture["width"] or 0), 3)


def test_report_has_the_marks_that_screen_readers_need(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("caption")) == len(page.all("table")) > 2
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert len(page.all("h1")) == len(page.all("main")) == 1


def test_report_without_structures_says_so(true_segmentation: Segmentation) -> None:
    empty = np.zeros_like(true_segmentation.labels)
    inference = replace(true_segmentation.inference, labels=empty)
    nothing = replace(true_segmentation, labels=empty, inference=inference)
    assert "No structure was found." in Page(report_html(nothing, Settings())).text


def test_same_result_gives_the_same_report_bytes(
    true_segmentation: Segmentation, html: str, tmp_path: Path
) -> None:
    with open_release(tmp_path) as release:
        result = write_report(true_segmentation, Settings(), release)
        release.publish({})
    assert result.path == "results/report.html"
    assert (tmp_path / result.path).read_text(encoding="utf-8") == html


NAME, PATIENT_ID, ACCESSION = "PHANTOM, TOTALMAP", "TM-PHANTOM-0001", "TMACC0001"


@pytest.mark.parametrize(
    ("identify", "shown"),
    [
        (Identify.NONE, set()),
        (Identify.ACCESSION, {ACCESSION, "Trunk 3.0 STANDARD"}),
        (Identify.FULL, {ACCESSION, "Trunk 3.0 STANDARD", NAME, PATIENT_ID, "1970-01-02"}),
    ],
)
def test_report_identifies_the_patient_only_as_far_as_the_settings_allow(
    true_segmentation: Segmentation, identify: Identify, shown: set[str]
) -> None:
    settings = Settings(report=ReportSection(identify=identify))
    text = Page(report_html(true_segmentation, settings)).text
    everything = (ACCESSION, "Trunk 3.0 STANDARD", NAME, PATIENT_ID, "1970-01-02")
    assert {value for value in everything if value in text} == shown
    assert re.search(r"Study date\s*2020-03-04", text)
    assert re.search(r"Series\s*2\b", text)

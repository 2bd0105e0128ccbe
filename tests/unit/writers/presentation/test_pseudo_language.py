"""No text of preview, report and PDF stands outside the catalogues."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.pseudo_language import pseudo_texts
from tests.segmentations import crowded
from tests.unit.writers.test_html_report import Page
from totalmap.quality.assess import assess
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.report_settings import Identify, ReportSection
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.texts.catalogue import Language, Message, texts_in
from totalmap.writers.html_report import report_html
from totalmap.writers.pdf.document import pdf_document
from totalmap.writers.preview.pages import drawn_pages

FULL = Settings(report=ReportSection(identify=Identify.FULL))
# What is the same in every language: names of the source, of software, weights and attributes,
# units, directions and levels of the spine.
SAME = re.compile(
    r"PHANTOM, TOTALMAP|TM-PHANTOM-0001|TMACC0001|Trunk 3\.0 STANDARD|TotalSegmentator total fast"
    r"|total, fast|totalmap|exact|whole|cpu|test|none|Dataset297|CT|\bcm\b|\b[RLAPHF]\b"
    r"|\b[CTL]\d+\b|[0-9a-f]{12,64}"
)


@pytest.fixture(scope="module")
def doubted(true_segmentation: Segmentation) -> Segmentation:
    """All 117 structures at wrong places, so that many rules of quality control find faults."""
    warned = replace(
        true_segmentation.volume,
        findings=(Message("warning.tilt", degrees=3.0),),
    )
    volume = with_suitability(warned, "total")
    segmentation = replace(crowded(true_segmentation), volume=volume)
    return segmentation.with_assessment(assess(segmentation))


@pytest.fixture(scope="module")
def whole(true_segmentation: Segmentation) -> Segmentation:
    return true_segmentation.with_assessment(assess(true_segmentation))


def untranslated(words: str) -> list[str]:
    return re.findall(r"[A-Za-z][^\n]*", SAME.sub("", words))


def words_of(segmentation: Segmentation) -> dict[str, str]:
    """Returns all words of preview, report and PDF in the pseudo language."""
    texts = pseudo_texts()
    html = report_html(segmentation, FULL, texts)
    page = Page(html)
    names = ("alt", "aria-label", "title")
    attributes = [tag.get(name) or "" for _, tag in page.tags for name in names]
    in_style = re.findall(r"content: \"(.*?)\"", html)
    pages = drawn_pages(segmentation, FULL, texts)
    return {
        "preview": "\n".join(word for each in pages for word in each.words),
        "report": "\n".join((page.text, *attributes, *in_style)),
        "PDF": "\n".join(pdf_document(segmentation, FULL, texts).words),
    }


def test_no_text_of_preview_report_and_pdf_stands_outside_the_catalogue(
    doubted: Segmentation, whole: Segmentation
) -> None:
    for segmentation in (doubted, whole):
        for result, words in words_of(segmentation).items():
            assert untranslated(words) == [], result


def test_preview_report_and_pdf_without_structures_have_no_text_outside_the_catalogue(
    true_segmentation: Segmentation,
) -> None:
    empty = np.zeros_like(true_segmentation.labels)
    inference = replace(true_segmentation.inference, labels=empty)
    nothing = replace(true_segmentation, labels=empty, inference=inference)
    for result, words in words_of(nothing).items():
        assert untranslated(words) == [], result


def test_every_sentence_of_quality_control_is_a_message_of_the_catalogue(
    doubted: Segmentation,
) -> None:
    assert len({finding.code for finding in doubted.quality_findings}) > 4
    for finding in doubted.quality_findings:
        assert isinstance(finding.sentence, Message), finding.code


def test_every_page_of_preview_report_and_pdf_has_the_notice_about_ai_in_its_language(
    whole: Segmentation,
) -> None:
    german = Settings(report=ReportSection(language=Language.GERMAN))
    notice = texts_in(Language.GERMAN)("notice.ai")
    pages = drawn_pages(whole, german)
    assert [page.words.count(notice) for page in pages] == [1] * len(pages)
    document = pdf_document(whole, german)
    assert document.words.count(notice) == document.pages
    html = report_html(whole, german)
    assert html.count(notice) == 3
    assert 'lang="de"' in html
    assert "Niere links" in html

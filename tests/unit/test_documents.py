"""Our documents: links, pictures, the page index, the changelog and the citation."""

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.conftest import REPOSITORY
from tests.pictures import MOST_BYTES, NAMES, PICTURES
from totalmap import __version__

DOCUMENTS = (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md")))
INDEX = REPOSITORY / "docs" / "README.md"
FOLDERS = (
    "app",
    "benchmarks",
    "cli",
    "deploy",
    "gateway",
    "install",
    "locks",
    "operators",
    "tests",
    "totalmap",
)
# Keys of a reference in CITATION.cff that a reader needs to find the paper.
REFERENCE_KEYS = {"type", "title", "authors", "journal", "year", "doi"}


def name_of(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


def links(document: Path) -> list[str]:
    """Returns the targets of a document's links and pictures in this repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(document: Path) -> set[str]:
    """Returns what a link can name within a document, as GitHub makes it of a heading."""
    text = document.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_good(link: str, document: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_of_the_documents_leads_to_a_page(document: Path) -> None:
    assert [link for link in links(document) if not is_good(link, document)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_named_in_the_documents_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./*-]*)`", text)
    assert [path for path in paths if not list(REPOSITORY.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_test_file_named_in_the_documents_exists(document: Path) -> None:
    names = re.findall(r"`(test_\w+\.py)`", document.read_text(encoding="utf-8"))
    assert set(names) <= {path.name for path in (REPOSITORY / "tests").rglob("test_*.py")}


def test_the_index_of_the_documents_names_every_page() -> None:
    pages = {page.name for page in INDEX.parent.glob("*.md")} - {INDEX.name}
    assert pages - set(links(INDEX)) == set()


def test_every_picture_is_small_and_shown_in_a_document() -> None:
    shown = {
        (document.parent / link).resolve() for document in DOCUMENTS for link in links(document)
    }
    pictures = set(PICTURES.iterdir())
    assert {path.stem for path in pictures} == set(NAMES)
    assert pictures <= shown
    for path in pictures:
        assert path.stat().st_size < MOST_BYTES, path
        with Image.open(path) as picture:
            assert min(picture.size) >= 600, path


def test_the_changelog_has_the_current_version_and_unreleased_changes() -> None:
    headings = re.findall(r"^## \[(.*?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", __version__]


def test_the_citation_names_the_current_version_and_the_papers() -> None:
    """The keys that the schema of CFF 1.2.0 requires, and those of the references."""
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["version"] == __version__
    references = citation["references"]
    assert {reference["doi"] for reference in references} == {
        "10.1148/ryai.230024",
        "10.1038/s41592-020-01008-z",
    }
    assert all(reference.keys() >= REFERENCE_KEYS for reference in references)

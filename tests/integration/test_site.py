"""`make docs` builds the site of the documentation without a warning; it needs no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import browse
from tests.conftest import REPOSITORY
from tests.waiting import WAIT_SECONDS
from website.find_external_resources import external_resources
from website.rewrite_links import linked_paths, repository_path, site_path

DRIVER = REPOSITORY / "tests" / "site.mjs"
BUILD = ("-m", "mkdocs", "build", "--config-file", "website/mkdocs.yml")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            *(sys.executable, *BUILD),
            *("--quiet", "--site-dir", str(folder)),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_make_docs_runs_the_command_that_builds_the_site() -> None:
    command = ["make", "--dry-run", "--always-make", "docs"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert f"python {' '.join(BUILD)}\n" in done.stdout


def test_no_page_of_the_documentation_site_loads_anything_from_another_server(site: Path) -> None:
    assert external_resources(site) == []


def test_the_documentation_site_has_every_document_and_module_of_the_library(site: Path) -> None:
    for document in (REPOSITORY / "docs").glob("*.md"):
        name = "index" if document.name == "README.md" else document.stem
        assert (site / f"{name}.html").is_file(), document
    geometry = (site / "reference" / "totalmap" / "dicom" / "geometry.html").read_text()
    assert "affine_lps" in geometry


def test_linked_files_outside_the_documents_are_pages_of_the_documentation_site(site: Path) -> None:
    for document in (REPOSITORY / "docs").glob("*.md"):
        path = f"docs/{document.name}"
        for link in linked_paths(document.read_text(encoding="utf-8"), path):
            place = site_path(link)
            if not repository_path(place).startswith("docs/"):
                page = place.replace("README.md", "index.html").replace(".md", ".html")
                assert (site / page).is_file(), (path, link)


def test_the_search_of_the_documentation_site_works_without_a_server_or_a_network(
    site: Path,
) -> None:
    page = (site / "index.html").as_uri()
    seen = browse(DRIVER, page=page, words="storage commitment")
    assert seen["errors"] == []
    assert {address.partition(":")[0] for address in seen["loaded"]} <= {"file", "data", "blob"}
    assert any("conformance.html" in address for address in seen["found"])

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from website.rewrite_links import (
    linked_paths,
    outside_files,
    repository_path,
    rewrite_links,
    site_path,
    title_of,
)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("docs/README.md", "README.md"),
        ("docs/pictures/preview.png", "pictures/preview.png"),
        ("README.md", "repository/README.md"),
        ("models/demo/MODEL_CARD.md", "repository/models/demo/MODEL_CARD.md"),
    ],
)
def test_a_file_of_the_repository_has_its_place_in_the_documentation_site(
    path: str, place: str
) -> None:
    assert site_path(path) == place
    assert repository_path(place) == path


def test_a_folder_that_a_document_links_is_shown_as_a_page() -> None:
    assert site_path("benchmarks/results/") == "repository/benchmarks/results/all.md"


@pytest.mark.parametrize(
    ("document", "link", "rewritten"),
    [
        ("docs/install.md", "image.md", "image.md"),
        ("docs/install.md", "image.md#build", "image.md#build"),
        ("docs/install.md", "../README.md", "repository/README.md"),
        ("docs/README.md", "../benchmarks/results/", "repository/benchmarks/results/all.md"),
        ("README.md", "docs/install.md", "../install.md"),
        ("README.md", "docs/README.md", "../README.md"),
        ("README.md", "benchmarks/results/seg.md", "benchmarks/results/seg.md"),
        ("models/demo/MODEL_CARD.md", "../../docs/speed.md", "../../../speed.md"),
    ],
)
def test_a_link_of_a_document_leads_to_the_same_file_in_the_documentation_site(
    document: str, link: str, rewritten: str
) -> None:
    assert rewrite_links(f"see [a page]({link}).", document) == f"see [a page]({rewritten})."


@pytest.mark.parametrize("link", ["https://monai.io/deploy.html", "#anchor", "mailto:a@b.org"])
def test_a_link_of_a_document_that_names_no_file_stays_as_it_is(link: str) -> None:
    assert rewrite_links(f"[a]({link})", "README.md") == f"[a]({link})"


def test_a_picture_in_a_document_that_is_a_link_is_rewritten_with_its_link() -> None:
    markdown = "[![shown](docs/pictures/preview.png)](docs/results.md)"
    expected = "[![shown](../pictures/preview.png)](../results.md)"
    assert rewrite_links(markdown, "README.md") == expected


def test_linked_files_outside_the_documents_are_found_through_each_other(tmp_path: Path) -> None:
    for name, text in {
        "docs/a.md": "[one](../README.md) [folder](../results/) [gone](../gone.md)",
        "README.md": "[back](docs/a.md) [deeper](models/CARD.md)",
        "models/CARD.md": "[data](data.csv)",
        "models/data.csv": "1",
        "results/speed.md": "# How fast\n",
        "never-linked.md": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = outside_files(tmp_path)
    listing = found.pop("results/all.md")
    assert listing == "# results\n\n- [How fast](speed.md)\n"
    assert found == dict.fromkeys(
        ["README.md", "models/CARD.md", "models/data.csv", "results/speed.md"]
    )


def test_every_link_of_our_documents_has_a_file_in_the_documentation_site() -> None:
    outside = outside_files(REPOSITORY)
    for document in [*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md"]:
        path = document.relative_to(REPOSITORY).as_posix()
        for link in linked_paths(document.read_text(encoding="utf-8"), path):
            place = repository_path(site_path(link))
            assert place in outside or (REPOSITORY / place).is_file(), (path, link)


def test_the_title_of_a_documentation_page_is_the_first_heading() -> None:
    assert title_of("text\n\n# The title \n\n# Another\n") == "The title"
    assert title_of("no heading") == ""

import pytest

from tests.conftest import REPOSITORY
from website.library_reference_pages import library_pages, title_of_module


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("uid_repair", "UID repair"),
        ("slice_audit", "Slice audit"),
        ("nnunet_plans", "nnU-Net plans"),
        ("rtstruct", "RTSTRUCT"),
        ("writers", "Writers"),
    ],
)
def test_the_title_of_a_module_in_the_reference_is_plain_english(name: str, title: str) -> None:
    assert title_of_module(name) == title


def test_every_module_has_a_reference_page_with_its_name() -> None:
    pages = dict(library_pages())
    assert pages["reference/totalmap/dicom/uid_repair.md"] == (
        "# UID repair\n\n`totalmap.dicom.uid_repair`\n\n::: totalmap.dicom.uid_repair\n"
    )
    assert len(pages) == len(
        [path for path in (REPOSITORY / "totalmap").rglob("*.py") if path.stem != "__main__"]
    )


def test_the_reference_page_of_a_package_lists_its_modules_and_what_they_do() -> None:
    pages = dict(library_pages())
    writers = pages["reference/totalmap/writers/README.md"]
    assert "| [SEG](seg/README.md) | Writes DICOM Segmentations and compares" in writers
    assert "| [Status JSON](status_json.md) | Describes a run for status.json" in writers

"""Makes the pages of the library: one for each module, and one for each package with its modules.

Modules are read and not imported, so that the site is built without the library's packages.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LIBRARY = REPOSITORY / "totalmap"
# Where the site holds the pages of the library.
REFERENCE = "reference"
# MkDocs makes the index.html of a folder out of it.
INDEX = "README.md"
# Words that are not written as the names of modules write them.
SPELLINGS = {
    "api": "API",
    "csv": "CSV",
    "dicom": "DICOM",
    "json": "JSON",
    "nifti": "NIfTI",
    "nnunet": "nnU-Net",
    "openvino": "OpenVINO",
    "rtstruct": "RTSTRUCT",
    "seg": "SEG",
    "sr": "SR",
    "totalmap": "TotalMAP library",
    "totalsegmentator": "TotalSegmentator",
    "uid": "UID",
    "uids": "UIDs",
    "zip": "ZIP",
}


def title_of_module(name: str) -> str:
    """Returns the title of a module or package in plain English: `uid_repair` is `UID repair`."""
    title = " ".join(SPELLINGS.get(word, word) for word in name.split("_"))
    return title if title.startswith("nnU") else title[0].upper() + title[1:]


def library_navigation(package: Path = LIBRARY) -> list[Any]:
    """Returns the navigation of a package: its own page, its packages, its modules."""
    return [
        _page_path(package),
        *({title_of_module(path.name): library_navigation(path)} for path in _packages(package)),
        *({title_of_module(path.stem): _page_path(path)} for path in _modules(package)),
    ]


def library_pages(package: Path = LIBRARY) -> Iterator[tuple[str, str]]:
    """Yields the page of every package and module with its path in the site."""
    yield _page_path(package), _page(package) + _contents(package)
    for module in _modules(package):
        yield _page_path(module), _page(module)
    for inner in _packages(package):
        yield from library_pages(inner)


def _modules(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]


def _packages(folder: Path) -> list[Path]:
    return [path.parent for path in sorted(folder.glob("*/__init__.py"))]


def _page_path(path: Path) -> str:
    """Returns the page of a module, or of a package's folder."""
    place = path.relative_to(REPOSITORY).with_suffix("").as_posix()
    return f"{REFERENCE}/{place}/{INDEX}" if path.is_dir() else f"{REFERENCE}/{place}.md"


def _page(path: Path) -> str:
    name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    return f"# {title_of_module(path.stem)}\n\n`{name}`\n\n::: {name}\n"


def _contents(package: Path) -> str:
    """Returns a table of the packages and modules of a package, with what each does."""
    rows = [
        f"| [{title_of_module(path.stem)}]({path.name}/{INDEX}) | {_first_sentence(path)} |"
        for path in _packages(package)
    ]
    rows += [
        f"| [{title_of_module(path.stem)}]({path.stem}.md) | {_first_sentence(path)} |"
        for path in _modules(package)
    ]
    return "\n".join(["", "| module | what it does |", "| --- | --- |", *rows, ""])


def _first_sentence(path: Path) -> str:
    """Returns the first paragraph of a module's docstring."""
    file = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).replace("|", "\\|")

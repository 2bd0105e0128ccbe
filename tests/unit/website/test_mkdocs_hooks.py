import ast

from mkdocs.config.defaults import MkDocsConfig

from tests.conftest import REPOSITORY
from website.mkdocs_hooks import navigation, on_config

INDEX = """# Documentation

## First steps

| page | what you learn |
| --- | --- |
| [Install](install.md) | systems |
| [Tutorial](tutorial.md) | 15 minutes |

## For developers

| page | what you learn |
| --- | --- |
| [Contributing](../CONTRIBUTING.md) | house style |
"""


def test_the_navigation_of_the_documentation_site_has_the_sections_and_links_of_the_index() -> None:
    assert navigation(INDEX) == [
        {"Documentation": "README.md"},
        {"First steps": [{"Install": "install.md"}, {"Tutorial": "tutorial.md"}]},
        {"For developers": [{"Contributing": "repository/CONTRIBUTING.md"}]},
    ]


def leaves(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    entries = entry.values() if isinstance(entry, dict) else entry
    assert not isinstance(entries, str)
    return [leaf for each in entries for leaf in leaves(each)]  # type: ignore[attr-defined]


def test_the_navigation_of_the_site_reaches_every_page_and_every_public_module() -> None:
    config = on_config(MkDocsConfig())
    assert config.nav is not None
    reached = set(leaves(config.nav))
    assert {page.name for page in (REPOSITORY / "docs").glob("*.md")} <= reached
    for module in (REPOSITORY / "totalmap").rglob("*.py"):
        if not module.name.startswith("_"):
            place = module.relative_to(REPOSITORY).with_suffix(".md")
            assert f"reference/{place.as_posix()}" in reached


def test_every_module_of_the_library_says_what_it_does() -> None:
    for module in (REPOSITORY / "totalmap").rglob("*.py"):
        assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))), module

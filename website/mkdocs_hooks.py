"""Prepares the site for MkDocs: navigation, files from outside docs/, and pages of the library.

MkDocs calls the functions `on_...` (mkdocs.yml).
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website.find_external_resources import external_resources
from website.library_reference_pages import REFERENCE, REPOSITORY, library_navigation, library_pages
from website.rewrite_links import outside_files, repository_path, rewrite_links, site_path

REFERENCE_TITLE = "The library"
ASSETS = ("iframe-worker.js", "site.css")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Makes the navigation out of the tables of docs/README.md."""
    index = (REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8")
    config.nav = [*navigation(index), {REFERENCE_TITLE: library_navigation()}]
    return config


def navigation(index: str) -> list[dict[str, Any]]:
    """Returns the navigation that MkDocs takes, a section for each heading of the index.

    Args:
        index: The text of docs/README.md, whose tables have a link in their first column.
    """
    sections: list[dict[str, Any]] = [{"Documentation": "README.md"}]
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        rows = re.findall(r"^\| \[(.+?)\]\((.+?)\)", text, re.MULTILINE)
        pages = [{name: _navigation_path(link)} for name, link in rows]
        sections.append({title.strip(): pages})
    return sections


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds files from outside docs/ that documents link to, the library, and assets."""
    for path, content in outside_files(REPOSITORY).items():
        if content:
            file = File.generated(config, site_path(path), content=content)
        else:
            file = File.generated(config, site_path(path), abs_src_path=str(REPOSITORY / path))
        files.append(file)
    for name in ASSETS:
        asset = str(Path(__file__).with_name(name))
        files.append(File.generated(config, f"assets/{name}", abs_src_path=asset))
    for path, content in library_pages():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrites the links of a document."""
    path = page.file.src_uri
    if path.startswith(f"{REFERENCE}/"):
        return markdown
    return rewrite_links(markdown, repository_path(path))


def on_post_build(config: MkDocsConfig) -> None:
    """Checks that no page loads anything from another server.

    Raises:
        PluginError: One does; the message names the pages and the addresses.
    """
    found = external_resources(Path(config.site_dir))
    if found:
        raise PluginError("These pages load something from another server:\n" + "\n".join(found))


def _navigation_path(link: str) -> str:
    markdown = rewrite_links(f"[]({link})", "docs/README.md")
    return markdown.removeprefix("[](").removesuffix(")")

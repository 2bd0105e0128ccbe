"""Rewrites the links of the documents, so that the site reaches files outside docs/ as well.

On a plain file browser a document links to other files by their place in the repository. The site
holds docs/ at its top and every other file that a document links to below `repository/`.
"""

import posixpath
import re
from pathlib import Path

# Where the site holds files from outside docs/.
OUTSIDE = "repository"
DOCUMENTS = "docs"
# The page that lists a folder. The navigation shows it, other than the index.html of a folder.
LISTING = "all.md"

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def site_path(path: str) -> str:
    """Returns where the site holds a file.

    Args:
        path: The file, relative to the repository. A folder ends with a slash.
    """
    if path.endswith("/"):
        path += LISTING
    if path.startswith(f"{DOCUMENTS}/"):
        return path.removeprefix(f"{DOCUMENTS}/")
    return f"{OUTSIDE}/{path}"


def repository_path(path: str) -> str:
    """Returns the file that the site holds at a path, relative to the repository."""
    if path.startswith(f"{OUTSIDE}/"):
        return path.removeprefix(f"{OUTSIDE}/")
    return f"{DOCUMENTS}/{path}"


def linked_paths(markdown: str, document: str) -> list[str]:
    """Returns what a document links to, relative to the repository; a folder ends with a slash.

    Args:
        markdown: The text of the document.
        document: Its path, relative to the repository.
    """
    return [_target(link, document) for link in _LINK.findall(markdown)]


def rewrite_links(markdown: str, document: str) -> str:
    """Returns a document with its links as the site needs them.

    Args:
        markdown: The text of the document.
        document: Its path, relative to the repository.
    """
    start = posixpath.dirname(site_path(document)) or "."

    def rewritten(link: re.Match[str]) -> str:
        return posixpath.relpath(site_path(_target(link[1], document)), start)

    return _LINK.sub(rewritten, markdown)


def outside_files(repository: Path) -> dict[str, str | None]:
    """Returns the files outside docs/ that the documents link to, directly or through each other.

    Returns:
        The content of a page that lists a folder, or None for a file that exists, by the path
        relative to the repository.
    """
    found: dict[str, str | None] = {}
    waiting = [f"{DOCUMENTS}/{page.name}" for page in (repository / DOCUMENTS).glob("*.md")]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        place = repository / path
        content = _listing(place, path) if place.is_dir() else None
        if not path.startswith(f"{DOCUMENTS}/"):
            found[path + LISTING if content else path] = content
        if content or path.endswith(".md"):
            text = content or place.read_text(encoding="utf-8")
            links = {link for link in linked_paths(text, path) if (repository / link).exists()}
            waiting += links - seen
            seen |= links
    return found


def title_of(markdown: str) -> str:
    """Returns the first heading of a document, or an empty text."""
    heading = re.search(r"^# +(.+)$", markdown, re.MULTILINE)
    return heading[1].strip() if heading else ""


def _target(link: str, document: str) -> str:
    folder = "/" if link.endswith("/") else ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(document), link)) + folder


def _listing(folder: Path, path: str) -> str:
    """Returns a page that links to the documents of a folder."""
    pages = sorted(folder.glob("*.md"))
    lines = [
        f"- [{title_of(page.read_text(encoding='utf-8')) or page.stem}]({page.name})"
        for page in pages
    ]
    return f"# {path.rstrip('/')}\n\n" + "\n".join(lines) + "\n"

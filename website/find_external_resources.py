"""Finds what a built site would load from another server when a browser shows it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# Attributes whose address a browser loads by itself. A link that a person clicks is none of them.
LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "video": ("src", "poster"),
}
# A browser loads nothing for these kinds of <link>.
NOT_LOADED = {"alternate", "author", "canonical", "license", "next", "prev"}
# The theme loads Mermaid from a CDN for a page with a diagram of it.
MERMAID = "mermaid"

_EXTERNAL = re.compile(r"(?:[a-z][a-z+.-]*:)?//", re.IGNORECASE)
_CSS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])([^'\")]+)")


def external_resources(site: Path) -> list[str]:
    """Returns each address of another server that a page or style sheet loads.

    Args:
        site: The folder of the built site.

    Returns:
        Lines `page: address`, sorted.
    """
    found = set()
    for page in site.rglob("*.html"):
        parser = _Resources()
        parser.feed(page.read_text(encoding="utf-8"))
        found |= {(page, address) for address in parser.addresses}
    for sheet in site.rglob("*.css"):
        addresses = _CSS.findall(sheet.read_text(encoding="utf-8"))
        found |= {(sheet, address) for address in addresses}
    return sorted(
        f"{page.relative_to(site)}: {address}"
        for page, address in found
        if _EXTERNAL.match(address) or address == MERMAID
    )


class _Resources(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: set[str] = set()
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.addresses |= set(_CSS.findall(values.get("style", "")))
        if MERMAID in values.get("class", "").split():
            self.addresses.add(MERMAID)
        if tag == "link" and set(values.get("rel", "").split()) <= NOT_LOADED:
            return
        for name in LOADED.get(tag, ()):
            self.addresses |= set(_addresses(values.get(name, ""), listed=name == "srcset"))

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.addresses |= set(_CSS.findall(data))

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"


def _addresses(value: str, *, listed: bool) -> Iterator[str]:
    """Yields the addresses of an attribute; a srcset lists several, each with its size."""
    entries = value.split(",") if listed else [value]
    for entry in entries:
        if entry.strip():
            yield entry.split()[0]

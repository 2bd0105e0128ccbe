"""Collects the words that a user sees, hears or hovers over on a page."""

from html.parser import HTMLParser

# Elements that have no end tag.
_VOID = {"br", "hr", "img", "input", "link", "meta"}
# Attributes that a browser or a screen reader tells a user; data-* are texts of the page's script.
_TOLD = ("alt", "aria-label", "placeholder", "title", "data-lost", "data-not-done", "data-failing")
_BUTTONS = {"button", "reset", "submit"}


class PageWords(HTMLParser):
    """The texts of a page, without those marked as English (`lang="en"`) and without commands.

    Attributes:
        words: The texts of elements and attributes, in their order.
        language: The language of the page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.language = ""
        self._open: list[tuple[str, bool]] = []
        self.feed(html)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "html":
            self.language = values.get("lang") or ""
        told = [values.get(name) or "" for name in _TOLD]
        if tag == "input" and values.get("type") in _BUTTONS:
            told.append(values.get("value") or "")
        if not self._is_skipped:
            self.words += filter(None, told)
        if tag not in _VOID:
            is_english = tag != "html" and values.get("lang") == "en"
            self._open.append((tag, is_english or tag in ("code", "script")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if not self._is_skipped and data.strip():
            self.words.append(" ".join(data.split()))

    @property
    def _is_skipped(self) -> bool:
        return any(is_skipped for _, is_skipped in self._open)

from pathlib import Path

import pytest

from website.find_external_resources import external_resources

LOADING = [
    '<script src="https://cdn.example.org/a.js"></script>',
    '<script src="//cdn.example.org/a.js"></script>',
    '<link rel="stylesheet" href="https://fonts.example.org/css">',
    '<link rel="preconnect" href="https://fonts.example.org">',
    '<img src="http://example.org/badge.svg">',
    '<img srcset="a.png 1x, https://example.org/b.png 2x">',
    '<iframe src="https://example.org/"></iframe>',
    "<style>@import 'https://example.org/a.css';</style>",
    '<p style="background: url(https://example.org/a.png)">',
    '<pre class="mermaid"><code>graph LR</code></pre>',
]
LOCAL = [
    '<a href="https://example.org/">a link that a person clicks</a>',
    '<link rel="canonical" href="https://example.org/page.html">',
    '<script src="assets/a.js"></script>',
    '<img src="../pictures/preview.png">',
    '<img src="data:image/png;base64,AAAA">',
    "<style>:root{background: url('assets/a.png')}</style>",
    "<p>url(https://example.org/) in a text</p>",
]


@pytest.mark.parametrize("html", LOADING)
def test_a_documentation_page_that_loads_from_another_server_is_found(
    html: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "page.html").write_text(f"<html><body>{html}</body></html>")
    (line,) = external_resources(tmp_path)
    assert line.startswith("folder/page.html: ")


@pytest.mark.parametrize("html", LOCAL)
def test_a_documentation_page_that_loads_its_own_files_is_good(html: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f"<html><body>{html}</body></html>")
    assert external_resources(tmp_path) == []


def test_a_style_sheet_of_the_documentation_that_loads_from_another_server_is_found(
    tmp_path: Path,
) -> None:
    sheet = "@font-face{src:url(fonts/a.woff2)} body{background:url('https://example.org/a.png')}"
    (tmp_path / "a.css").write_text(sheet)
    assert external_resources(tmp_path) == ["a.css: https://example.org/a.png"]

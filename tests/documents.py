"""Reads the commands of our documents, which tests run."""

import re
from collections.abc import Iterator
from pathlib import Path

_HEREDOC = re.compile(r"<<'?(\w+)'?$")


def commands(document: Path) -> list[str]:
    """Returns the commands of a document's ```sh blocks.

    A command is one line; a here-document keeps its lines.
    """
    return [command for block in blocks(document) for command in _commands_of(block)]


def blocks(document: Path) -> list[str]:
    """Returns the ```sh blocks of a document, without the line breaks after a backslash."""
    text = document.read_text(encoding="utf-8")
    found = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [re.sub(r"[ ]*\\\n\s*", " ", block) for block in found]


def _commands_of(text: str) -> Iterator[str]:
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        here = _HEREDOC.search(line)
        if here is None:
            yield line.strip()
            continue
        body = [line]
        while body[-1] != here[1]:
            body.append(next(lines))
        yield "\n".join(body)

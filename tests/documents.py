"""The commands in our documents, which are run by tests."""

import re
from pathlib import Path


def commands(document: Path) -> list[str]:
    """Returns the commands of a document's ```sh blocks, each in one line."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = re.sub(r"\s*\\\n\s*", " ", "".join(blocks)).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

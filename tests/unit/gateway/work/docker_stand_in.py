"""A stand-in for the command `docker`, whose behaviour a test chooses."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCRIPT = """#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$*" >> "$here/calls"
[ "$1" = run ] || exit 0
for word; do
    case "$word" in
        *:/var/holoscan/input:ro) input=${word%:/var/holoscan/input:ro} ;;
        *:/var/holoscan/output) output=${word%:/var/holoscan/output} ;;
        *:/var/holoscan/app.yaml:ro) settings=${word%:/var/holoscan/app.yaml:ro} ;;
    esac
done
ls "$input" > "$here/input"
ls "$output" > "$here/output"
cp "$settings" "$here/settings.yaml"
cat "$here/stderr" >&2
while [ -e "$here/hold" ]; do sleep 0.05; done
[ -e "$here/status.json" ] && cp "$here/status.json" "$output"
exit "$(cat "$here/exit")"
"""


class DockerStandIn:
    """`docker` that starts nothing.

    Attributes:
        command: Its path.
        hold: While this file is there, no container ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.command = folder / "docker"
        self.command.write_text(SCRIPT)
        self.command.chmod(0o755)
        self.hold = folder / "hold"
        self.ends(0)

    def ends(self, status: int, said: bytes = b"") -> None:
        """Has each container end like this, with no status.json."""
        (self._folder / "exit").write_text(str(status))
        (self._folder / "stderr").write_bytes(said)
        (self._folder / "status.json").unlink(missing_ok=True)

    def leaves(self, status: object) -> None:
        """Has each container leave a status.json."""
        (self._folder / "status.json").write_text(json.dumps(status))

    def succeeds(
        self,
        *results: dict[str, Any],
        verdict: str = "ok",
        findings: Iterable[tuple[str, str]] = (),
        held: str | None = None,
    ) -> None:
        """Has each container succeed, with findings of a severity and a sentence."""
        self.ends(0)
        told = [{"severity": severity, "sentence": sentence} for severity, sentence in findings]
        quality = {"verdict": verdict, "findings": told, "held": held}
        self.leaves({"error": None, "results": results, "quality": quality})

    def fails(self, exit_status: int, message: str) -> None:
        """Has each container fail, and say why."""
        self.ends(exit_status)
        error = {"kind": "Error", "message": message, "exit_status": exit_status}
        self.leaves({"error": error, "results": []})

    def calls(self) -> list[list[str]]:
        """Returns the arguments of each call."""
        return [shlex.split(line) for line in self.text("calls").splitlines()]

    def text(self, name: str) -> str:
        """Returns what it wrote down: calls, or the input, output or settings.yaml of the last."""
        path = self._folder / name
        return path.read_text() if path.exists() else ""

"""Every command of docs/tutorial.md is run in turn, up to the masks in the viewer."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.documents import blocks
from tests.ohif.viewer import ResultToOpen, open_in, require_viewer
from tests.phantom.study import FIELD_OF_VIEW_MM, SeriesSpec, write_series
from tests.servers import DICOMWEB, LOOPBACK, free_port, require_program
from tests.waiting import wait_until

DOCUMENT = REPOSITORY / "docs" / "tutorial.md"
PORTS = ("14242", "18042", "11112", "18080", "18050")
ORTHANC, GATEWAY, VIEWER = PORTS[1], PORTS[3], PORTS[4]
RESULTS = {"SEG", "SR", "RTSTRUCT", "OT"}
COMMAND_SECONDS = 120
PIXELS = 128
TRUNK = SeriesSpec(
    rows=PIXELS,
    columns=PIXELS,
    n_slices=80,
    pixel_spacing_mm=(FIELD_OF_VIEW_MM / PIXELS, FIELD_OF_VIEW_MM / PIXELS),
)

# Blocks that other tests run, or that need root.
RUN_ELSEWHERE = {
    "sudo apt-get install": ".ci/run installs the packages",
    "make demo-gateway": "tests/integration/test_readme.py",
    ".venv/bin/totalmap models install": "tests/unit/engine/test_weights_download.py",
}
# Blocks that run until Ctrl-C, and the port of each that answers HTTP when it is up.
SERVERS = {
    "/usr/sbin/Orthanc ": ORTHANC,
    ".venv/bin/totalmap serve": GATEWAY,
    ".venv/bin/python -m tests.ohif.serve": VIEWER,
}


class Reader:
    """Follows the tutorial on free ports and in a folder of the test."""

    def __init__(self, folder: Path, study: Path, log: BinaryIO) -> None:
        self.ports = {port: free_port() for port in PORTS}
        self.servers: list[subprocess.Popen[bytes]] = []
        self._log = log
        self._replacements = {
            "build/tutorial": str(folder / "tutorial"),
            "build/phantom": str(study),
            ".venv/bin": str(Path(sys.executable).parent),
            "storescu ": f"{require_program('storescu', 'dcmtk')} ",
            "/usr/sbin/Orthanc ": f"{require_program('Orthanc', 'orthanc')} ",
            **{port: str(free) for port, free in self.ports.items()},
        }

    def url(self, port: str) -> str:
        """Returns the address that stands for a port of the tutorial."""
        return f"http://{LOOPBACK}:{self.ports[port]}"

    def ask(self, path: str) -> Any:
        """Returns the answer of Orthanc."""
        return httpx.get(self.url(ORTHANC) + path).raise_for_status().json()

    def run(self, block: str) -> str:
        """Runs a block that ends; returns what it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._own(block)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}{done.stdout}{done.stderr}{self._said()}"
        return done.stdout

    def start(self, block: str, port: str) -> None:
        """Starts a block that runs until Ctrl-C, and waits until it answers."""
        command = ["bash", "-c", f"exec {self._own(block)}"]
        server = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=self._log, stderr=subprocess.STDOUT
        )
        self.servers.append(server)

        def answers() -> bool:
            assert server.poll() is None, self._said()
            try:
                httpx.get(self.url(port))
            except httpx.TransportError:
                return False
            return True

        wait_until(answers, f"up: {block}")

    def stop(self) -> list[int]:
        """Presses Ctrl-C in every terminal, the last first; returns the exit statuses."""
        statuses = []
        for server in reversed(self.servers):
            if server.poll() is None:
                server.send_signal(signal.SIGINT)
            statuses.append(server.wait(COMMAND_SECONDS))
        self.servers.clear()
        return statuses

    def _own(self, block: str) -> str:
        pattern = "|".join(map(re.escape, self._replacements))
        return re.sub(pattern, lambda found: self._replacements[found[0]], block).strip()

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:].decode(errors="replace")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    require_viewer()
    if not DICOMWEB.exists():
        pytest.skip("Orthanc's DICOMweb is not installed (Debian: orthanc-dicomweb)")
    study = write_series(tmp_path / "phantom", 0, TRUNK)
    with (tmp_path / "servers.log").open("w+b") as log:
        reader = Reader(tmp_path, study.folder, log)
        try:
            yield reader
        finally:
            for server in reader.servers:
                server.kill()
                server.wait()


def test_the_tutorial_leads_to_masks_in_the_viewer(reader: Reader, tmp_path: Path) -> None:
    for block in blocks(DOCUMENT):
        if starting(block, RUN_ELSEWHERE):
            continue
        if port := starting(block, SERVERS):
            reader.start(block, port)
        elif block.startswith("rm "):
            shown_segments_are_those_of_the_results(reader)
            assert reader.stop() == [0, 0, 0]
            reader.run(block)
        else:
            if "Modality=SEG" in block:
                wait_until(lambda: {"SEG", "OT"} <= modalities(reader), "results in the PACS")
            reader.run(block)
    assert not (tmp_path / "tutorial").exists()


def shown_segments_are_those_of_the_results(reader: Reader) -> None:
    wait_until(lambda: modalities(reader) >= RESULTS, "all results in the PACS")
    (series,) = reader.ask("/dicom-web/series?Modality=SEG")
    study, seg = (series[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    result = ResultToOpen(series=seg, marker="Liver")
    shown = open_in(reader.url(VIEWER), study, {"SEG": result})
    assert shown.errors == ()
    assert {"Liver", "Spleen", "Left kidney"} <= shown.segments["SEG"].keys()
    assert all(
        segment.voxels > 0
        for name, segment in shown.segments["SEG"].items()
        if name != "Background"
    )


def modalities(reader: Reader) -> set[str]:
    """Returns the modalities of all series in Orthanc."""
    series = reader.ask("/series?expand")
    return {tags["MainDicomTags"]["Modality"] for tags in series}


def starting(block: str, known: Mapping[str, str]) -> str | None:
    """Returns the value of the beginning that a block has."""
    return next((value for start, value in known.items() if block.startswith(start)), None)

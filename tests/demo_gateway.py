"""`make demo-gateway`: a study goes from Orthanc to the gateway, and its results come back.

Orthanc from Debian is the PACS. Everything runs on free ports of this machine and ends with the
command; on a terminal it stays up to be looked at until Ctrl-C.
"""

import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config import GatewaySettings
from gateway.web.passwords import random_password
from tests.accounts import add_account_to
from tests.conftest import DEMO_MODELS
from tests.servers import LOOPBACK, Orthanc, running_orthanc
from tests.service import Service, running_service

FOLDER = Path("build/demo-gateway")
TITLE = "TOTALMAP"
USER = "demo"
WAIT_SECONDS = 300
LOOK_SECONDS = 0.5
USUAL_RESULTS = {"SEG", "SR", "RTSTRUCT", "OT"}


def demo(study: Path) -> None:
    """Runs the demo on the files below a folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    password = random_password()
    with running_orthanc(FOLDER) as orthanc, _gateway(orthanc, password) as service:
        begun = time.monotonic()
        print(f"Orthanc is the PACS: {orthanc.url}")
        print(f"The gateway is up; its settings: {service.file}")
        _ask(
            orthanc, "PUT", "/modalities/gateway", [TITLE, LOOPBACK, service.settings.receive.port]
        )
        files = sorted(path for path in study.rglob("*") if path.suffix == ".dcm")
        for path in files:
            _post(orthanc, path)
        (own_id,) = _ask(orthanc, "GET", "/studies")
        print(f"Orthanc sends a study of {len(files)} files to the gateway ...")
        _ask(orthanc, "POST", "/modalities/gateway/store", own_id)
        series = _wait_for_results(orthanc, own_id)
        print(f"The results are in Orthanc, {time.monotonic() - begun:.0f} s later:")
        for found_series in series:
            tags = found_series["MainDicomTags"]
            print(f"  {tags['Modality']:9} {tags.get('SeriesDescription', '')}")
        print(f"The study in Orthanc: {orthanc.url}/app/explorer.html#study?uuid={own_id}")
        web = service.settings.web
        print(f"The gateway's page: http://{web.address}:{web.port}")
        print(f"An account for it, made for this demo: name {USER}, password {password}")
        if sys.stdin.isatty():
            input("Enter ends it. ")


@contextmanager
def _gateway(orthanc: Orthanc, password: str) -> Iterator[Service]:
    pacs = {"ae_title": "ORTHANC", "address": LOOPBACK, "port": orthanc.dicom_port}
    add_account_to(GatewaySettings(storage_folder=FOLDER / "storage"), USER, password)
    with running_service(
        FOLDER,
        receive={"ae_title": TITLE},
        complete={"quiet_seconds": 2.0},
        rules=[{"name": "ct", "destinations": ["sender"]}],
        destinations=[{"name": "pacs", "dicom": pacs}],
        work={"models_folder": str(DEMO_MODELS)},
    ) as service:
        yield service


def _wait_for_results(orthanc: Orthanc, own_id: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found: list[dict[str, Any]] = _ask(orthanc, "GET", f"/studies/{own_id}/series")
        made = [item for item in found if item["MainDicomTags"]["Modality"] in USUAL_RESULTS]
        if {item["MainDicomTags"]["Modality"] for item in made} == USUAL_RESULTS:
            return made
        time.sleep(LOOK_SECONDS)
    sys.exit(f"no results after {WAIT_SECONDS} s; see {FOLDER}")


def _post(orthanc: Orthanc, path: Path) -> None:
    _request(orthanc, "POST", "/instances", path.read_bytes())


def _ask(orthanc: Orthanc, method: str, path: str, document: object = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    answer = _request(orthanc, method, path, body)
    return json.loads(answer) if answer.strip() else None


def _request(orthanc: Orthanc, method: str, path: str, body: bytes | None) -> bytes:
    request = urllib.request.Request(orthanc.url + path, data=body, method=method)  # noqa: S310  http
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:  # noqa: S310  http
        content: bytes = response.read()
        return content


if __name__ == "__main__":
    try:
        demo(Path(sys.argv[1]))
    except pytest.skip.Exception as missing:
        sys.exit(f"make demo-gateway needs it: {missing}")

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.web.password import FILE_NAME, set_password
from gateway.web.server import running_web
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK
from tests.serving import serving_dicom
from tests.unit.gateway.web.browsing import PASSWORD, log_in
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.waiting import WAIT_SECONDS


@pytest.fixture(scope="session")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: a password takes its time."""
    folder = tmp_path_factory.mktemp("password")
    set_password(folder, PASSWORD)
    return folder / FILE_NAME


@pytest.fixture
def web() -> WebSection:
    return WebSection(port=0)


@pytest.fixture
def receiver() -> Iterator[int]:
    """The port of a receiver, which answers C-ECHO and nothing else."""
    entity = AE("TOTALMAP")
    entity.maximum_associations = 1000
    entity.add_supported_context(Verification)
    with serving_dicom(entity) as port:
        yield port


@pytest.fixture
def gateway(
    tmp_path: Path, web: WebSection, password_file: Path, receiver: int
) -> Iterator[Filled]:
    """An empty gateway."""
    settings = GatewaySettings(
        storage_folder=tmp_path / "storage",
        receive=ReceiveSection(port=receiver, keep_free_gb=0.0),
        web=web,
    )
    filled = open_filled(settings)
    shutil.copy(password_file, settings.storage_folder)
    with filled.database:
        yield filled


@pytest.fixture
def stranger(gateway: Filled) -> Iterator[httpx.Client]:
    """Somebody who has not logged in."""
    with (
        running_web(gateway.settings) as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client,
    ):
        yield client


@pytest.fixture
def user(stranger: httpx.Client) -> httpx.Client:
    """Somebody who has."""
    assert log_in(stranger).status_code == 303
    return stranger


@pytest.fixture
def instance(phantom_series: WrittenSeries) -> Path:
    """A file to make studies of."""
    return phantom_series.paths[0]

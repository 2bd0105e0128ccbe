from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.web.server import running_web
from tests.accounts import add_account
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK
from tests.serving import serving_dicom
from tests.unit.gateway.web.browsing import log_in
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.waiting import WAIT_SECONDS


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
def gateway(tmp_path: Path, web: WebSection, receiver: int) -> Iterator[Filled]:
    """An empty gateway with the account of an administrator."""
    settings = GatewaySettings(
        storage_folder=tmp_path / "storage",
        receive=ReceiveSection(port=receiver, keep_free_gb=0.0),
        web=web,
    )
    filled = open_filled(settings)
    with filled.database:
        add_account(filled.database)
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

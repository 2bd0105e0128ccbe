import pytest

from gateway.config import DestinationSection
from gateway.deliver.destination_probe import probe
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.peers import running_dicom_peer, running_http_peer
from totalmap.errors import ResourceError


def test_a_dicom_destination_is_tested_by_c_echo() -> None:
    with running_dicom_peer() as peer:
        assert probe(DestinationSection(name="pacs", dicom=peer.destination())) == "answers C-ECHO"


def test_a_dicom_destination_that_is_off_is_named_with_the_reason() -> None:
    dicom = {"ae_title": "PACS", "address": LOOPBACK, "port": free_port()}
    with pytest.raises(ResourceError, match=r"PACS at 127\.0\.0\.1:\d+ can't be reached"):
        probe(DestinationSection.model_validate({"name": "pacs", "dicom": dicom}), 1.0)


@pytest.mark.parametrize(
    ("search", "capabilities", "said"),
    [
        (200, 500, "answers a search for studies"),
        (204, 500, "answers a search for studies"),
        (404, 200, "answers a request for its capabilities"),
        (501, 204, "answers a request for its capabilities"),
        (405, 405, "answers, and offers no search"),
    ],
)
def test_a_stow_destination_that_offers_no_search_is_tested_by_its_capabilities(
    search: int, capabilities: int, said: str
) -> None:
    statuses = {"GET": search, "OPTIONS": capabilities}
    with running_http_peer(lambda request: (statuses[request.command], "text/plain", b"")) as peer:
        assert probe(DestinationSection(name="web", stow=peer.destination())) == said


@pytest.mark.parametrize(("search", "capabilities"), [(401, 200), (404, 404), (503, 200)])
def test_a_stow_destination_that_refuses_or_has_no_such_path_counts_as_away(
    search: int, capabilities: int
) -> None:
    statuses = {"GET": search, "OPTIONS": capabilities}
    with running_http_peer(lambda request: (statuses[request.command], "text/plain", b"")) as peer:
        destination = DestinationSection(name="web", stow=peer.destination())
        with pytest.raises(ResourceError, match=f"answers with HTTP {search}$"):
            probe(destination)

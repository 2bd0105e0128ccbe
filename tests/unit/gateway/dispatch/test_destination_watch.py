from pathlib import Path

from gateway.config import GatewaySettings
from gateway.dispatch.destination_watch import watching_destinations
from gateway.store.database import Database
from gateway.store.destination_states import DestinationState, DestinationStates
from tests.archive import running_archive
from tests.servers import LOOPBACK, free_port
from tests.waiting import wait_until


def test_the_destination_watch_finds_a_switched_off_archive_away_while_others_answer(
    database: Database, tmp_path: Path
) -> None:
    states = DestinationStates(database)
    states.save("removed", None, 1.0)

    def state(name: str) -> DestinationState | None:
        return states.all().get(name)

    def is_away(name: str) -> bool:
        found = state(name)
        return found is not None and found.is_away

    nobody = {"ae_title": "GONE", "address": LOOPBACK, "port": free_port()}
    with running_archive() as archive:
        settings = GatewaySettings.model_validate(
            {
                "storage_folder": tmp_path,
                "deliver": {"test_seconds": 0.1},
                "destinations": [
                    {"name": "pacs", "dicom": archive.destination},
                    {"name": "gone", "dicom": nobody},
                ],
            }
        )
        with watching_destinations(settings, database):
            wait_until(lambda: state("pacs") is not None and is_away("gone"), "both are tested")
            assert not is_away("pacs")
        assert state("removed") is None
    with watching_destinations(settings, database):
        wait_until(lambda: is_away("pacs"), "the archive is away")
    pacs = state("pacs")
    assert pacs is not None
    assert "can't be reached" in str(pacs.fault)
    assert pacs.answered_at is not None
    assert pacs.answered_at < pacs.since

"""Tests all receivers of the gateway at once, with one storage folder."""

import shutil
from pathlib import Path
from threading import active_count

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydantic import HttpUrl

from gateway.config import (
    GatewaySettings,
    OrthancSection,
    ReceiveSection,
    StowReceiveSection,
    WatchedFolderSection,
)
from gateway.receive.receive_process import receiving
from gateway.store.database import open_database
from gateway.store.ledger import Ledger
from tests.gateway_process import storescu
from tests.phantom.study import SeriesSpec, write_series
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.receive.polled_orthanc import Archive
from tests.waiting import NEVER_SECONDS, wait_until


def test_instances_from_all_receivers_of_the_gateway_are_in_one_ledger(tmp_path: Path) -> None:
    spec = SeriesSpec(rows=32, columns=32, n_slices=2)
    one, two, three, four = [write_series(tmp_path / str(n), n, spec) for n in range(4)]
    watched, archive, before = tmp_path / "watched", Archive(tmp_path / "archive"), active_count()
    watched.mkdir()
    with archive.running():
        archive.store(*four.paths)
        settings = GatewaySettings(
            storage_folder=tmp_path / "storage",
            receive=ReceiveSection(
                port=0,
                keep_free_gb=0.0,
                request_seconds=NEVER_SECONDS,
                idle_seconds=NEVER_SECONDS,
                stow=StowReceiveSection(port=free_port()),
                folders=(WatchedFolderSection(folder=watched, quiet_seconds=0.2),),
                orthancs=(OrthancSection(url=HttpUrl(archive.url), poll_seconds=0.5),),
            ),
        )
        with receiving(settings) as port:
            sender = storescu(port, [one.folder])
            said, _ = sender.communicate()
            assert sender.returncode == 0, said
            assert settings.receive.stow
            url = f"http://{LOOPBACK}:{settings.receive.stow.port}/dicom-web"
            DICOMwebClient(url).store_instances([pydicom.dcmread(path) for path in two.paths])
            shutil.copytree(three.folder, watched / "study")
            wait_until(lambda: len(senders(settings)) == 8, "all in the ledger")
    assert senders(settings) == {
        **dict.fromkeys(one.sop_uids, "STORESCU"),
        **dict.fromkeys(two.sop_uids, "STOW-RS"),
        **dict.fromkeys(three.sop_uids, "FOLDER"),
        **dict.fromkeys(four.sop_uids, "ORTHANC"),
    }
    assert active_count() == before


def senders(settings: GatewaySettings) -> dict[str, str]:
    with open_database(settings) as database:
        return {
            instance.sop_instance_uid: instance.sender for instance in Ledger(database).instances()
        }

"""Tests queries for the number of instances by C-FIND and QIDO-RS, to Orthanc."""

from collections.abc import Iterator
from contextlib import closing

import pydicom
import pytest

from gateway.config import DestinationSection, DicomDestination, StowDestination
from gateway.dispatch.source_query import ExpectedCounts, expected_instances
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, Orthanc, free_port, running_orthanc
from tests.waiting import WAIT_SECONDS, wait_until

PART = 5


@pytest.fixture(scope="module")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, phantom_series: WrittenSeries
) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    gateway = {"gateway": ("TOTALMAP", free_port())}  # others may not search in it
    with running_orthanc(folder, modalities=gateway) as running:
        running.store(*phantom_series.paths[:PART])
        yield running


@pytest.fixture(scope="module")
def study(phantom_series: WrittenSeries) -> str:
    return str(pydicom.dcmread(phantom_series.paths[0]).StudyInstanceUID)


def by_dicom(port: int) -> DestinationSection:
    node = DicomDestination(
        ae_title="ORTHANC", address=LOOPBACK, port=port, connect_seconds=WAIT_SECONDS
    )
    return DestinationSection(name="pacs", dicom=node)


def by_web(orthanc: Orthanc) -> DestinationSection:
    to = {"url": f"{orthanc.url}/dicom-web", "connect_seconds": WAIT_SECONDS}
    return DestinationSection(name="pacs", stow=StowDestination.model_validate(to))


@pytest.mark.parametrize("manner", ["dicom", "web"])
def test_orthanc_tells_the_gateway_how_many_instances_a_study_has(
    orthanc: Orthanc, study: str, manner: str
) -> None:
    source = by_dicom(orthanc.dicom_port) if manner == "dicom" else by_web(orthanc)
    assert expected_instances(source, study) == PART
    assert expected_instances(source, "1.2.3.4") is None


def test_the_gateway_asks_for_the_number_of_instances_at_the_source_in_the_background(
    orthanc: Orthanc, study: str
) -> None:
    with closing(ExpectedCounts(by_dicom(orthanc.dicom_port), 0.1)) as expected_counts:
        assert expected_counts.of(study) is None
        wait_until(lambda: expected_counts.of(study) == PART, "an answer")
        expected_counts.forget_all_but(())
        assert expected_counts.of(study) is None


def test_an_unreachable_source_gives_no_number_of_instances_and_is_logged(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(ExpectedCounts(by_dicom(free_port()), 0.1)) as expected_counts:
        heard: list[str] = []

        def is_heard() -> bool:
            assert expected_counts.of(study) is None
            heard.append(capsys.readouterr().out)
            return "source_not_asked" in "".join(heard)

        wait_until(is_heard, "a failure in the log")


def test_without_a_source_in_the_settings_no_number_of_instances_at_the_source_is_known(
    study: str,
) -> None:
    with closing(ExpectedCounts(None, 0.0)) as expected_counts:
        assert expected_counts.of(study) is None

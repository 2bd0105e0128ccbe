"""Tests that no output of the gateway repeats values that libraries quote in warnings."""

from pathlib import Path

import pydicom
import pytest

from gateway.store.job import JobState
from tests.phantom.study import WrittenSeries, write_series
from tests.service import SMALL, running_service
from tests.waiting import wait_until

TELLING = "Doe-Hidden-4711"


def write_telling_study(folder: Path) -> WrittenSeries:
    """Writes a study in which invalid values hold what nobody may read in a log."""
    series = write_series(folder, 7, SMALL)
    for path in series.paths:
        dataset = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            for keyword in (
                "StudyDate",
                "StudyTime",
                "PatientBirthDate",
                "PatientAge",
                "PatientID",
            ):
                setattr(dataset, keyword, TELLING)
            dataset.PatientName = f"{TELLING}^{TELLING}"
            dataset.AccessionNumber = f"{TELLING}-far-too-long-for-it"
            dataset.save_as(path)
    return series


def test_no_process_of_the_gateway_logs_a_value_that_a_library_quotes(
    quick_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    series = write_telling_study(tmp_path / "study")
    with running_service(tmp_path, work={"models_folder": str(quick_models)}) as service:
        service.send(tmp_path / "study")
        header = pydicom.dcmread(series.paths[0], stop_before_pixels=True)
        job = service.job_of(header.StudyInstanceUID)

        def is_over() -> bool:
            found = service.jobs.job(job.job_id)
            return found is not None and found.state not in (JobState.QUEUED, JobState.RUNNING)

        wait_until(is_over, "done")
        assert service.stop() == 0
    said = "".join(capfd.readouterr())
    assert "job_started" in said, "the output of all processes is looked at"
    assert TELLING not in said

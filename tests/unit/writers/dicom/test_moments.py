import pytest
from pydicom.dataset import Dataset

from totalmap.writers.dicom.moments import Moment, moment_in

# 2026-12-03 22:15:16.9 UTC.
AT = 1_796_336_116.9


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (None, Moment(date="20261203", time="221516", date_time="20261203221516+0000")),
        ("+0000", Moment(date="20261203", time="221516", date_time="20261203221516+0000")),
        ("+0530", Moment(date="20261204", time="034516", date_time="20261204034516+0530")),
        ("-0330 ", Moment(date="20261203", time="184516", date_time="20261203184516-0330")),
    ],
)
def test_a_moment_in_a_dicom_object_is_in_its_time_zone_or_else_in_utc(
    offset: str | None, expected: Moment
) -> None:
    dataset = Dataset()
    dataset.TimezoneOffsetFromUTC = offset
    assert moment_in(dataset, AT) == expected


@pytest.mark.parametrize("offset", ["", "0100", "+1", "+1900", "-1300", "Z", "+0160"])
def test_an_invalid_time_zone_of_a_dicom_object_counts_as_utc(offset: str) -> None:
    dataset = Dataset()
    dataset.TimezoneOffsetFromUTC = offset
    assert moment_in(dataset, AT).date_time == "20261203221516+0000"

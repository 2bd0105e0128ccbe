from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from totalmap.dicom.header import Header
from totalmap.quality.suitability.header_rules import is_child

DATES = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31))


def child(**values: str) -> bool:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return is_child(Header(dataset))


@given(st.integers(1, 999), st.sampled_from("DWMY"))
def test_a_patient_below_16_years_in_any_unit_of_age_is_a_child(number: int, unit: str) -> None:
    years = {"D": number / 365.25, "W": number * 7 / 365.25, "M": number / 12, "Y": number}[unit]
    assert child(PatientAge=f"{number:03}{unit}") == (years < 16)


@given(DATES, st.integers(0, 40_000))
def test_a_patient_without_an_age_is_a_child_before_the_16th_birthday(
    birth: date, days: int
) -> None:
    study = birth + timedelta(days=days)
    try:
        sixteenth = birth.replace(year=birth.year + 16)
    except ValueError:  # the 29th of February in a year without one
        sixteenth = date(birth.year + 16, 3, 1)
    found = child(PatientBirthDate=f"{birth:%Y%m%d}", StudyDate=f"{study:%Y%m%d}")
    assert found == (study < sixteenth)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_invalid_ages_and_birth_dates_in_a_header_raise_no_error(
    age: str, birth: str, study: str
) -> None:
    assert child(PatientAge=f"x{age}", PatientBirthDate=birth, StudyDate=study) in (True, False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, False),
        ({"PatientAge": "15Y"}, True),
        ({"PatientAge": "015y"}, True),
        ({"PatientAge": "016Y"}, False),
        ({"PatientAge": "years"}, False),
        ({"PatientAge": "040Y", "PatientBirthDate": "20190101", "StudyDate": "20200101"}, False),
        ({"PatientBirthDate": "20190101"}, False),
        ({"PatientBirthDate": "20190101", "SeriesDate": "20200101"}, True),
        ({"PatientBirthDate": "2019.01.01", "StudyDate": "2020.01.01"}, True),
        ({"PatientBirthDate": "20210101", "StudyDate": "20200101"}, False),
        ({"PatientBirthDate": "20201345", "StudyDate": "20200101"}, False),
        # De-identifiers write 0 years, or one date for birth and study (CTP).
        ({"PatientAge": "000Y"}, False),
        ({"PatientAge": "000Y", "PatientIdentityRemoved": "YES"}, False),
        ({"PatientAge": "000D", "PatientIdentityRemoved": "YES"}, False),
        ({"PatientAge": "000D"}, True),
        ({"PatientAge": "003D", "PatientIdentityRemoved": "YES"}, True),
        ({"PatientAge": "005Y", "PatientIdentityRemoved": "YES"}, True),
        ({"PatientAge": "000Y", "PatientBirthDate": "20200101", "StudyDate": "20200601"}, True),
        ({"PatientAge": "000Y", "PatientBirthDate": "19500101", "StudyDate": "20200601"}, False),
        (
            {
                "PatientBirthDate": "19000101",
                "StudyDate": "19000101",
                "PatientIdentityRemoved": "YES",
            },
            False,
        ),
        (
            {
                "PatientBirthDate": "19000101",
                "StudyDate": "19000101",
                "DeidentificationMethod": "CTP",
            },
            False,
        ),
        ({"PatientBirthDate": "20200101", "StudyDate": "20200101"}, True),
    ],
)
def test_patient_ages_and_dates_as_archives_store_them_are_understood(
    values: dict[str, str], expected: bool
) -> None:
    assert child(**values) is expected

"""Seeded faults are named with rule, line and remedy."""

import pytest

from deploy.validate.files import check_texts
from tests.unit.deploy.validate.seeded_faults import BASES, FAULTS, Fault, check_fault

MIN_NAMED = 38


@pytest.mark.parametrize("base", BASES)
def test_the_good_files_are_good(base: str) -> None:
    assert check_texts(BASES[base]).findings == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_is_named(fault: Fault) -> None:
    report = check_fault(fault)
    assert fault.is_named_by(report), (fault.place(), [str(one) for one in report.findings])
    assert len(report.findings) <= 3, "one fault, and what follows from it"


def test_enough_of_them_are_named() -> None:
    assert len(FAULTS) == 40
    assert sum(fault.is_named_by(check_fault(fault)) for fault in FAULTS) >= MIN_NAMED

"""Seeded faults are reported with rule, line and remedy."""

import pytest

from deploy.validate.validate_files import validate_texts
from tests.unit.deploy.validate.seeded_faults import BASES, FAULTS, Fault, check_fault

MIN_NAMED = 38


@pytest.mark.parametrize("base", BASES)
def test_deployment_files_without_a_seeded_fault_are_valid(base: str) -> None:
    assert validate_texts(BASES[base]).faults == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_seeded_fault_of_deployment_files_is_reported_with_rule_line_and_remedy(
    fault: Fault,
) -> None:
    report = check_fault(fault)
    assert fault.is_named_by(report), (fault.place(), [str(one) for one in report.faults])
    assert len(report.faults) <= 3, "one fault, and what follows from it"


def test_at_least_38_of_40_seeded_faults_of_deployment_files_are_reported() -> None:
    assert len(FAULTS) == 40
    assert sum(fault.is_named_by(check_fault(fault)) for fault in FAULTS) >= MIN_NAMED

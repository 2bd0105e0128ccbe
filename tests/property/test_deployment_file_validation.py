"""Tests that validation reports faults of any deployment file and never fails itself."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deploy.validate.validate_files import validate_texts
from tests.unit.deploy.validate.seeded_faults import ARGO, DOCKER, STEPS, TEMPLATE
from totalmap.errors import ConfigError

JSON_NAME, YAML_NAME = Path("workflow.json"), Path("template.yaml")
PIECES = ("null", "[]", "{}", '""', "1", "true", "- ", ": ", "&a [*a]", '"', "}", "\t", "\\ud83d")


def check(texts: dict[Path, str]) -> None:
    try:
        report = validate_texts(texts)
    except ConfigError:
        return
    for finding in report.faults:
        lines = texts[finding.place.file].count("\n") + 1
        assert 1 <= finding.place.line <= lines
        assert finding.problem
        assert finding.remedy


@given(
    base=st.sampled_from([DOCKER, ARGO, TEMPLATE, STEPS]),
    start=st.floats(0, 1),
    length=st.integers(0, 300),
    piece=st.sampled_from(PIECES) | st.text(max_size=5),
    name=st.sampled_from([JSON_NAME, YAML_NAME]),
)
def test_validation_of_deployment_files_never_fails_if_a_piece_is_replaced(
    base: str, start: float, length: int, piece: str, name: Path
) -> None:
    at = int(start * len(base))
    check({name: base[:at] + piece + base[at + length :]})


@given(base=st.sampled_from([DOCKER, ARGO, TEMPLATE, STEPS]), lines=st.sets(st.integers(0, 110)))
def test_validation_of_deployment_files_never_fails_if_lines_are_left_out(
    base: str, lines: set[int]
) -> None:
    kept = [line for number, line in enumerate(base.splitlines()) if number not in lines]
    check({YAML_NAME: "\n".join(kept)})


@given(text=st.text())
def test_validation_of_deployment_files_never_fails_for_any_text(text: str) -> None:
    check({YAML_NAME: text})
    check({JSON_NAME: text})

"""Values keep their lines; a file that ruamel.yaml can't read gives a fault with its line."""

from pathlib import Path

import pytest

from deploy.validate.yaml_positions import read_documents

FILE = Path("file.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [", 2),
        ("a: 1\n? {b: [c]}\n: 2\n", 2),
        ("a: 2001-99-99\n", 1),
        ("a: !!bool maybe\n", 1),
        ("&b [*b]\n", 1),
        ("a: \x00\n", 1),
    ],
)
def test_a_deployment_file_that_is_not_yaml_gives_one_syntax_fault(text: str, line: int) -> None:
    content = read_documents(FILE, text)
    (fault,) = content.faults
    assert (fault.rule, fault.place.file, fault.place.line) == ("syntax", FILE, line)
    assert content.documents == ()


def test_values_of_two_yaml_documents_know_their_lines() -> None:
    first, second = read_documents(FILE, "a:\n  b: 1\n---\nc:\n- d\n- e: true\n").documents
    assert (first.get("a", "b").text, first.get("a", "b").place.line) == ("1", 2)
    assert (second.get("c").place.line, second.get("c", 1, "e").place.line) == (4, 6)
    assert second.get("c", 1, "e").text == "true"
    missing = second.get("c", 5, "x")
    assert (bool(missing), missing.place.line) == (False, 4)


def test_the_last_of_two_equal_yaml_keys_counts() -> None:
    content = read_documents(FILE, "a: 1\nb: 2\na: 3\n")
    (fault,) = content.faults
    assert (fault.rule, fault.place.line) == ("doubled-key", 3)
    assert "line 1" in fault.problem
    assert content.documents[0].get("a").text == "3"

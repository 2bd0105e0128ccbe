import pytest

from totalmap.writers.dicom.plain_text import lines_of_text, long_string, one_line, person_name


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Dr. Eva Müller", "Dr. Eva Müller^"),
        ("Mu\u0308ller", "Müller^"),
        ("Müller^Eva=X\\Y", "Müller Eva X Y^"),
        (" Eva \n\tMüller\0 ", "Eva Müller^"),
        ("Eva\x1b$B Müller", "Eva $B Müller^"),
        ("Eva\u202eMüller", "Eva Müller^"),
        ("Eva \ud800Müller", "Eva Müller^"),
        ("山田 太郎", "山田 太郎^"),
        ("\u0645\u06cc\u200c\u0646", "\u0645\u06cc\u200c\u0646^"),
        ("x" * 70, "x" * 63 + "^"),
        ("x" * 62 + " y", "x" * 62 + "^"),
        ("^=\\ \n", ""),
    ],
)
def test_a_typed_name_becomes_one_component_of_a_dicom_person_name(typed: str, name: str) -> None:
    assert person_name(typed) == name


def test_a_dicom_long_string_is_one_line_of_at_most_64_characters_without_backslash() -> None:
    assert long_string(" Klinikum\\Nord\r\n^ Haus = A ") == "Klinikum Nord ^ Haus = A"
    assert long_string("é" * 65) == "é" * 64
    assert one_line("é" * 65) == "é" * 65


def test_lines_of_a_dicom_text_end_with_cr_and_lf_and_keep_backslashes() -> None:
    assert lines_of_text("\n One.\nTwo \\ three.\tFour. \r\n\r\nFive.\0\n") == (
        "One.\r\nTwo \\ three. Four.\r\n\r\nFive."
    )
    assert lines_of_text("a\x1b(Bb\u2028c\u202ed") == "a (Bb\r\nc d"
    assert lines_of_text(" \n ") == ""

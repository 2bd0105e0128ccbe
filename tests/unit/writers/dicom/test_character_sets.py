from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from totalmap.errors import OutputError
from totalmap.writers.dicom.character_sets import UTF_8, use_utf8_if_needed

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"


def read_again(dataset: Dataset) -> Dataset:
    """Returns a data set as it is read from a file."""
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, implicit_vr=False, little_endian=True)
    file.seek(0)
    syntax = pydicom.dataset.FileMetaDataset()
    syntax.TransferSyntaxUID = ExplicitVRLittleEndian
    read = pydicom.dcmread(file, force=True)
    read.file_meta = syntax
    return read


def of_patient(character_set: str | list[str] | None, name: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = character_set
    dataset.PatientName = name
    dataset.PatientComments = name.partition("=")[0]
    return read_again(dataset)


@pytest.mark.parametrize(
    ("character_set", "text"),
    [
        (None, "Eva Miller"),
        ("ISO_IR 6", "Eva Miller"),
        ("ISO_IR 100", "Eva Müller"),
        ("ISO_IR 101", "Łukasz"),
        ("ISO_IR 144", "Ева Мюллер"),
        ("ISO_IR 166", "สมชาย"),
        ("GB18030", "Ева Müller 王"),
        (UTF_8, "山田 Ева Müller"),
        (["", "ISO 2022 IR 87"], "Eva Miller"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "Eva Miller"),
    ],
)
def test_a_character_set_of_a_dicom_object_that_holds_its_new_texts_is_kept(
    character_set: str | list[str] | None, text: str
) -> None:
    dataset = of_patient(character_set, "Doe^John")
    use_utf8_if_needed(dataset, "ASCII", text)
    assert (dataset.get("SpecificCharacterSet") or None) == character_set


@pytest.mark.parametrize(
    ("character_set", "name", "text"),
    [
        (None, "Doe^John", "Müller"),
        ("ISO_IR 6", "Doe^John", "Müller"),
        ("ISO_IR 100", "Müller^Jürgen", "Łukasz"),
        ("ISO_IR 144", "Иванов^Иван", "Müller"),
        ("ISO_IR 13", "Yamada^Tarou", "A ~ B"),
        (["", "ISO 2022 IR 87"], JAPANESE, "Müller"),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], KOREAN, "山田"),
        ("GBK", "Wang^XiaoDong=王^小东", "Łukasz"),
    ],
)
def test_a_change_of_a_dicom_object_to_utf8_keeps_every_text(
    character_set: str | list[str] | None, name: str, text: str
) -> None:
    dataset = of_patient(character_set, name)
    use_utf8_if_needed(dataset, text)
    read = read_again(dataset)
    assert read.SpecificCharacterSet == UTF_8
    assert str(read.PatientName) == name
    assert read.PatientComments == name.partition("=")[0]
    assert name.encode() in read.PatientName.original_string


def test_a_sequence_item_in_another_character_set_becomes_utf8_too() -> None:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 144"
    item.CodeMeaning = "Иванов^Иван"
    outer = Dataset()
    outer.SpecificCharacterSet = "ISO_IR 100"
    outer.PatientName = "Müller^Jürgen"
    outer.ConceptNameCodeSequence = [item]
    dataset = read_again(outer)
    use_utf8_if_needed(dataset, "山田")
    read = read_again(dataset)
    (item,) = read.ConceptNameCodeSequence
    assert "SpecificCharacterSet" not in item
    assert item.CodeMeaning == "Иванов^Иван"
    assert str(read.PatientName) == "Müller^Jürgen"


@pytest.mark.parametrize(
    ("character_set", "comments"), [("ISO_IR 100", "\ufffd"), ("ISO_IR 203", "")]
)
def test_a_data_set_that_cannot_be_decoded_is_not_changed_to_utf8(
    character_set: str, comments: str
) -> None:
    dataset = of_patient("ISO_IR 192", "Doe^John")
    dataset.SpecificCharacterSet = character_set
    dataset.PatientComments = comments
    with pytest.raises(OutputError, match="can't be decoded"):
        use_utf8_if_needed(dataset, "山田")

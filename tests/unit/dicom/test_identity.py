from pydicom.dataset import Dataset
from pydicom.uid import UID

from totalmap.dicom.identity import derived_uid, missing_uids, text


def test_derived_uid_depends_on_the_parts_alone() -> None:
    assert derived_uid("a", "b") == derived_uid("a", "b")
    assert derived_uid("a", "b") != derived_uid("ab", "")
    assert derived_uid("a", "b") != derived_uid("b", "a")


def test_derived_uid_is_valid() -> None:
    uid = UID(derived_uid("anything"))
    assert uid.is_valid
    assert uid.startswith("2.25.")


def test_missing_uids_are_named() -> None:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2"
    dataset.SOPInstanceUID = ""
    assert missing_uids(dataset) == ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


def test_what_has_a_position_needs_a_frame_of_reference() -> None:
    dataset = Dataset()
    dataset.ImagePositionPatient = [0, 0, 0]
    assert "FrameOfReferenceUID" in missing_uids(dataset)


def test_text_of_what_is_not_there_is_empty() -> None:
    assert text(Dataset(), "Modality") == ""

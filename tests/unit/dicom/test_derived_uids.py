from pydicom.uid import UID

from totalmap.dicom.derived_uids import derived_uid


def test_derived_uid_depends_only_on_its_parts() -> None:
    assert derived_uid("a", "b") == derived_uid("a", "b")
    assert derived_uid("a", "b") != derived_uid("ab", "")
    assert derived_uid("a", "b") != derived_uid("b", "a")


def test_derived_uid_is_valid() -> None:
    uid = UID(derived_uid("anything"))
    assert uid.is_valid
    assert uid.startswith("2.25.")

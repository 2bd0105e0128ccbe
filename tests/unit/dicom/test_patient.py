"""Tests pairs of headers that one patient can have, and pairs that belong to two patients.

Sources: PS3.5 6.1.2.3 and 6.2 (character sets, padding, groups of a name), PS3.3 C.12.1.1.2;
pydicom#815, pydicom#736, pynetdicom#201 and dicomParser#89 (character sets that hospitals write).
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.instance import read_instance
from totalmap.dicom.patient import UNKNOWN, disagreements, read_patient
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import Study, read_study
from totalmap.dicom.volume import build_volume
from totalmap.errors import MixedPatients
from totalmap.finding import Severity
from totalmap.quality.suitability.header_rules import header_findings
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

SMALL = SeriesSpec(rows=32, columns=32, n_slices=40, pixel_spacing_mm=(13.0, 13.0), scanner=None)
PAIR = replace(SMALL, n_slices=2)

VRS = {
    "SpecificCharacterSet": "CS",
    "PatientID": "LO",
    "IssuerOfPatientID": "LO",
    "PatientName": "PN",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
}
NAMES = {
    "PatientID": "Patient ID",
    "IssuerOfPatientID": "Issuer of Patient ID",
    "PatientName": "Patient's Name",
    "PatientBirthDate": "Patient's Birth Date",
    "PatientSex": "Patient's Sex",
}

Values = dict[str, bytes | None]


def said(character_set: bytes | None = None, **values: bytes | None) -> Values:
    """Returns attributes as bytes; None takes an attribute out."""
    return {"SpecificCharacterSet": character_set, **values}


def name(value: bytes, character_set: bytes | None = None) -> Values:
    return said(character_set, PatientName=value)


def encoded(text: str, encoding: str, character_set: bytes | None) -> Values:
    return name(text.encode(encoding), character_set)


UTF_8 = b"ISO_IR 192"
LATIN_1 = b"ISO_IR 100"
GERMAN = "Müller^Jürgen"
CHINESE = "王^小东"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"


def korean() -> bytes:
    latin, ideographic, phonetic = KOREAN.split("=")
    groups = [
        b"^".join(b"\x1b$)C" + part.encode("euc_kr") for part in group.split("^"))
        for group in (ideographic, phonetic)
    ]
    return b"=".join([latin.encode(), *groups])


ONE_PATIENT: dict[str, tuple[Values, Values]] = {
    "blanks around an ID": (said(PatientID=b"A1 "), said(PatientID=b" A1")),
    "an ID padded with a null byte": (said(PatientID=b"A12\0"), said(PatientID=b"A12 ")),
    "an ID in small letters": (said(PatientID=b"ab12"), said(PatientID=b"AB12")),
    "an empty ID": (said(PatientID=b""), said(PatientID=b"AB12")),
    "no ID": (said(PatientID=None), said(PatientID=b"AB12")),
    "no issuer": (said(IssuerOfPatientID=None), said(IssuerOfPatientID=b"HOSPITAL")),
    "an issuer in other letters": (
        said(IssuerOfPatientID=b"Hospital"),
        said(IssuerOfPatientID=b"HOSPITAL "),
    ),
    "a name with empty components at its end": (name(b"DOE^JOHN^^^ "), name(b"DOE^JOHN")),
    "a name with empty groups at its end": (name(b"DOE^JOHN== "), name(b"DOE^JOHN")),
    "a name in other letters": (name(b"Doe^John"), name(b"DOE^JOHN")),
    "a name with blanks in its components": (name(b"DOE ^ JOHN  A"), name(b"DOE^JOHN A ")),
    "an empty name": (name(b""), name(b"DOE^JOHN")),
    "a name of delimiters alone": (name(b"^^^^"), name(b"DOE^JOHN")),
    "a name in Latin-1 and in UTF-8": (
        encoded(GERMAN, "latin-1", LATIN_1),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name in capitals with an umlaut": (
        encoded(GERMAN.upper(), "latin-1", LATIN_1),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name with composed and combining umlauts": (
        encoded("Mu\u0308ller^Ju\u0308rgen", "utf-8", UTF_8),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name in Latin-1 that declares no character set": (
        encoded(GERMAN, "latin-1", None),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name in Latin-1 that declares ASCII": (
        encoded(GERMAN, "latin-1", b"ISO_IR 6"),
        encoded(GERMAN, "latin-1", LATIN_1),
    ),
    "a misspelt character set": (
        encoded(GERMAN, "latin-1", b"ISO-IR 100"),
        encoded(GERMAN, "latin-1", LATIN_1),
    ),
    "a character set that is not supplied": (
        encoded(GERMAN, "latin-1", b"Not Supplied"),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a Chinese name in GB18030 and in UTF-8": (
        encoded(CHINESE, "gb18030", b"GB18030"),
        encoded(CHINESE, "utf-8", UTF_8),
    ),
    "a Chinese name with two character sets that exclude each other": (
        encoded(CHINESE, "gb18030", b"GB18030\\ISO IR 192"),
        encoded(CHINESE, "utf-8", UTF_8),
    ),
    "a Chinese name in GBK that declares no character set": (
        encoded(CHINESE, "gb18030", None),
        encoded(CHINESE, "utf-8", UTF_8),
    ),
    "a Japanese name with escapes and in UTF-8": (
        name(
            b"Yamada^Tarou="
            + "山田".encode("iso2022_jp")
            + b"^"
            + "太郎".encode("iso2022_jp")
            + b"="
            + "やまだ".encode("iso2022_jp")
            + b"^"
            + "たろう".encode("iso2022_jp"),
            b"\\ISO 2022 IR 87",
        ),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a Korean name with escapes and in UTF-8": (
        name(korean(), b"\\ISO 2022 IR 149"),
        encoded(KOREAN, "utf-8", UTF_8),
    ),
    "a name without its ideographic and phonetic groups": (
        name(b"Yamada^Tarou"),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a name without its phonetic group": (
        encoded("Yamada^Tarou=山田^太郎", "utf-8", UTF_8),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a name without its alphabetic group": (
        encoded("=山田^太郎", "utf-8", UTF_8),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a birth date with points": (
        said(PatientBirthDate=b"1950.01.31"),
        said(PatientBirthDate=b"19500131"),
    ),
    "no birth date": (said(PatientBirthDate=b""), said(PatientBirthDate=b"19500131")),
    "a birth date of zeros": (
        said(PatientBirthDate=b"00000000"),
        said(PatientBirthDate=b"19500131"),
    ),
    "a sex in a small letter": (said(PatientSex=b"f "), said(PatientSex=b"F")),
    "no sex": (said(PatientSex=None), said(PatientSex=b"F")),
}

TWO_PATIENTS: dict[str, tuple[Values, Values]] = {
    "another ID": (said(PatientID=b"A1"), said(PatientID=b"A2")),
    "an ID with leading zeros": (said(PatientID=b"0012"), said(PatientID=b"12")),
    "an ID with a blank inside": (said(PatientID=b"1 2"), said(PatientID=b"12")),
    "an ID with a hyphen": (said(PatientID=b"1-2"), said(PatientID=b"12")),
    "an ID that is the begin of another one": (said(PatientID=b"123"), said(PatientID=b"1234")),
    "an ID with another letter": (said(PatientID=b"O12"), said(PatientID=b"012")),
    "another issuer": (
        said(IssuerOfPatientID=b"HOSPITAL A"),
        said(IssuerOfPatientID=b"HOSPITAL B"),
    ),
    "another given name": (name(b"DOE^JOHN"), name(b"DOE^JANE")),
    "another family name": (name(b"DOE^JOHN"), name(b"ROE^JOHN")),
    "components in another order": (name(b"DOE^JOHN"), name(b"JOHN^DOE")),
    "a middle name that only one has": (name(b"DOE^JOHN^A"), name(b"DOE^JOHN")),
    "an empty family name": (name(b"^JOHN"), name(b"JOHN")),
    "a suffix": (name(b"DOE^JOHN^^^JR"), name(b"DOE^JOHN^^^SR")),
    "another letter in Latin-1": (
        encoded("Müller^J", "latin-1", LATIN_1),
        encoded("Möller^J", "latin-1", LATIN_1),
    ),
    "the same bytes in two character sets": (
        name(b"M\xfcller^J", LATIN_1),
        name(b"M\xfcller^J", b"ISO_IR 144"),
    ),
    "an umlaut and two letters": (encoded(GERMAN, "utf-8", UTF_8), name(b"Mueller^Juergen")),
    "another Chinese name in another character set": (
        encoded("王^小东", "gb18030", b"GB18030"),
        encoded("王^小明", "utf-8", UTF_8),
    ),
    "two names that declare no character set": (
        encoded("Müller^J", "latin-1", None),
        encoded("Möller^J", "latin-1", None),
    ),
    "another ideographic group behind one alphabetic group": (
        encoded("Yamada^Tarou=山田^太郎", "utf-8", UTF_8),
        encoded("Yamada^Tarou=山田^太朗", "utf-8", UTF_8),
    ),
    "another phonetic group": (
        encoded("Yamada^Tarou==やまだ^たろう", "utf-8", UTF_8),
        encoded("Yamada^Tarou==やまだ^じろう", "utf-8", UTF_8),
    ),
    "another alphabetic group before one ideographic group": (
        encoded("Yamada^Tarou=山田^太郎", "utf-8", UTF_8),
        encoded("Yamada^Jirou=山田^太郎", "utf-8", UTF_8),
    ),
    "another birth date": (
        said(PatientBirthDate=b"19500131"),
        said(PatientBirthDate=b"19500130"),
    ),
    "a birth date with day and month exchanged": (
        said(PatientBirthDate=b"19500201"),
        said(PatientBirthDate=b"19500102"),
    ),
    "another sex": (said(PatientSex=b"F"), said(PatientSex=b"M")),
    "the sex of others": (said(PatientSex=b"O"), said(PatientSex=b"M")),
}


def change(path: Path, values: Values) -> None:
    """Writes values into a file as the bytes that they are, an odd one padded."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        tag = Tag(keyword)
        dataset.pop(tag, None)
        if value is not None:
            padded = value + b" " * (len(value) % 2)
            dataset[tag] = RawDataElement(tag, VRS[keyword], len(padded), padded, 0, False, True)
    # Or pydicom would write the values anew in the character set.
    encodings = convert_encodings(dataset.get("SpecificCharacterSet"))
    is_declared = "SpecificCharacterSet" in dataset
    dataset.set_original_encoding(False, True, encodings if is_declared else "iso8859")
    dataset.save_as(path)
    if "PatientName" in values:
        assert (values["PatientName"] or b"") in path.read_bytes()


@pytest.fixture(scope="module")
def written_pair(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    """Two slices; copy them, never change them."""
    return write_series(tmp_path_factory.mktemp("pair"), 1, PAIR)


def read_pair(written: WrittenSeries, folder: Path, pair: tuple[Values, Values]) -> Study:
    for path, values in zip(written.paths, pair, strict=True):
        change(Path(shutil.copy(path, folder)), values)
    return read_study(folder)


@pytest.mark.filterwarnings("ignore:.*Specific Character Set")
@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("case", ONE_PATIENT)
def test_different_ways_to_write_one_patient_agree(
    case: str, written_pair: WrittenSeries, tmp_path: Path
) -> None:
    (series,) = read_pair(written_pair, tmp_path, ONE_PATIENT[case]).series
    assert series.disagreements == ()
    assert len(series.instances) == 2


@pytest.mark.parametrize("case", TWO_PATIENTS)
def test_values_of_two_patients_disagree_in_the_attribute_that_differs(
    case: str, written_pair: WrittenSeries, tmp_path: Path
) -> None:
    pair = TWO_PATIENTS[case]
    study = read_pair(written_pair, tmp_path, pair)
    (series,) = study.series
    (keyword,) = [keyword for keyword in pair[0] if keyword != "SpecificCharacterSet"]
    assert series.disagreements == (NAMES[keyword],)
    assert f"files of a series of 2 disagree in {NAMES[keyword]}" in study.warnings


def test_at_least_twenty_pairs_of_each_kind_are_tested() -> None:
    assert min(len(ONE_PATIENT), len(TWO_PATIENTS)) >= 20


OTHER = said(
    LATIN_1,
    PatientID=b"SECRET-ID",
    PatientName=b"SECRET^NAME",
    PatientBirthDate=b"19991231",
    PatientSex=b"M",
)


def chosen_from(folder: Path) -> Study:
    study = read_study(folder)
    selected(judge(study, SelectionSection(), GeometrySection()))
    return study


def test_a_series_of_two_patients_is_refused_without_showing_their_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write_series(tmp_path, 1, SMALL)
    for path in written.paths[20:]:
        change(path, OTHER)
    with pytest.raises(MixedPatients) as caught:
        chosen_from(tmp_path)
    message = str(caught.value)
    assert message.startswith(
        "the files of the chosen series disagree in Patient ID, Patient's Birth Date, "
        "Patient's Name, Patient's Sex:"
    )
    captured = capsys.readouterr()
    shown = message + repr(caught.value) + captured.out + captured.err + repr(read_study(tmp_path))
    for value in ("SECRET", "19991231", "PHANTOM", "TM-PHANTOM", "19700102"):
        assert value not in shown


def test_a_left_out_file_of_another_patient_makes_its_series_refused(tmp_path: Path) -> None:
    """The file has the SOP Instance UID, position and number of a slice, and another patient."""
    written = write_series(tmp_path, 1, SMALL)
    change(Path(shutil.copy(written.paths[3], tmp_path / "z.dcm")), OTHER)
    with pytest.raises(MixedPatients):
        chosen_from(tmp_path)


def test_a_file_of_another_patient_and_study_makes_its_series_refused(
    tmp_path: Path,
) -> None:
    written = write_series(tmp_path, 1, SMALL)
    change(written.paths[-1], OTHER)
    dataset = pydicom.dcmread(written.paths[-1])
    dataset.StudyInstanceUID = "1.2.3"
    dataset.save_as(written.paths[-1])
    with pytest.raises(MixedPatients):
        chosen_from(tmp_path)


def test_another_patient_in_another_series_gives_a_review_finding(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, SMALL)
    other = write_series(tmp_path / "b", 1, replace(SMALL, number=3, n_slices=12))
    for path in other.paths:
        change(path, OTHER)
    study = read_study(tmp_path)
    assert len({series.study_instance_uid for series in study.series}) == 1
    (selection,) = selected(judge(study, SelectionSection(), GeometrySection()))
    assert len(selection.audit.slices) == SMALL.n_slices
    findings = header_findings(build_volume(selection, GeometrySection()))
    (finding,) = [finding for finding in findings if finding.code == "OTHER_PATIENT"]
    assert finding.severity is Severity.REVIEW
    assert "Patient ID, Patient's Name, Patient's Birth Date" in finding.sentence
    assert "SECRET" not in str(finding)


def test_two_chosen_series_of_two_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, SMALL)
    other = write_series(tmp_path / "b", 1, replace(SMALL, number=3, n_slices=12))
    for path in other.paths:
        change(path, OTHER)
    rules = SelectionSection(
        rules=(
            SelectionRule(name="long", min_slices=20),
            SelectionRule(name="short", max_slices=12),
        )
    )
    judgement = judge(read_study(tmp_path), rules, GeometrySection())
    assert len(judgement.selections) == 2
    with pytest.raises(MixedPatients):
        selected(judgement)


def test_two_series_of_one_patient_give_no_review_finding(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, SMALL)
    write_series(tmp_path / "b", 1, replace(SMALL, number=3))
    (selection,) = selected(judge(read_study(tmp_path), SelectionSection(), GeometrySection()))
    codes = {
        finding.code for finding in header_findings(build_volume(selection, GeometrySection()))
    }
    assert "OTHER_PATIENT" not in codes


def test_a_decoded_dataset_names_the_same_patient_as_its_file(
    written_pair: WrittenSeries, tmp_path: Path
) -> None:
    path = Path(shutil.copy(written_pair.paths[0], tmp_path))
    change(path, encoded(GERMAN, "latin-1", LATIN_1))
    instance = read_instance(path)
    dataset = pydicom.dcmread(path)
    assert str(dataset.PatientName) == GERMAN  # decodes it
    assert instance is not None
    assert read_patient(dataset) == instance.patient


def test_the_text_form_of_a_patient_shows_no_value(written_pair: WrittenSeries) -> None:
    instance = read_instance(written_pair.paths[0])
    assert instance is not None
    for shown in (repr(instance), str(instance), repr(instance.patient), f"{instance.patient}"):
        assert "PHANTOM" not in shown.replace(str(written_pair.folder), "")
        assert "19700102" not in shown
        assert "meanings" not in shown


def test_a_patient_without_attributes_agrees_with_every_patient(
    written_pair: WrittenSeries,
) -> None:
    instance = read_instance(written_pair.paths[0])
    assert instance is not None
    assert disagreements([UNKNOWN, instance.patient, read_patient(Dataset())]) == ()
    assert disagreements([]) == ()

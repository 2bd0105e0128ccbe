"""Says whose images were segmented, as far as `report.identify` allows, and in which series.

The series and the date of the study are always there, so that a loose page can be matched.
"""

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from totalmap.dicom.instance import read_dataset
from totalmap.report_settings import Identify, ReportSection
from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Texts
from totalmap.writers.dicom.copied_attributes import patient_and_study


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line such as "Slices: 200"; `is_code` marks a UID or a hash."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of the images, for people.

    Attributes:
        facts: With the full names of the attributes, for a table.
        line: In short, for the heading of a picture.
    """

    facts: tuple[Fact, ...] = ()
    line: str = ""


def identity_of(segmentation: Segmentation, report: ReportSection, texts: Texts) -> Identity:
    """Returns the identity of the images; a NIfTI file has none."""
    volume = segmentation.volume
    if not volume.is_dicom:
        return Identity()
    source = volume.slices[0].instance
    header = patient_and_study(read_dataset(source))
    facts: list[Fact] = []
    short: list[str] = []
    if report.identify is Identify.FULL:
        _add_patient(header, texts, facts, short)
    if report.identify is not Identify.NONE and (accession := _text(header, "AccessionNumber")):
        facts.append(Fact(name=texts("identity.accession"), value=accession))
        short.append(texts("identity.short_accession", value=accession))
    if date := texts.date(_text(header, "StudyDate")):
        facts.append(Fact(name=texts("identity.study_date"), value=date))
        short.append(date)
    if source.series_number is not None:
        facts.append(Fact(name=texts("identity.series"), value=str(source.series_number)))
        short.append(texts("identity.series_number", number=source.series_number))
    if report.identify is not Identify.NONE and source.series_description:
        facts.append(Fact(name=texts("identity.description"), value=source.series_description))
    return Identity(facts=tuple(facts), line=" · ".join(short))


def _add_patient(header: Dataset, texts: Texts, facts: list[Fact], short: list[str]) -> None:
    """Adds name, ID and date of birth of the patient, as far as the header has them."""
    name = header.get("PatientName")
    if name:
        shown = PersonName(str(name)).family_comma_given().strip(", ")
        facts.append(Fact(name=texts("identity.patient"), value=shown))
        short.append(shown)
    if patient_id := _text(header, "PatientID"):
        facts.append(Fact(name=texts("identity.patient_id"), value=patient_id))
        short.append(texts("identity.short_patient_id", value=patient_id))
    if birth_date := texts.date(_text(header, "PatientBirthDate")):
        facts.append(Fact(name=texts("identity.birth_date"), value=birth_date))
        short.append(texts("identity.short_birth_date", value=birth_date))


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()

"""Writes a small X-Ray Radiation Dose SR, an object that comes with every CT."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import XRayRadiationDoseSRStorage

from .modules import STUDY_DATE, STUDY_TIME, file_meta, phantom_uid, series_modules

Code = tuple[str, str, str]  # value, scheme, meaning

SERIES_NUMBER = 999
DOSE_LENGTH_PRODUCT_MGY_CM = "412.5"


def write_dose_report(path: Path, seed: int) -> Path:
    """Writes a CT radiation dose report (PS3.16 TID 10011) without any event and returns its path.

    Args:
        path: the file to write.
        seed: chooses study and UIDs, as for the images.
    """
    series_uid = phantom_uid("dose series", seed)
    ds = series_modules(seed, series_uid, SERIES_NUMBER, "Dose report", "SR")
    ds.SOPClassUID = XRayRadiationDoseSRStorage
    ds.SOPInstanceUID = phantom_uid("dose report", seed)
    ds.InstanceNumber = 1
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.ValueType = "CONTAINER"
    ds.ContinuityOfContent = "SEPARATE"
    ds.ConceptNameCodeSequence = _coded(("113701", "DCM", "X-Ray Radiation Dose Report"))
    ds.ContentTemplateSequence = _template("10011")
    ds.ContentSequence = Sequence(_content(seed))
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def _content(seed: int) -> list[Dataset]:
    procedure = _code_item(
        "HAS CONCEPT MOD",
        ("121058", "DCM", "Procedure reported"),
        ("77477000", "SCT", "Computed Tomography X-Ray"),
    )
    intent = _code_item(
        "HAS CONCEPT MOD",
        ("363703001", "SCT", "Has Intent"),
        ("261004008", "SCT", "Diagnostic Intent"),
    )
    procedure.ContentSequence = Sequence([intent])
    observer = _code_item(
        "HAS OBS CONTEXT", ("121005", "DCM", "Observer Type"), ("121007", "DCM", "Device")
    )
    device = _item("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM", "Device Observer UID"))
    device.UID = phantom_uid("scanner")
    times = []
    for value, meaning in (
        ("113809", "Start of X-Ray Irradiation"),
        ("113810", "End of X-Ray Irradiation"),
    ):
        time = _item("CONTAINS", "DATETIME", (value, "DCM", meaning))
        time.DateTime = STUDY_DATE + STUDY_TIME
        times.append(time)
    scope = _code_item(
        "CONTAINS", ("113705", "DCM", "Scope of Accumulation"), ("113014", "DCM", "Study")
    )
    study = _item("HAS PROPERTIES", "UIDREF", ("110180", "DCM", "Study Instance UID"))
    study.UID = phantom_uid("study", seed)
    scope.ContentSequence = Sequence([study])
    source = _code_item(
        "CONTAINS",
        ("113854", "DCM", "Source of Dose Information"),
        ("113856", "DCM", "Automated Data Collection"),
    )
    return [procedure, observer, device, *times, scope, _accumulated(), source]


def _accumulated() -> Dataset:
    """Returns the accumulated dose (TID 10012)."""
    container = _item("CONTAINS", "CONTAINER", ("113811", "DCM", "CT Accumulated Dose Data"))
    container.ContinuityOfContent = "SEPARATE"
    container.ContentTemplateSequence = _template("10012")
    events = _number(
        ("113812", "DCM", "Total Number of Irradiation Events"),
        "1",
        ("{events}", "UCUM", "events"),
    )
    dose = _number(
        ("113813", "DCM", "CT Dose Length Product Total"),
        DOSE_LENGTH_PRODUCT_MGY_CM,
        ("mGy.cm", "UCUM", "mGy.cm"),
    )
    container.ContentSequence = Sequence([events, dose])
    return container


def _item(relationship: str, value_type: str, name: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = value_type
    item.ConceptNameCodeSequence = _coded(name)
    return item


def _code_item(relationship: str, name: Code, code: Code) -> Dataset:
    item = _item(relationship, "CODE", name)
    item.ConceptCodeSequence = _coded(code)
    return item


def _number(name: Code, value: str, unit: Code) -> Dataset:
    item = _item("CONTAINS", "NUM", name)
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = _coded(unit)
    item.MeasuredValueSequence = Sequence([measured])
    return item


def _coded(code: Code) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return Sequence([item])


def _template(identifier: str) -> Sequence:
    item = Dataset()
    item.MappingResource = "DCMR"
    item.TemplateIdentifier = identifier
    return Sequence([item])

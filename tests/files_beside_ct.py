"""Writes the files that hospitals keep beside a CT: a report, documents, a screenshot, a viewer."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from tests.phantom.dose_report import write_dose_report
from tests.phantom.study import WrittenSeries


def write_files_beside(folder: Path, written: WrittenSeries) -> int:
    """Writes files that hospitals keep beside a CT; returns how many are not DICOM."""
    (folder / "IM0001.dcm.json").write_text("{}")
    (folder / "Thumbs.db").write_bytes(bytes(range(256)) * 9)
    (folder / "report.pdf").write_bytes(b"%PDF-1.4\n" + bytes(2000))
    (folder / "README").write_text("viewer on CD")
    write_dose_report(folder / "dose", 3)
    _write_like(written.paths[0], folder / "pdf", EncapsulatedPDFStorage, Modality="DOC")
    _write_like(
        written.paths[0],
        folder / "screenshot",
        SecondaryCaptureImageStorage,
        Modality="CT",
        Rows=20,
        Columns=20,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        BitsAllocated=8,
        PixelData=bytes(20 * 20 * 3),
    )
    return 4


def _write_like(source: Path, path: Path, sop_class: str, **values: object) -> None:
    first = pydicom.dcmread(source)
    dataset = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
        setattr(dataset, keyword, first[keyword].value)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"1.2.{len(path.name)}"
    dataset.SeriesInstanceUID = f"1.2.3.{len(path.name)}"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)

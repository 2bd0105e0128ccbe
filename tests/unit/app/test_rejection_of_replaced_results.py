from pathlib import Path

import pydicom

from app.rejection_of_replaced_results import REASON, write_replacement_note
from tests.conftest import REPOSITORY
from tests.validators import findings_of_dciodvfy
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg


def test_the_replacement_note_rejects_the_results_under_their_own_patient(
    true_segmentation: Segmentation, settings: Settings, tmp_path: Path
) -> None:
    with open_release(tmp_path / "job") as release:
        results = write_seg(true_segmentation, settings, release)
        release.publish({})
    paths = [tmp_path / "job" / result.path for result in results]
    notes = [tmp_path / "notes" / name for name in ("1.dcm", "2.dcm")]
    for target in notes:
        write_replacement_note(paths, REPOSITORY / "app.yaml", target)
    assert notes[0].read_bytes() == notes[1].read_bytes(), "the same results give the same note"
    note, seg = pydicom.dcmread(notes[0]), pydicom.dcmread(paths[0], stop_before_pixels=True)
    (title,) = note.ConceptNameCodeSequence
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113037", "DCM")
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    named = {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence}
    assert named == {str(seg.SOPInstanceUID)}
    assert (note.PatientID, note.StudyInstanceUID) == (seg.PatientID, seg.StudyInstanceUID)
    assert [item.TextValue for item in note.ContentSequence if item.ValueType == "TEXT"] == [REASON]
    assert findings_of_dciodvfy(notes[0], "KeyObjectSelectionDocument") == []

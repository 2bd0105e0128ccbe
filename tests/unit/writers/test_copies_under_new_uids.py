"""Tests copies of results under new UIDs."""

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.unit.writers.small_results import DEFLATED, NATIVE, WRITERS, small_results
from tests.validators import findings_of_dciodvfy
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.study import read_study
from totalmap.errors import OutputError
from totalmap.existing_seg import read_labels, read_segs, referenced_series, source_of
from totalmap.settings import GeometrySection
from totalmap.writers.copies_under_new_uids import replace_uids, write_copies
from totalmap.writers.rejection_note import is_rejection_note

# Longer ones begin with shorter ones, as UIDs of an organization do.
UIDS = ["1.2.3", "1.2.3.4", "1.2.34", "2.25.7", "2.25.77", "1.2.3.4.5"]
NEW = {"1.2.3": "9.9", "2.25.7": "9.9.9.9", "1.2.3.4.5": "9.1"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Results of every kind."""
    return small_results(tmp_path_factory.mktemp("results"), *WRITERS)


@pytest.fixture(scope="module")
def copies(results: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("copies")
    targets = [folder / f"{number}.dcm" for number in range(len(results))]
    write_copies(results, "7", targets)
    return targets


def new_uids(results: list[Path], copies: list[Path]) -> dict[str, str]:
    """Returns the new UID for each SOP and Series Instance UID."""
    pairs = [(pydicom.dcmread(a), pydicom.dcmread(b)) for a, b in zip(results, copies, strict=True)]
    return {
        str(old[keyword].value): str(new[keyword].value)
        for old, new in pairs
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
    }


def with_new_uids(dataset: Dataset, new: dict[str, str]) -> Dataset:
    """Returns a data set after each of its UIDs was looked up, by walking through all elements."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                with_new_uids(item, new)
        elif element.VR == "UI" and element.VM == 1:
            element.value = new.get(element.value, element.value)
    return dataset


def content(path: Path) -> bytes:
    """Returns the bytes of a file, decompressed if it is deflated."""
    data = path.read_bytes()
    if pydicom.dcmread(path).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        start = 144 + int.from_bytes(data[140:144], "little")
        return data[:start] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:])
    return data


def uids_in(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from uids_in(item)
        elif element.VR == "UI" and element.VM == 1:
            yield str(element.value)


def test_no_old_uid_of_the_results_is_left_in_the_copies(
    results: list[Path], copies: list[Path]
) -> None:
    new = new_uids(results, copies)
    assert len(new) > len(WRITERS)
    assert not set(new) & set(new.values())
    for copy in copies:
        data = content(copy)
        assert [uid for uid in new if uid.encode() in data] == []


def test_copies_differ_from_the_results_in_their_own_uids_alone(
    results: list[Path], copies: list[Path]
) -> None:
    new = new_uids(results, copies)
    for result, copy in zip(results, copies, strict=True):
        before, after = pydicom.dcmread(result), pydicom.dcmread(copy)
        assert after == with_new_uids(before, new)
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
        assert after.get("PixelData") == before.get("PixelData")
        assert len(result.read_bytes()) > 0


def test_references_among_the_results_lead_from_copy_to_copy(copies: list[Path]) -> None:
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in map(pydicom.dcmread, copies)}
    (report,) = (dataset for dataset in by_uid.values() if dataset.Modality == "SR")
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[-1]
    (instance,) = series.ReferencedSOPSequence
    seg = by_uid[instance.ReferencedSOPInstanceUID]
    assert seg.SOPClassUID == instance.ReferencedSOPClassUID
    assert seg.SeriesInstanceUID == series.SeriesInstanceUID
    groups = report.ContentSequence[-1].ContentSequence
    assert groups
    for group in groups:
        assert seg.SOPInstanceUID in set(uids_in(group))


def test_source_images_frames_of_reference_and_tracking_uids_stay_in_the_copies(
    results: list[Path], copies: list[Path]
) -> None:
    sources = {
        str(pydicom.dcmread(path).SOPInstanceUID)
        for path in (results[0].parents[2] / "study").rglob("*")
        if path.is_file()
    }
    for result, copy in zip(results, copies, strict=True):
        before, after = pydicom.dcmread(result), pydicom.dcmread(copy)
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "SeriesNumber"):
            assert after.get(keyword) == before.get(keyword)
        assert set(uids_in(after)) >= sources & set(uids_in(before))
    before, after = pydicom.dcmread(results[0]), pydicom.dcmread(copies[0])
    assert [segment.TrackingUID for segment in after.SegmentSequence] == [
        segment.TrackingUID for segment in before.SegmentSequence
    ]
    assert after.DimensionOrganizationSequence == before.DimensionOrganizationSequence


def test_dciodvfy_finds_in_a_copy_what_it_finds_in_the_result(
    results: list[Path], copies: list[Path]
) -> None:
    iods = {"SEG": "Segmentation", "SR": "Comprehensive3DSR", "RTSTRUCT": "RTStructureSet"}
    binary = [(old, new) for old, new in zip(results, copies, strict=True) if "map" not in old.name]
    for result, copy in binary:
        iod = iods.get(pydicom.dcmread(result).Modality)
        if iod is not None:
            findings = findings_of_dciodvfy(copy, iod)
            assert findings == findings_of_dciodvfy(result, iod)
            assert [finding for finding in findings if finding.startswith("Error")] == []


@pytest.mark.parametrize("kind", ["native", "deflated", "labelmap"])
def test_our_reader_and_highdicom_find_the_same_labels_in_a_copied_seg(
    tmp_path: Path, kind: str
) -> None:
    writer = "seg_labelmap" if kind == "labelmap" else "seg"
    results = small_results(tmp_path, writer, settings=DEFLATED if kind == "deflated" else NATIVE)
    target = tmp_path / "copy.dcm"
    write_copies(results, "7", [target])
    before, after = (
        read_labels(read_segs([path]), geometry_of(tmp_path / "study", path))
        for path in (results[0], target)
    )
    assert after.numbers == before.numbers
    assert np.array_equal(after.labels, before.labels)
    assert before.labels.any()
    pixels = [highdicom.seg.segread(path).pixel_array for path in (results[0], target)]
    assert np.array_equal(*pixels)


def geometry_of(study: Path, seg: Path) -> Geometry:
    series = referenced_series(part.header for part in read_segs([seg]))
    policy = GeometrySection()
    return audit_stack(source_of(series, read_study(study), policy).stack, policy).geometry


def test_copies_of_results_with_the_same_key_have_the_same_bytes_and_else_other_uids(
    results: list[Path], copies: list[Path], tmp_path: Path
) -> None:
    targets = [tmp_path / path.name for path in copies]
    write_copies(results, "7", targets)
    assert [path.read_bytes() for path in targets] == [path.read_bytes() for path in copies]
    write_copies(results[:1], "8", targets[:1])
    first, other = pydicom.dcmread(copies[0]), pydicom.dcmread(targets[0])
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


def test_a_rejection_note_among_the_results_is_not_copied(tmp_path: Path) -> None:
    results = small_results(tmp_path, "seg", "rejection")
    assert [is_rejection_note(pydicom.dcmread(path)) for path in results] == [False, True]
    targets = [tmp_path / "copies" / name for name in ("seg.dcm", "rejection.dcm")]
    write_copies(results, "7", targets)
    assert list((tmp_path / "copies").iterdir()) == targets[:1]
    write_copies(results[1:], "7", targets[1:])
    assert list((tmp_path / "copies").iterdir()) == targets[:1]


def test_a_result_that_another_program_changed_is_not_copied(tmp_path: Path) -> None:
    (seg,) = small_results(tmp_path, "seg")
    dataset = pydicom.dcmread(seg)
    del dataset.SOPInstanceUID
    dataset.save_as(seg, enforce_file_format=False)
    with pytest.raises(OutputError, match="changed by another program"):
        write_copies([seg], "7", [tmp_path / "copy.dcm"])
    assert not (tmp_path / "copy.dcm").exists()


def data_sets(items: st.SearchStrategy[list[Dataset]]) -> st.SearchStrategy[Dataset]:
    def make(uids: list[str], text: str, items: list[Dataset]) -> Dataset:
        dataset = Dataset()
        dataset.SOPInstanceUID = uids[0]
        dataset.RelatedGeneralSOPClassUID = uids
        dataset.SeriesDescription = text
        dataset.ReferencedSeriesSequence = items
        return dataset

    uids = st.lists(st.sampled_from(UIDS), min_size=1, max_size=3)
    texts = st.sampled_from(["", "liver", "1.2.34", "1.2.3.45"])
    return st.builds(make, uids, texts, items)


def trees() -> st.SearchStrategy[Dataset]:
    return st.recursive(
        data_sets(st.just([])),
        lambda inner: data_sets(st.lists(inner, max_size=3)),
        max_leaves=8,
    )


@given(trees(), st.booleans())
@settings(max_examples=100)
def test_copies_of_results_have_every_uid_in_any_sequence_replaced_and_nothing_else(
    tree: Dataset, implicit: bool
) -> None:
    file = BytesIO()
    pydicom.dcmwrite(file, tree, implicit_vr=implicit, little_endian=True)
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True)
    replace_uids(dataset, NEW, implicit=implicit)
    assert dataset == expected_of(tree)


def expected_of(tree: Dataset) -> Dataset:
    expected = Dataset()
    expected.SOPInstanceUID = NEW.get(tree.SOPInstanceUID, tree.SOPInstanceUID)
    values = tree["RelatedGeneralSOPClassUID"].value
    uids = [values] if isinstance(values, str) else list(values)
    expected.RelatedGeneralSOPClassUID = [NEW.get(uid, uid) for uid in uids]
    expected.SeriesDescription = tree.SeriesDescription
    expected.ReferencedSeriesSequence = [expected_of(it) for it in tree.ReferencedSeriesSequence]
    return expected


def test_a_copy_of_results_with_an_old_uid_in_a_text_is_refused() -> None:
    dataset = Dataset()
    dataset.SeriesDescription = "of 2.25.7"
    with pytest.raises(OutputError, match="would still refer to the original"):
        replace_uids(dataset, NEW, implicit=False)

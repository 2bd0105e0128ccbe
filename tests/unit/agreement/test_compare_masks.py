import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.unit.agreement.random_masks import grid, masks_of
from totalmap.agreement.agreement_files import COLUMNS, to_csv, to_json
from totalmap.agreement.compare_masks import (
    Agreement,
    StructureAgreement,
    UnpairedStructure,
    compare_masks,
)
from totalmap.agreement.structure_masks import StructureMasks
from totalmap.dicom.patient_comparison import read_patient
from totalmap.errors import InputError

SHAPE = (10, 10, 10)
ML = 0.008  # of a voxel of 2 x 2 x 2 mm


def side(spleen_rows: int) -> StructureMasks:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:4, 1:9, 1:9] = 1
    labels[5:8, :spleen_rows] = 2
    names = {1: "liver", 2: "spleen", 3: "brain"}
    return masks_of(labels, names, grid(SHAPE, (2.0, 2.0, 2.0)))


def patient(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    a, b = side(2), side(3)
    labels = b.layers[0].copy()
    labels[9, 0, 0] = 4
    place = b.places["spleen"]._replace(label=4)
    b = replace(b, layers=(labels,), places={**b.places, "tumour_1": place})
    return compare_masks(a, b, tolerance_mm=3.0)


def test_the_largest_disagreement_is_first_and_empty_pairs_have_no_value(
    agreement: Agreement,
) -> None:
    spleen, liver, brain = agreement.structures
    assert spleen == StructureAgreement(
        name="spleen",
        dice=0.8,
        nsd=1.0,
        hd95_mm=2.0,
        volume_a_ml=60 * ML,
        volume_b_ml=90 * ML,
        added_ml=30 * ML,
        removed_ml=0.0,
    )
    assert (liver.name, liver.dice, liver.nsd, liver.hd95_mm) == ("liver", 1.0, 1.0, 0.0)
    assert (brain.name, brain.dice, brain.nsd, brain.hd95_mm) == ("brain", None, None, None)


def test_a_structure_that_one_side_does_not_name_is_listed_and_not_compared(
    agreement: Agreement,
) -> None:
    assert agreement.only_in_a == ()
    (tumour,) = agreement.only_in_b
    assert (tumour.name, tumour.volume_ml) == ("tumour_1", ML)


def test_a_structure_that_one_side_looked_for_and_did_not_find_has_dice_0() -> None:
    a, b = side(2), side(0)
    first, *_ = compare_masks(a, b, tolerance_mm=3.0).structures
    assert (first.name, first.dice, first.nsd, first.hd95_mm) == ("spleen", 0.0, 0.0, None)
    assert (first.added_ml, first.removed_ml) == (0.0, 60 * ML)


def test_without_a_tolerance_there_is_no_nsd_and_no_hd95() -> None:
    result = compare_masks(side(2), side(3), tolerance_mm=None)
    assert result.tolerance_mm is None
    assert result.surface_library is None
    assert all(row.nsd is None and row.hd95_mm is None for row in result.structures)


def test_the_agreement_names_the_library_the_tolerance_and_the_grid(agreement: Agreement) -> None:
    assert agreement.surface_library == "surface-distance 0.1"
    assert agreement.tolerance_mm == 3.0
    assert agreement.grid == "10 x 10 x 10 voxels of 2 x 2 x 2 mm from (-10.0, -20.0, 30.0) mm LPS"


def test_objects_of_different_patients_are_refused_without_their_names() -> None:
    first = replace(side(2), patients=(read_patient(patient(PatientID="123", PatientSex="F")),))
    other = replace(side(2), patients=(read_patient(patient(PatientID="456", PatientSex="F")),))
    with pytest.raises(InputError) as raised:
        compare_masks(first, other, tolerance_mm=None)
    assert str(raised.value) == ("A and B belong to different patients (Patient ID)")
    assert compare_masks(first, first, tolerance_mm=None).structures


def test_objects_of_different_frames_of_reference_are_refused() -> None:
    first = replace(side(2), frames_of_reference=frozenset({"1.2.3"}))
    other = replace(side(2), frames_of_reference=frozenset({"1.2.4"}))
    with pytest.raises(InputError, match="different frames of reference"):
        compare_masks(first, other, tolerance_mm=None)
    assert compare_masks(first, side(2), tolerance_mm=None).structures


def test_json_has_the_attributes_and_null_for_no_value(agreement: Agreement) -> None:
    content = json.loads(to_json(agreement))
    assert content["structures"][0]["name"] == "spleen"
    assert content["structures"][2]["dice"] is None
    assert content["only_in_b"] == [{"name": "tumour_1", "volume_ml": ML}]


def test_csv_has_a_row_for_each_structure_also_of_one_side(agreement: Agreement) -> None:
    rows = list(csv.DictReader(to_csv(agreement).splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["compared"] for row in rows] == ["both"] * 3 + ["only B"]
    assert rows[0]["display_name"] == "Spleen"
    assert rows[2]["dice"] == ""
    assert (rows[3]["structure"], rows[3]["volume_b_ml"]) == ("tumour_1", str(ML))


def test_csv_of_a_comparison_holds_no_formula_of_a_foreign_name(agreement: Agreement) -> None:
    foreign = UnpairedStructure(name='=HYPERLINK("http://a")', volume_ml=1.0)
    rows = list(csv.DictReader(to_csv(replace(agreement, only_in_a=(foreign,))).splitlines()))
    assert rows[3]["structure"] == """'=HYPERLINK("http://a")"""
    assert rows[3]["display_name"].startswith("'=")

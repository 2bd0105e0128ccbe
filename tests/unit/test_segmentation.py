import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.statistics import get_basic_statistics

from tests.phantom.study import WrittenSeries
from totalmap.dicom.geometry import LPS_TO_RAS
from totalmap.limitation_words import remarks
from totalmap.segmentation import Segmentation
from totalmap.structures import Face, Limitation, MeasuredStructure

LIVER, SPLEEN = 5, 1


def test_found_structures_of_a_segmentation_have_the_voxels_and_volumes_of_the_labels(
    true_segmentation: Segmentation, phantom_series: WrittenSeries
) -> None:
    found = true_segmentation.found()
    assert [one.structure.label for one in found] == np.unique(phantom_series.labels)[1:].tolist()
    for one in found:
        mask = phantom_series.labels == one.structure.label
        assert one.voxels == mask.sum()
        # 4.375 x 4.375 x 3 mm a voxel.
        assert one.volume_ml == pytest.approx(one.voxels * 4.375 * 4.375 * 3.0 / 1000, abs=1e-3)
        values = true_segmentation.volume.voxels[mask]
        assert one.mean == pytest.approx(values.mean(), abs=0.006)
        assert one.sd == pytest.approx(values.std(), abs=0.006)


def test_volumes_and_means_equal_those_of_totalsegmentator(true_segmentation: Segmentation) -> None:
    volume = true_segmentation.volume
    affine = volume.geometry.affine_ras
    ct = nibabel.Nifti1Image(volume.voxels.T, affine)
    assert np.allclose(LPS_TO_RAS @ affine, volume.geometry.affine_lps)
    statistics = get_basic_statistics(
        true_segmentation.labels.T, ct, quiet=True, exclude_masks_at_border=False
    )
    found = {one.structure.name: one for one in true_segmentation.found()}
    assert set(found) < set(class_map["total"].values())
    for name, theirs in statistics.items():
        ours = found.get(name)
        assert (ours.volume_ml if ours else 0.0) == pytest.approx(theirs["volume"] / 1000, abs=1e-3)
        if ours:
            assert ours.mean == pytest.approx(theirs["intensity"], abs=0.006)
    json.dumps(statistics)


def labelled(segmentation: Segmentation, *boxes: tuple[slice, slice, slice]) -> MeasuredStructure:
    """Returns what is measured of a spleen that fills boxes (k, j, i)."""
    labels = np.zeros_like(segmentation.labels)
    for box in boxes:
        labels[box] = SPLEEN
    inference = replace(segmentation.inference, labels=labels)
    (found,) = replace(segmentation, labels=labels, inference=inference).found()
    return found


def test_a_structure_at_each_edge_of_the_field_of_view_names_this_edge(
    true_segmentation: Segmentation,
) -> None:
    """The phantom lies supine, head first; slices go upwards."""
    inside = (slice(5, 9), slice(5, 9), slice(5, 9))
    ends = {
        Face.INFERIOR: (slice(0, 9), slice(5, 9), slice(5, 9)),
        Face.SUPERIOR: (slice(5, None), slice(5, 9), slice(5, 9)),
        Face.ANTERIOR: (slice(5, 9), slice(0, 9), slice(5, 9)),
        Face.POSTERIOR: (slice(5, 9), slice(5, None), slice(5, 9)),
        Face.RIGHT: (slice(5, 9), slice(5, 9), slice(0, 9)),
        Face.LEFT: (slice(5, 9), slice(5, 9), slice(5, None)),
    }
    assert labelled(true_segmentation, inside).faces == ()
    assert labelled(true_segmentation, inside).limitations == ()
    for face, box in ends.items():
        found = labelled(true_segmentation, box)
        assert found.faces == (face,)
        assert found.limitations == (Limitation.INCOMPLETE,)
        assert f"the {face} edge" in remarks(found)


def test_several_pieces_and_few_voxels_are_limitations_of_a_measurement(
    true_segmentation: Segmentation,
) -> None:
    large = (slice(5, 9), slice(5, 9), slice(5, 9))
    at_a_corner = (slice(9, 10),) * 3
    apart = (slice(11, 13),) * 3
    assert labelled(true_segmentation, large, at_a_corner).components == 1
    crumb = labelled(true_segmentation, large, apart)  # 8 voxels of 0.057 mL
    assert (crumb.components, crumb.limitations) == (1, ())
    piece = (slice(11, 14), slice(11, 14), slice(11, 13))  # 18 voxels
    two = labelled(true_segmentation, large, piece)
    assert two.limitations == (Limitation.SEVERAL_COMPONENTS,)
    assert two.largest_share == pytest.approx(64 / 82, abs=1e-4)
    assert remarks(two) == "2 separate pieces, the largest is 78%"
    assert labelled(true_segmentation, apart).limitations == (Limitation.FEW_VOXELS,)

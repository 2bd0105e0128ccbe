"""Every kind of task gives the labels of the unmodified TotalSegmentator with the same weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import REPOSITORY
from tests.networks import (
    AROUND_GALLBLADDER,
    SEED_WITH_GALLBLADDER,
    build_boxes,
    build_finder,
    build_task,
    build_walk,
)
from tests.peer import LICENCE_NUMBER, Peer
from tests.phantom.study import SeriesSpec, write_series
from tests.results import result_in
from tests.segmentations import RULE, volume_of
from tests.waiting import WAIT_SECONDS
from totalmap.dicom.geometry import to_las
from totalmap.engine.engine import Engine
from totalmap.engine.tasks import Task, load_task
from totalmap.run_log import SilentObserver
from totalmap.segmentation import EngineKind, Segmentation
from totalmap.selection_settings import SelectionRule
from totalmap.settings import Search, SegmentationSection, Variant

WIDE_AROUND_GALLBLADDER = replace(AROUND_GALLBLADDER, rows=40, columns=44, n_slices=32)
SMALL = SeriesSpec(
    rows=24, columns=20, n_slices=14, pixel_spacing_mm=(3.5, 3.3), slice_spacing_mm=5.0
)

Labels = NDArray[np.uint8] | NDArray[np.uint16]


def section(
    task: str, variant: Variant = Variant.FULL, structures: tuple[str, ...] = ()
) -> SegmentationSection:
    return SegmentationSection.model_validate(
        {
            "task": task,
            "variant": variant,
            "structures": structures,
            "licence_number": LICENCE_NUMBER,
        }
    )


def options(settings: SegmentationSection) -> list[str]:
    words = ["-ta", settings.task]
    words += {Variant.FAST: ["--fast"], Variant.FASTEST: ["--fastest"]}.get(
        settings.variant or Variant.FULL, []
    )
    return words + (["--roi_subset", *settings.structures] if settings.structures else [])


def equal_labels(
    peer: Peer,
    settings: SegmentationSection,
    spec: SeriesSpec,
    folder: Path,
    build: Callable[[Path, Task], Path] = build_walk,
) -> Segmentation:
    """Segments a phantom with both, with untrained networks, and compares every voxel."""
    task = load_task(settings.task, settings.variant, settings.structures)
    spec = replace(spec, modality=task.modality)
    written = write_series(folder / "in", SEED_WITH_GALLBLADDER, spec)
    models = build(folder / "models", task)
    engine = Engine(settings, models)
    rule = SelectionRule(**(RULE.model_dump() | {"modalities": (task.modality,)}))
    volume = volume_of(written.folder, rule=rule)
    segmentation = engine.segment(volume, SilentObserver().progress)
    peer.totalsegmentator(written.folder, folder / "theirs.nii.gz", models, *options(settings))
    theirs = nibabel.load(folder / "theirs.nii.gz")
    ours, affine = to_las(segmentation.labels, volume.geometry)
    np.testing.assert_allclose(affine, theirs.affine, atol=1e-3)
    values = np.asarray(theirs.dataobj)
    assert values.any(), "a comparison of empty labels would prove nothing"
    differing = int(np.count_nonzero(ours != values))
    assert differing == 0, f"{differing} of {values.size} voxels differ"
    return segmentation


def is_real_crop(labels: Labels) -> bool:
    """Returns whether labels of a random network fill only a part of the image along all axes."""
    found = np.array([np.ptp(places) + 1 for places in np.nonzero(labels)])
    shares = (found / labels.shape).tolist()
    return all(1 / 8 < share < 7 / 8 for share in shares)


@pytest.mark.parametrize(
    ("task", "variant"),
    [
        ("body", Variant.FULL),
        ("body", Variant.FAST),
        ("body", Variant.FASTEST),  # falls back to fast
        ("total_mr", Variant.FULL),
        ("appendicular_bones", Variant.FULL),  # licensed, and with auxiliary labels
    ],
)
def test_a_task_that_searches_the_whole_volume_gives_totalsegmentators_labels(
    peer: Peer, tmp_path: Path, task: str, variant: Variant
) -> None:
    spec = SMALL if variant is Variant.FULL else WIDE_AROUND_GALLBLADDER
    equal_labels(peer, section(task, variant), spec, tmp_path)


def test_vertebrae_are_postprocessed_as_in_totalsegmentator(peer: Peer, tmp_path: Path) -> None:
    """They grow by a ball whose size in voxels depends on the last digit of the spacing."""

    def build(folder: Path, task: Task) -> Path:
        return build_finder(folder, task, 5)

    equal_labels(peer, section("vertebrae_pp"), WIDE_AROUND_GALLBLADDER, tmp_path, build)


@pytest.mark.parametrize(
    "task",
    [
        "headneck_muscles",  # two networks, 3d_fullres_high, 0.75 x 0.75 x 1 mm
        "lung_nodules",
        "liver_segments_mr",  # looks around total_mr, 1.125 x 1.1875 x 3 mm
        "abdominal_muscles",  # looks around body
        "teeth",  # looks around craniofacial_structures, which look around total; 3d_lowres_high
    ],
)
def test_a_task_that_searches_around_another_gives_totalsegmentators_labels(
    peer: Peer, tmp_path: Path, task: str
) -> None:
    found = equal_labels(peer, section(task), WIDE_AROUND_GALLBLADDER, tmp_path)
    assert is_real_crop(found.labels)
    assert len(found.models) > 1


@pytest.mark.parametrize(
    ("variant", "structures", "networks"),
    [
        (Variant.FULL, ("rib_left_3", "aorta"), 1 + 2),
        (Variant.FAST, ("spinal_cord", "sternum"), 1 + 1),
    ],
)
def test_chosen_structures_are_searched_in_a_box_and_get_totalsegmentators_labels(
    peer: Peer, tmp_path: Path, variant: Variant, structures: tuple[str, ...], networks: int
) -> None:
    found = equal_labels(
        peer, section("total", variant, structures), WIDE_AROUND_GALLBLADDER, tmp_path
    )
    assert is_real_crop(found.labels)
    assert len(found.models) == networks
    assert {one.structure.name for one in found.found()} <= set(structures)


def test_boxes_give_the_merged_labels_of_totalsegmentators_command_run_for_each_network(
    peer: Peer, tmp_path: Path
) -> None:
    """The rough network finds organs and vertebrae, and no structure of the third network."""
    task = load_task("total", Variant.FULL, search=Search.BOXES)
    written = write_series(tmp_path / "in", SEED_WITH_GALLBLADDER, WIDE_AROUND_GALLBLADDER)
    models = build_boxes(tmp_path / "models", task)
    volume = volume_of(written.folder)
    settings = SegmentationSection(variant=Variant.FULL, search=Search.BOXES)
    found = Engine(settings, models).segment(volume, SilentObserver().progress)
    merged = np.zeros(volume.geometry.shape[::-1], dtype=np.uint8)
    shares = []
    for part in task.boxes[:3]:
        path = tmp_path / f"{part.models[0].dataset}.nii.gz"
        names = [structure.name for structure in part.structures]
        peer.totalsegmentator(written.folder, path, models, "--roi_subset", *names)
        theirs = np.asarray(nibabel.load(path).dataobj)
        np.copyto(merged, theirs, where=theirs != 0)
        shares.append(float((theirs != 0).mean()))
    differing = int(np.count_nonzero(to_las(found.labels, volume.geometry)[0] != merged))
    assert differing == 0, f"{differing} of {merged.size} voxels differ"
    assert 0 < shares[0] < shares[1] < 1
    assert shares[2] == 0


def test_an_unsupported_task_gets_its_labels_from_totalsegmentators_python_api(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TotalMAP needs no timm and no torchvision, which nnU-Net imports to find the trainer."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = equal_labels(peer, section("hip_implant"), WIDE_AROUND_GALLBLADDER, tmp_path)
    assert is_real_crop(found.labels)
    assert found.engine is EngineKind.TOTALSEGMENTATOR_API


def test_the_application_labels_an_mr_study_as_totalsegmentator_does(
    peer: Peer, tmp_path: Path
) -> None:
    """No other setting than the task selects MR."""
    written = write_series(tmp_path / "in", SEED_WITH_GALLBLADDER, replace(SMALL, modality="MR"))
    models = build_task(tmp_path / "models", load_task("total_mr", Variant.FAST))
    overrides = {"TOTALMAP_SEGMENTATION__TASK": "total_mr", "TOTALMAP_RESULTS__KINDS": "[nifti]"}
    subprocess.run(
        [sys.executable, "-m", "app", "-i", written.folder, "-o", tmp_path / "ours", "-m", models],
        cwd=REPOSITORY,
        env=os.environ | overrides,
        check=True,
        timeout=WAIT_SECONDS,
    )
    words = ["-ta", "total_mr", "--fast"]
    peer.totalsegmentator(written.folder, tmp_path / "theirs.nii.gz", models, *words)
    ours = np.asarray(nibabel.load(result_in(tmp_path / "ours", "labels.nii.gz")).dataobj)
    theirs = np.asarray(nibabel.load(tmp_path / "theirs.nii.gz").dataobj)
    assert len(np.unique(theirs)) > 5
    np.testing.assert_array_equal(ours, theirs)

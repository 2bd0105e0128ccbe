"""Fuzzes with hundreds of broken studies: no traceback, no hang, no silently wrong volume.

The seeds are fixed, so the mutants are the same in every run.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.fuzz.__main__ import TooLong, limited_time
from tests.fuzz.healthy_studies import SPEC
from tests.fuzz.mutant_checks import secrets_in
from tests.fuzz.mutants import MUTATIONS
from tests.fuzz.volume_check import WrongVolume, check_volume
from tests.phantom import write_enhanced, write_series
from tests.segmentations import volume_of
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.volume import Volume

MUTANTS = int(os.environ.get("MUTANTS", "300"))
PROCESSES = 2
LINE = re.compile(r"^(\d+) (\w+) [\d.]+ s, [^:]*: (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def output() -> str:
    """The output of the fuzzer, which has to succeed."""
    share = MUTANTS // PROCESSES
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz", f"--first={first}", f"--count={share}"],
            cwd=REPOSITORY,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in range(0, MUTANTS, share)
    ]
    texts = []
    for process in running:
        stdout, stderr = process.communicate()  # each mutant has a limit of its own
        assert process.returncode == 0, stderr[-10_000:]
        texts.append(stdout + stderr)
    return "\n".join(texts)


def test_every_mutated_dicom_study_of_the_fuzzer_ends_as_expected(output: str) -> None:
    assert len(LINE.findall(output)) == MUTANTS
    assert "Traceback" not in output


def test_mutated_dicom_studies_of_the_fuzzer_succeed_and_fail_in_several_ways(output: str) -> None:
    outcomes = Counter(outcome for _, outcome, _ in LINE.findall(output))
    assert 0.1 * MUTANTS < outcomes["success"] < 0.9 * MUTANTS
    assert {"NoSuitableSeries", "InputError", "UnreadableInstance"} <= set(outcomes)


def test_every_kind_of_mutation_occurs_among_the_studies_of_the_fuzzer(output: str) -> None:
    kinds = {
        words.split(": ")[0]
        for _, _, mutations in LINE.findall(output)
        for words in mutations.split(" | ")
        if not words.endswith("not possible any more")
    }
    assert kinds == {mutation.__name__ for mutation in MUTATIONS}


def test_the_fuzzers_output_holds_no_patient_data(output: str) -> None:
    assert secrets_in(output.splitlines()) == []


@pytest.fixture
def errors(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "errors").open("w") as file:
        yield file


def test_the_fuzzer_stops_a_mutated_study_that_never_ends(errors: TextIO) -> None:
    def never_end() -> None:
        with limited_time(errors, processor_seconds=0.1):
            while True:
                pass

    with pytest.raises(TooLong):
        never_end()


def test_the_fuzzers_time_limit_counts_the_processor_time_of_a_mutated_study_alone(
    errors: TextIO,
) -> None:
    spin = "import time\nwhile time.process_time() < 1: pass"
    with limited_time(errors, processor_seconds=0.5):
        subprocess.run([sys.executable, "-c", spin], check=True)


def test_the_fuzzer_needs_no_torch() -> None:
    program = "import sys, tests.fuzz.__main__; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    write_series(tmp_path_factory.mktemp("classic"), 0, SPEC)
    return volume_of(tmp_path_factory.getbasetemp() / "classic0")


def test_the_fuzzers_volume_check_accepts_correct_volumes(volume: Volume, tmp_path: Path) -> None:
    check_volume(volume)
    write_enhanced(tmp_path, 0, replace(SPEC, file_order="shuffled"))
    check_volume(volume_of(tmp_path))


def spoilt(volume: Volume, kind: str) -> Volume:
    voxels, affine = volume.voxels.copy(), volume.geometry.affine_lps.copy()
    if kind == "mirrored slice":
        voxels[5] = voxels[5, :, ::-1]
    elif kind == "swapped slices":
        voxels[[5, 6]] = voxels[[6, 5]]
    elif kind == "one voxel":
        voxels[3, 4, 5] += 1
    elif kind == "shifted":
        affine[0, 3] += 0.5
    elif kind == "mirrored":
        affine[:3, 0] *= -1
    elif kind == "stretched":
        affine[:3, 2] *= 1.02
    geometry = Geometry.regular(affine, volume.geometry.shape)
    return replace(volume, voxels=voxels, geometry=geometry)


@pytest.mark.parametrize(
    "kind",
    ["mirrored slice", "swapped slices", "one voxel", "shifted", "mirrored", "stretched"],
)
def test_the_fuzzers_volume_check_finds_a_wrong_volume(volume: Volume, kind: str) -> None:
    check_volume(spoilt(volume, "nothing"))
    with pytest.raises(WrongVolume):
        check_volume(spoilt(volume, kind))


def test_the_fuzzers_volume_check_finds_a_missing_slice(volume: Volume) -> None:
    with pytest.raises(WrongVolume, match="fit together"):
        check_volume(replace(volume, voxels=np.delete(volume.voxels, 3, axis=0)))


@pytest.mark.parametrize(
    "text", ["phantom^totalmap", "ID TM-PHANTOM-0001.", "born 19700102", "TMACC0001", "PHANTOM"]
)
def test_the_fuzzer_finds_patient_data_in_messages(text: str) -> None:
    assert secrets_in(["nothing", text]) == [f"patient data in {text!r}"]

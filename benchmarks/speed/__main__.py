"""Compares speed, memory and labels of this application with the unmodified TotalSegmentator.

    python -m benchmarks.speed [--variant fast full] [--arithmetic exact compiled bf16]
        [--warm exact] [--boxes exact compiled] [--runs 2] [--peer-runs 2] [--warm-runs 1]
        [--narrow] [--patch 112 112 128] [--slices 224] [--size 512] [--spacing 0.8 1.5]
        [--device cpu] [--gemm-size 4096] [--output FILE]

The contenders segment the same DICOM folder with the same networks, in turn: TotalSegmentator, our
arithmetics exact, compiled and bf16, our warm engine, at 1.5 mm also our engine with each network
in the box of its structures, then again. The networks have the size of the real networks (--narrow:
a quarter of the width) and random weights. All labels are compared with TotalSegmentator's, voxel
by voxel. If our application refuses a setting, the table shows the reason. After any other failure
the exit status is 1; the other rows are still measured.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.speed.arithmetic_limit import GEMM_SIZE, flop_of_tile, gemm_flop_per_second
from benchmarks.speed.contenders import (
    REPOSITORY,
    Arithmetic,
    Case,
    Contender,
    Device,
    Precision,
    our_application,
    our_engine_in_boxes,
    our_warm_engine,
    totalsegmentator_command,
)
from benchmarks.speed.network_sizes import NARROW_FEATURES, PATCH_SIZES, REAL_FEATURES, WIDEST
from benchmarks.speed.process_measurement import measure
from benchmarks.speed.run_contenders_in_turn import Race, print_progress
from benchmarks.speed.run_in_boxes import save_rough_labels
from benchmarks.speed.table import FOOTNOTES, Limit, table
from benchmarks.write_report import NO_GPU, cpu_model
from tests.networks import build_models
from tests.peer import peer_command
from tests.phantom import SeriesSpec, write_series
from totalmap.engine.tasks import load_task
from totalmap.engine.weights_manifest import Agreement, read_manifest, record_agreements
from totalmap.errors import ConfigError
from totalmap.settings import Variant

ARITHMETICS: tuple[Arithmetic, ...] = ("exact", "compiled", "bf16")
VARIANTS = (Variant.FAST, Variant.FULL)
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOTALSEGMENTATOR = "TotalSegmentator"
WORK = REPOSITORY / "build"
DEMO_MODELS = REPOSITORY / "models" / "demo"
EMPTY_STARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the benchmark; lengths in mm.

    Attributes:
        patch_size: In voxels; None: the patch size of the real networks.
        gemm_size: Rows and columns of the matrices that give the limit.
    """

    variants: tuple[Variant, ...]
    arithmetics: tuple[Arithmetic, ...]
    warm: tuple[Arithmetic, ...]
    boxes: tuple[Arithmetic, ...]
    runs: int
    peer_runs: int
    warm_runs: int
    narrow: bool
    patch_size: tuple[int, int, int] | None
    slices: int
    size: int
    pixel_mm: float
    slice_mm: float
    device: Device
    gemm_size: int
    output: Path | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and returns the exit status."""
    options = parse_options(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return ConfigError.exit_status
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=WORK) as name:
        report, failed = _measure_all(options, Path(name))
    print(f"\n{report}")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(report + "\n", encoding="utf-8")
    return 1 if failed else 0


def parse_options(arguments: Sequence[str] | None) -> Options:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--variant", nargs="+", choices=[variant.value for variant in VARIANTS])
    parser.add_argument("--arithmetic", nargs="*", choices=ARITHMETICS, default=ARITHMETICS)
    parser.add_argument("--warm", nargs="*", choices=ARITHMETICS, default=("exact",))
    parser.add_argument(
        "--boxes", nargs="*", choices=ARITHMETICS, default=("exact", "compiled"), help="at 1.5 mm"
    )
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument(
        "--peer-runs", type=int, help="runs of TotalSegmentator; default: as --runs"
    )
    parser.add_argument("--warm-runs", type=int, default=1, help="each segments two studies")
    parser.add_argument("--narrow", action="store_true", help="networks of a quarter of the width")
    parser.add_argument(
        "--patch", type=int, nargs=3, metavar="N", help="default: that of the real networks"
    )
    parser.add_argument("--slices", type=int, default=224)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument(
        "--spacing",
        type=float,
        nargs=2,
        default=(0.8, 1.5),
        metavar="MM",
        help="of pixels and of slices",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--gemm-size", type=int, default=GEMM_SIZE, metavar="N", help="of the matrices of the limit"
    )
    parser.add_argument("--output", type=Path, help="also write the report to this file")
    given = parser.parse_args(arguments)
    return Options(
        variants=tuple(map(Variant, given.variant or VARIANTS)),
        arithmetics=tuple(given.arithmetic),
        warm=tuple(given.warm),
        boxes=tuple(given.boxes),
        runs=given.runs,
        peer_runs=given.runs if given.peer_runs is None else given.peer_runs,
        warm_runs=given.warm_runs,
        narrow=given.narrow,
        patch_size=tuple(given.patch) if given.patch else None,
        slices=given.slices,
        size=given.size,
        pixel_mm=given.spacing[0],
        slice_mm=given.spacing[1],
        device=given.device,
        gemm_size=given.gemm_size,
        output=given.output,
    )


def _measure_all(options: Options, folder: Path) -> tuple[str, bool]:
    """Returns the report, and whether a run failed."""
    print_progress(f"writing a CT of {options.size} x {options.size} x {options.slices}")
    source = folder / "study"
    write_series(source, 0, _series(options))
    _start_once(folder)
    sections, failed = [_header(options)], False
    for variant in options.variants:
        print_progress(f"building the networks of variant {variant}")
        models = _build(folder / f"models-{variant}", variant, options)
        case = Case(variant=variant, source=source, models=models, device=options.device)
        race = Race(_contenders(case, options), folder)
        before = _gemm_rates(options)
        race.run()
        after = _gemm_rates(options)
        failed |= race.failed
        task = load_task("total", variant)
        limit = Limit(
            tiles=race.tiles,
            flop_per_tile=flop_of_tile(task, models),
            flop_per_second={name: max(before[name], after[name]) for name in before},
        )
        title = f"{variant}, {task.spacing_mm[0]:g} mm; networks: {len(task.models)}"
        sections.append(table(title, race.entries(), limit))
    sections += [*FOOTNOTES, _shim_footnote(folder)]
    return "\n\n".join(sections), failed


def _contenders(case: Case, options: Options) -> list[Contender]:
    return [
        totalsegmentator_command(case, TOTALSEGMENTATOR, options.peer_runs),
        *(our_application(case, arithmetic, options.runs) for arithmetic in options.arithmetics),
        *(our_warm_engine(case, arithmetic, options.warm_runs) for arithmetic in options.warm),
        *_contenders_in_boxes(case, options),
    ]


def _contenders_in_boxes(case: Case, options: Options) -> Iterator[Contender]:
    if case.variant is not Variant.FULL or not options.boxes or case.device != "cpu":
        return
    print_progress("the demo network finds the structures, for the boxes")
    rough_labels = case.models / "rough_labels.npy"
    save_rough_labels(case.source, DEMO_MODELS, rough_labels)
    for arithmetic in options.boxes:
        yield our_engine_in_boxes(case, arithmetic, options.runs, rough_labels)


def _series(options: Options) -> SeriesSpec:
    return SeriesSpec(
        rows=options.size,
        columns=options.size,
        n_slices=options.slices,
        pixel_spacing_mm=(options.pixel_mm, options.pixel_mm),
        slice_spacing_mm=options.slice_mm,
        slice_thickness_mm=options.slice_mm,
    )


def _build(folder: Path, variant: Variant, options: Options) -> Path:
    features = _features(options)
    models = folder
    # At 1.5 mm the rough network of the boxes, too.
    for each in (variant, Variant.FASTEST) if variant is Variant.FULL else (variant,):
        build_models(
            models,
            each,
            patch_size=options.patch_size or PATCH_SIZES[each],
            base_features=features,
            max_features=WIDEST * features,
        )
    # Without a record, bf16 would be refused for random weights.
    passed = Agreement(min_dice=1.0, structure="none: random weights", structures=0)
    record_agreements(models, dict.fromkeys(_datasets(models), passed))
    return models


def _datasets(models: Path) -> list[str]:
    return [record.dataset for record in read_manifest(models).models]


def _features(options: Options) -> int:
    return NARROW_FEATURES if options.narrow else REAL_FEATURES


def _gemm_rates(options: Options) -> dict[Precision, float]:
    print_progress("  measuring torch.mm")
    return {
        name: gemm_flop_per_second(dtype, options.device, options.gemm_size)
        for name, dtype in DTYPES.items()
    }


def _start_once(folder: Path) -> None:
    """Reads the files of both programs into the disk cache, so that no round is the first."""
    command = peer_command(folder, folder / "first.nii.gz", folder)
    measure([command.words[0], "--help"], command.environment)
    measure([sys.executable, "-c", "import app.application, totalmap.engine.predict"])


def _header(options: Options) -> str:
    width = "a quarter of the real width" if options.narrow else "the real width"
    patch = " x ".join(map(str, options.patch_size)) if options.patch_size else "as the real ones"
    packages = ", ".join(
        f"{name} {version(name)}" for name in (TOTALSEGMENTATOR, "nnunetv2", "torch")
    )
    return "\n".join(
        [
            f"- Machine: {cpu_model()}, {os.cpu_count()} cores"
            + (f", {torch.cuda.get_device_name()}" if options.device == "cuda" else ""),
            f"- Versions: {packages}, Python {platform.python_version()}",
            f"- CT: {options.size} x {options.size} x {options.slices}, "
            f"{options.pixel_mm} x {options.pixel_mm} x {options.slice_mm} mm",
            f"- Networks: random weights, {width} ({_features(options)} features in the first "
            f"stage), patch {patch}",
            f"- Runs: TotalSegmentator {options.peer_runs}, ours {options.runs}, "
            f"warm {options.warm_runs}; in turn, device {options.device}",
        ]
    )


def _shim_footnote(folder: Path) -> str:
    """Returns how much tests.peer adds to each start of a process of TotalSegmentator."""
    print_progress("starting empty processes")
    environment = peer_command(folder, folder / "empty.nii.gz", folder).environment
    pairs = [(_empty_start(environment), _empty_start(os.environ)) for _ in range(EMPTY_STARTS)]
    added = statistics.median(ours - bare for ours, bare in pairs)
    return (
        "TotalSegmentator is unmodified. Where torchvision does not load beside torch, a "
        "sitecustomize.py declares the two operators that it misses; it adds "
        f"{added:.2f} s to the start of each process."
    )


def _empty_start(environment: Mapping[str, str]) -> float:
    return measure([sys.executable, "-c", "pass"], environment).seconds


if __name__ == "__main__":
    sys.exit(main())

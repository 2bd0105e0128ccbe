"""Measures how many errors the quality rules detect, how many alarms are false, and their cost.

    python -m benchmarks.quality_rule_detection [--bodies 5] [--variants 25] [--output FILE]

Wrong labels: each kind of error is made in the true labels of the phantom's bodies (the whole
trunk, chest, abdomen, abdomen with pelvis, and bodies that are tilted, large or small) and in
TotalSegmentator's reference labels of two real CTs of 90 and 40 mm, wherever the structures of the
error are in view. With less than 100 mm in view, only sides and order are judged. `rules` is how
often a rule for this error reports it: with a reject for sides, orientation and numbers, with a
warning or a reject for all others.

`and 2nd` is how often a rule reports the error or a second opinion differs
(quality.second_opinion: true). The second network sees the same body correctly, with borders that
lie 1.25 mm elsewhere (root mean square): on the finest grid here, of a real CT, structures then
agree as well as the resolutions of two networks allow. If the image itself is wrong, both networks
make the same error. So the column shows errors that one network makes alone; it is unknown how
many errors both make.

Right labels: as many other bodies, scanned in unusual ways; a warning or a reject of the rules or
of the second opinion is a false alarm.

The rules can't detect a lost part or a moved border if volume, level and tissue stay those of a
body, nor an error that makes the body look like another patient's. No network took part here: this
table does not show which errors networks make, and how often.

Cost: 117 ellipsoids in 512 x 512 x 300 voxels with a round field of view, in a process of its own,
from the arrays in memory to the findings; memory is the additional memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.seg import begin_peak, ellipsoids, peak_megabytes
from benchmarks.write_report import write_report
from tests.corruptions import (
    KINDS,
    VARIANTS,
    Kind,
    Need,
    Scan,
    View,
    disagreements_of,
    drawn_anew,
    findings_of,
    phantom_scan,
    real_scans,
    valid_variant,
)
from tests.corruptions.unusual_scans import Vary, scaled, turned
from tests.segmentations import TASK
from totalmap.dicom.geometry import Geometry
from totalmap.finding import Verdict, verdict
from totalmap.measure.label_statistics import label_statistics
from totalmap.quality.plausibility.assess_plausibility import assess_plausibility

VIEWS = (View.TRUNK, View.CHEST, View.ABDOMEN, View.ABDOMEN_AND_PELVIS)
ASKEW_SEEDS, VARIANT_SEEDS = 50, 2000  # each scan has a body of its own
COST_SHAPE, RUNS = (300, 512, 512), 3
PIXEL_MM, SLICE_MM, RADIUS_PX = 0.8, 1.5, 250


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bodies", type=int, default=5, help="of each view, for wrong labels")
    parser.add_argument("--variants", type=int, default=25, help="of each kind, for right labels")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--cost", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cost:
        _cost_here()
        return
    lines = []
    for line in chain(_cost(), [""], _wrong(given.bodies), [""], _right(given.variants)):
        print(line, flush=True)
        lines.append(line)
    if given.output:
        table = "\n".join(lines)
        write_report(
            given.output, "Quality rules", "benchmarks.quality_rule_detection", __doc__, table
        )


@dataclass(frozen=True, kw_only=True)
class Detections:
    """The number of scans with an error, and the scans in which it was missed."""

    made: int
    by_rules: Counter[str]
    by_both: Counter[str]

    def __add__(self, other: "Detections") -> "Detections":
        return Detections(
            made=self.made + other.made,
            by_rules=self.by_rules + other.by_rules,
            by_both=self.by_both + other.by_both,
        )

    def line(self, name: str, *, where: bool = True) -> str:
        """Returns a line of the table."""
        counts = (self.made - missed.total() for missed in (self.by_rules, self.by_both))
        shares = (f"{count}/{self.made}{count / max(self.made, 1):6.0%}" for count in counts)
        columns = "".join(f"{share:>15}" for share in shares)
        return f"{name:44}{columns}   {_listed(self.by_both) if where else ''}".rstrip()


NOTHING = Detections(made=0, by_rules=Counter(), by_both=Counter())


def _wrong(bodies: int) -> Iterator[str]:
    scans = [phantom_scan(seed, view) for seed in range(bodies) for view in VIEWS]
    askew = range(ASKEW_SEEDS, ASKEW_SEEDS + bodies)
    scans += [valid_variant(vary, seed) for seed in askew for vary in (turned, scaled)]
    scans += real_scans()
    seen = [(scan, drawn_anew(scan, seed)) for seed, scan in enumerate(scans)]
    everything = NOTHING
    for need in Need:
        yield f"{need.value:44}{'rules':>15}{'and 2nd':>15}   missed by both in"
        together = NOTHING
        for kind in (error for error in KINDS if error.need is need):
            detections = _detections(kind, seen)
            together += detections
            yield detections.line(f"  {kind.name}")
        everything += together
        yield together.line("  together", where=False)
    yield everything.line(f"all {len(KINDS)} kinds", where=False)


def _detections(kind: Kind, seen: list[tuple[Scan, Scan]]) -> Detections:
    where = [(scan, other) for scan, other in seen if kind.applies_to(scan)]
    by_rules: Counter[str] = Counter()
    by_both: Counter[str] = Counter()
    for scan, other in where:
        corrupted = kind.corrupt(scan)
        findings = findings_of(corrupted)
        if not kind.is_detected(findings):
            by_rules[scan.view.name.lower()] += 1
            second = kind.corrupt(other) if kind.of_image else other
            by_both[scan.view.name.lower()] += not disagreements_of(corrupted, second, findings)
    return Detections(made=len(where), by_rules=by_rules, by_both=+by_both)


def _right(variants: int) -> Iterator[str]:
    yield f"{'right labels, unusual scans':44}{'to review':>15}{'rejected':>15}   with"
    everything: Counter[Verdict] = Counter()
    for n, vary in enumerate(VARIANTS):
        seeds = range(VARIANT_SEEDS + n * variants, VARIANT_SEEDS + (n + 1) * variants)
        verdicts, codes = _alarms(vary, seeds)
        everything += verdicts
        yield _alarm_line(f"  {vary.__name__.replace('_', ' ')}", verdicts, codes)
    yield _alarm_line("  together", everything, Counter())


def _alarms(vary: Vary, seeds: range) -> tuple[Counter[Verdict], Counter[str]]:
    verdicts: Counter[Verdict] = Counter()
    codes: Counter[str] = Counter()
    for seed in seeds:
        scan = valid_variant(vary, seed)
        findings = findings_of(scan)
        findings += disagreements_of(scan, drawn_anew(scan, seed), findings)
        verdicts[verdict(findings)] += 1
        codes.update({item.code for item in findings if verdict([item]) is not Verdict.OK})
    return verdicts, codes


def _alarm_line(name: str, verdicts: Counter[Verdict], codes: Counter[str]) -> str:
    of = verdicts.total()
    review, reject = f"{verdicts[Verdict.REVIEW]}/{of}", f"{verdicts[Verdict.REJECT]}/{of}"
    return f"{name:44}{review:>15}{reject:>15}   {_listed(codes)}".rstrip()


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _cost() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.quality_rule_detection", "--cost"]
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    seconds, cpu, rules, memory = (statistics.median(values) for values in zip(*runs, strict=True))
    yield (
        f"{os.cpu_count()} cores; cost: {seconds:.2f} s ({cpu:.2f} s of all cores), {rules:.3f} s "
        f"of it the rules, {memory:.0f} MB; median of {RUNS} runs"
    )


def _cost_here() -> None:
    labels = ellipsoids(COST_SHAPE, len(TASK.structures))
    values = np.random.default_rng(0).integers(-1000, 1000, COST_SHAPE, dtype=np.int16)
    j, i = np.ogrid[: COST_SHAPE[1], : COST_SHAPE[2]]
    outside = (j - COST_SHAPE[1] / 2) ** 2 + (i - COST_SHAPE[2] / 2) ** 2 > RADIUS_PX**2
    values[:, outside], labels[:, outside] = -1024, 0
    inference = np.ascontiguousarray(labels[:, ::2, ::2])
    geometry = Geometry.regular(np.diag([PIXEL_MM, PIXEL_MM, SLICE_MM, 1.0]), COST_SHAPE)
    before, start, cpu = begin_peak(), time.perf_counter(), time.process_time()
    table = label_statistics(labels, values, geometry, inference)
    counted = time.perf_counter()
    assess_plausibility(table, TASK.structures, is_hu=True)
    end = time.perf_counter()
    spent = time.process_time() - cpu
    print(json.dumps([end - start, spent, end - counted, peak_megabytes() - before]))


if __name__ == "__main__":
    main()

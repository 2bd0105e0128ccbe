"""Formats the table of benchmarks.speed as Markdown that is aligned as plain text too."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speed.arithmetic_limit import GEMM_SIZE
from benchmarks.speed.contenders import Precision, Run, RunFailed
from benchmarks.speed.label_agreement import SMALLEST_STRUCTURE_VOXELS, Agreement

HEADINGS = (
    "",
    "seconds",
    "range",
    "tiles",
    "network",
    "of limit",
    "outside",
    "of network",
    "peak GB",
    "differ",
)
UNKNOWN = "-"

FOOTNOTES = (
    "Seconds are medians, from the DICOM folder to the NIfTI of the labels; the number in brackets "
    "is how many times faster this is than TotalSegmentator. Network: the loop over the tiles; of "
    "limit: the machine's limit as a share of it. Outside: all other time; of network: as a share "
    "of the network's time. A warm run is the second study of one engine, up to the labels in "
    "memory.",
    "In boxes each network runs only in the box of its own structures, as the demo network finds "
    "them; the tile of the rough network counts. Quality control is left out, as in a warm run. "
    "The labels equal those of `TotalSegmentator --roi_subset` for each network, not these.",
    "Differ: voxels whose label is not TotalSegmentator's, in the worst run.",
    "Peak GB: 10^9 bytes, all processes of the command, shared pages counted once.",
    "The weights are random: the labels are noise, and the last bit of a sum decides. 0 differing "
    "voxels is the strictest result. The share and the lowest Dice (of structures with at least "
    f"{SMALLEST_STRUCTURE_VOXELS} voxels) of compiled and bf16 say little about trained weights, "
    "on which their agreement is measured elsewhere.",
)
STAR = "\\*"
STAR_FOOTNOTE = (
    f"{STAR} The command reports no time of its network: this is its whole stage `segment`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All rounds of one contender.

    Attributes:
        agreements: With TotalSegmentator's labels, one for each run; may be empty.
        failure: The reason of its end, or None.
    """

    name: str
    precision: Precision
    runs: Sequence[Run]
    agreements: Sequence[Agreement]
    failure: RunFailed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The limit of the machine.

    Attributes:
        tiles: The number of tiles of all networks together.
        flop_per_tile: The floating-point operations of a tile, the mean over the networks.
        flop_per_second: The rate of torch.mm, by precision.
    """

    tiles: int
    flop_per_tile: float
    flop_per_second: Mapping[Precision, float]

    def seconds(self, precision: Precision, tiles: int | None = None) -> float:
        """Returns the seconds that tiles, by default all, would take at the rate of torch.mm."""
        return (tiles or self.tiles) * self.flop_per_tile / self.flop_per_second[precision]


def table(title: str, entries: Sequence[Entry], limit: Limit) -> str:
    """Returns the table of one variant; the first entry is TotalSegmentator."""
    reference = _Medians.of(entries[0].runs)
    rows = [_row(entry, reference, limit) for entry in entries]
    rows += [_limit_row(precision, reference, limit) for precision in limit.flop_per_second]
    rates = " and ".join(
        f"{rate / 1e9:,.0f} in {precision}" for precision, rate in limit.flop_per_second.items()
    )
    paragraphs = [
        f"### {title}",
        "\n".join(_aligned([HEADINGS, *rows])),
        f"Limit: {limit.tiles} tiles of {limit.flop_per_tile / 1e12:.3g} TFLOP at the rate of "
        f"`torch.mm` ({GEMM_SIZE} x {GEMM_SIZE}) on this machine, in GFLOP/s: {rates}.",
    ]
    paragraphs += [
        f"{entry.name} {_verb(entry.failure)}: {entry.failure.reason}"
        for entry in entries
        if entry.failure
    ]
    if not all(run.is_network_known for entry in entries for run in entry.runs):
        paragraphs.append(STAR_FOOTNOTE)
    return "\n\n".join(paragraphs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Medians:
    seconds: float
    network: float
    outside: float

    @staticmethod
    def of(runs: Sequence[Run]) -> "_Medians | None":
        if not runs:
            return None
        return _Medians(
            seconds=statistics.median(run.seconds for run in runs),
            network=statistics.median(run.network.seconds for run in runs),
            outside=statistics.median(run.outside_seconds for run in runs),
        )


def _row(entry: Entry, reference: _Medians | None, limit: Limit) -> tuple[str, ...]:
    ours = _Medians.of(entry.runs)
    if ours is None:
        verb = _verb(entry.failure) if entry.failure else "not run"
        return (entry.name, verb, *[UNKNOWN] * (len(HEADINGS) - 2))
    base = None if reference == ours else reference
    is_known = all(run.is_network_known for run in entry.runs)
    seconds = [run.seconds for run in entry.runs]
    tiles = entry.runs[0].network.tiles
    return (
        entry.name,
        _times(ours.seconds, base.seconds if base else None),
        f"{min(seconds):.1f}-{max(seconds):.1f}" if len(seconds) > 1 else UNKNOWN,
        str(tiles) if tiles else UNKNOWN,
        _times(ours.network, base.network if base else None) if is_known else _starred(ours),
        f"{limit.seconds(entry.precision, tiles) / ours.network:.0%}" if is_known else UNKNOWN,
        _times(ours.outside, base.outside if base else None) if is_known else UNKNOWN,
        f"{ours.outside / ours.network:.0%}" if is_known else UNKNOWN,
        f"{max(run.peak_bytes for run in entry.runs) / 1e9:.1f}",
        _differing(entry.agreements),
    )


def _starred(medians: _Medians) -> str:
    return f"{STAR} {medians.network:.1f}"


def _limit_row(precision: Precision, reference: _Medians | None, limit: Limit) -> tuple[str, ...]:
    seconds = _times(limit.seconds(precision), reference.network if reference else None)
    name, tiles = f"limit, {precision}", str(limit.tiles)
    return (name, UNKNOWN, UNKNOWN, tiles, seconds, "100%", *[UNKNOWN] * 4)


def _verb(failure: RunFailed) -> str:
    return "refused" if failure.refused else "failed"


def _times(seconds: float, reference: float | None) -> str:
    text = f"{seconds:.1f}"
    return f"{text} ({reference / seconds:.1f}x)" if reference and seconds > 0 else text


def _differing(agreements: Sequence[Agreement]) -> str:
    if not agreements:
        return UNKNOWN
    worst = max(agreements, key=lambda agreement: agreement.differing)
    if worst.differing == 0:
        return "0"
    dice = min(agreement.min_dice for agreement in agreements)
    share = worst.differing / worst.voxels
    return f"{worst.differing:,} ({share:.2%}), Dice {dice:.3f}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Returns the lines of a Markdown table: the first column to the left, all others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in (padded[0], rule, *padded[1:])]

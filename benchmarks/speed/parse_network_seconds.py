"""Reads from the output of a command how many seconds its networks took."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NETWORKS_RAN = "networks_ran"

# The last state of a tqdm progress bar. nnU-Net shows a bar for each network around its loop over
# the tiles: "100%|███| 4/4 [00:26<00:00,  6.54s/it]". At the end tqdm writes the mean rate.
_FINISHED_BAR = re.compile(r"100%\|[^|]*\| (\d+)/\1 \[[^,\]]*, *([\d.]+)(it/s|s/it)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTime:
    """Wall time of the loop over all tiles: the networks and the sum of their logits."""

    tiles: int
    seconds: float


def from_progress_bars(stderr: str) -> NetworkTime | None:
    """Adds up the progress bars of the unmodified TotalSegmentator; None if there is none.

    The rate has two decimals, so the error of the seconds is at most half a percent.
    """
    bars = [_FINISHED_BAR.search(line.rpartition("\r")[2]) for line in stderr.split("\n")]
    loops = [_loop(bar) for bar in bars if bar]
    return _sum(loops)


def from_log(stderr: str) -> NetworkTime | None:
    """Adds up our events in a log; lines that are not JSON are ignored."""
    return from_events(events(stderr))


def from_events(entries: Iterable[Mapping[str, Any]]) -> NetworkTime | None:
    """Adds up our events; None if there is none."""
    return _sum(
        [
            NetworkTime(tiles=int(entry["tiles"]), seconds=float(entry["seconds"]))
            for entry in entries
            if entry.get("event") == NETWORKS_RAN
        ]
    )


def events(stderr: str) -> list[dict[str, Any]]:
    """Returns the JSON objects among the lines of a log."""
    return [json.loads(line) for line in stderr.splitlines() if _is_object(line)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _loop(bar: re.Match[str]) -> NetworkTime:
    tiles, rate, unit = int(bar[1]), float(bar[2]), bar[3]
    return NetworkTime(tiles=tiles, seconds=tiles * rate if unit == "s/it" else tiles / rate)


def _sum(parts: list[NetworkTime]) -> NetworkTime | None:
    if not parts:
        return None
    return NetworkTime(
        tiles=sum(part.tiles for part in parts), seconds=sum(part.seconds for part in parts)
    )

"""Splits the series of a study into stacks that hold each place once, where they can."""

from collections.abc import Callable
from dataclasses import replace

from totalmap.dicom.copies import without_copies
from totalmap.dicom.slices import has_same_direction, has_same_matrix, numbered_places, places_mm
from totalmap.dicom.stacks import SINGLES, Stack, split_into_stacks
from totalmap.dicom.study import Study


def split_study(study: Study, may_decode: Callable[[Stack], bool]) -> dict[str, tuple[Stack, ...]]:
    """Returns the stacks of each series by its UID.

    Series of one slice each that would form a volume together get a fault that says so.

    Args:
        study: What was read.
        may_decode: Whether the pixels of a stack may be read where images lie at one place, to
            leave out copies.
    """
    split = {
        series.uid: tuple(
            without_copies(stack) if may_decode(stack) else stack
            for stack in split_into_stacks(series)
        )
        for series in study.series
    }
    scattered = _scattered(split)
    if not scattered:
        return split
    fault = (
        f"{len(scattered)} series have one slice each, and these lie beside each other: "
        "Series Instance UID differs in every slice"
    )
    return split | {
        uid: tuple(replace(stack, fault=fault) for stack in split[uid]) for uid in scattered
    }


def _scattered(split: dict[str, tuple[Stack, ...]]) -> list[str]:
    """Returns the UIDs of the series of one slice each, if most are and they form a stack."""
    with_images = [stacks for stacks in split.values() if stacks]
    single = [
        stacks[0] for stacks in with_images if len(stacks) == 1 and len(stacks[0].slices) == 1
    ]
    usable = [stack for stack in single if stack.usable]
    if len(usable) < SINGLES or 2 * len(usable) <= len(with_images):
        return []
    first = usable[0].first
    alike = [
        stack
        for stack in usable
        if has_same_direction(first, stack.first) and has_same_matrix(first, stack.first)
    ]
    places = set(numbered_places(places_mm([stack.first for stack in alike])))
    return [stack.series.uid for stack in alike] if len(places) >= SINGLES else []

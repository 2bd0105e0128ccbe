"""Splits the series of a study into stacks, and leaves out copies of images."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from totalmap.dicom.slices import (
    LeftOut,
    Slice,
    by_place,
    has_same_direction,
    has_same_matrix,
    in_order,
    numbered_places,
    places_mm,
)
from totalmap.dicom.stacks import SINGLES, Stack, split_into_stacks
from totalmap.dicom.study import Study

COPY = "copies of other images, with equal pixels"
REPLACED = "they can't be used, and other images have the same positions"
# Number of images that are decoded at once, to limit the memory.
IMAGES_AT_ONCE = 64


def without_copies(stack: Stack) -> Stack:
    """Returns a stack without copies, if all images at each position are equal.

    Pixels are read only if several images have the same position. If they differ, the stack stays
    unchanged, and the audit refuses it.
    """
    groups = by_place([item for item in stack.slices if item.frame.plane])
    doubled = [group for group in groups if len(group) > 1]
    if not doubled or len(groups) == 1:
        return stack
    left_out = [*_damaged(doubled), *_copies(doubled)]
    gone = {item.slice.key for item in left_out}
    return replace(
        stack,
        slices=tuple(item for item in stack.slices if item.key not in gone),
        left_out=(*stack.left_out, *left_out),
    )


def _damaged(doubled: list[list[Slice]]) -> Iterator[LeftOut]:
    for group in doubled:
        if any(not item.frame.fault for item in group):
            yield from (LeftOut(slice=item, reason=REPLACED) for item in group if item.frame.fault)


def _copies(doubled: list[list[Slice]]) -> list[LeftOut]:
    """Returns all but the first image of each position; empty if images of a position differ."""
    # Imported here: codecs take long to import, and most series have no copies.
    from totalmap.dicom.pixels import decode_slices

    found: list[LeftOut] = []
    usable = [sorted((i for i in group if not i.frame.fault), key=in_order) for group in doubled]
    for batch in _batches([group for group in usable if len(group) > 1]):
        voxels, undecodable = decode_slices([item for group in batch for item in group])
        if undecodable:
            return []
        start = 0
        for group in batch:
            end = start + len(group)
            if not all(np.array_equal(voxels[start], voxels[k]) for k in range(start + 1, end)):
                return []
            found += [LeftOut(slice=item, reason=COPY) for item in group[1:]]
            start = end
    return found


def _batches(groups: list[list[Slice]]) -> Iterator[list[list[Slice]]]:
    batch: list[list[Slice]] = []
    for group in groups:
        batch.append(group)
        if sum(map(len, batch)) >= IMAGES_AT_ONCE or (len(batch) == 1 and group is groups[0]):
            yield batch  # the first position alone, since phases already differ there
            batch = []
    if batch:
        yield batch


def split_study(study: Study, may_decode: Callable[[Stack], bool]) -> dict[str, tuple[Stack, ...]]:
    """Returns the stacks of each series, by Series Instance UID.

    Series of one slice each that would form a volume together get a fault.

    Args:
        study: The study.
        may_decode: Returns whether the pixels of a stack may be read to find copies.
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
    """Returns the UIDs of series of one slice each that together form a stack.

    Empty if most series have more slices.
    """
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

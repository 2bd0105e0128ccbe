"""Assesses the labels of an existing result, ours or another tool's, from its SEG objects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from totalsegmentator.map_to_binary import class_map

from totalmap.dicom.geometry import canonical_affine_lps, to_canonical
from totalmap.dicom.study import Study
from totalmap.dicom.volume import build_volume
from totalmap.existing_seg import read_labels, read_segs, referenced_series, source_of
from totalmap.finding import Assessment, Finding, Severity
from totalmap.origin_in_dicom import Origin
from totalmap.quality.assess import assess
from totalmap.quality.plausibility.anatomy_table import known_structures, vertebra_name
from totalmap.quality.plausibility.structure_statistics_lookup import vertebrae_in
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.segmentation import InferenceLabels, Segmentation
from totalmap.settings import GeometrySection
from totalmap.structures import Structure

# A result of another tool with so many structures of task `total` is one of the whole task.
_WHOLE_TASK = 60
# With so many vertebrae, a tool segments the spine.
_SPINE = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExistingResult:
    """The labels of SEG objects, and the segments that no rule can assess.

    Attributes:
        segmentation: Labels on the grid of the source. `task` and `variant` are empty for objects
            of another tool.
        unknown: Names of segments that are neither in anatomy.csv nor in the task.
    """

    segmentation: Segmentation
    unknown: tuple[str, ...]


def read_existing_result(segs: Sequence[Path], source: Study) -> ExistingResult:
    """Reads SEG objects onto the grid of their source.

    Raises:
        InputError: The source is missing, a SEG is damaged, or its frames lie on another grid.
    """
    objects, policy = read_segs(segs), GeometrySection()
    origins = tuple(filter(None, (seg.origin for seg in objects)))
    origin = next(iter(origins), None)
    series = referenced_series(seg.header for seg in objects)
    volume = build_volume(source_of(series, source, policy), policy)
    found = read_labels(objects, volume.geometry)
    labels, numbers = found.labels, found.numbers
    names = _looked_for(origins, numbers)
    segmentation = Segmentation(
        task=origin.task if origin else "",
        variant=origin.variant if origin else "",
        volume=with_suitability(volume, origin.task) if origin else volume,
        labels=labels,
        inference=InferenceLabels(
            labels=to_canonical(labels, volume.geometry),
            affine_lps=canonical_affine_lps(volume.geometry),
        ),
        structures=_structures(numbers, names),
        models=(),
    )
    known = {*known_structures(), *names}
    unknown = tuple(name for name in numbers if name not in known)
    return ExistingResult(segmentation=segmentation, unknown=unknown)


def assess_existing_result(existing: ExistingResult) -> Assessment:
    """Returns the findings about an existing result, from which the verdict follows.

    For a result of TotalMAP these are the findings of its own run, without those of a second
    opinion, which needs the networks. The suitability of another tool's images is not assessed.
    """
    findings = assess(existing.segmentation).findings
    return Assessment(findings=(*_about_segments(existing), *findings))


def _about_segments(existing: ExistingResult) -> Iterator[Finding]:
    if not existing.segmentation.labels.any():
        yield Finding(
            code="EMPTY", severity=Severity.REVIEW, sentence="The result holds no structure."
        )
    if existing.unknown:
        yield Finding(
            code="UNKNOWN",
            severity=Severity.INFORMATION,
            sentence=f"{len(existing.unknown)} structures have names that TotalMAP does not know; "
            "they are not assessed.",
            value=float(len(existing.unknown)),
        )


def _structures(numbers: Mapping[str, int], looked_for: Iterable[str]) -> tuple[Structure, ...]:
    """Returns the structures that were found, then those that were looked for and not found."""
    missing = [name for name in dict.fromkeys(looked_for) if name not in numbers]
    first = 1 + max(numbers.values(), default=0)
    labels = dict(numbers) | {name: label for label, name in enumerate(missing, start=first)}
    return tuple(Structure(label=label, name=name) for name, label in labels.items())


def _looked_for(origins: Sequence[Origin], found: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the names of the structures that a result was made to find."""
    return _recorded(origins) if origins else tuple(_guessed(found))


def _recorded(origins: Iterable[Origin]) -> tuple[str, ...]:
    """Returns the structures on record in our objects; older objects record the task only."""
    return tuple(
        name
        for origin in origins
        for label, name in class_map.get(origin.task, {}).items()
        if not origin.looked_for or label in origin.labels
    )


def _guessed(found: Mapping[str, int]) -> Iterator[str]:
    """Yields the structures that another tool probably looked for, judging by what it found."""
    known = [name for name in found if name in known_structures()]
    if len(known) >= _WHOLE_TASK:
        yield from known_structures()
    elif len(vertebrae := vertebrae_in(known)) >= _SPINE:
        yield from (vertebra_name(n) for n in range(vertebrae[0], vertebrae[-1] + 1))

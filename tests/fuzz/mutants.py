"""Makes a mutant of a healthy study by one to three mutations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz import attribute_mutations, element_mutations, file_mutations

Mutation = Callable[[Path, Random], str]
"""Changes the study in a folder and describes the change, without patient data."""

# In the order of their application: only a valid file can be compressed, and mutations that make a
# file unreadable come last.
COMPRESSIONS: tuple[Mutation, ...] = (
    file_mutations.compressed,
    file_mutations.stream_broken,
    file_mutations.stream_truncated,
)
EDITS: tuple[Mutation, ...] = (
    attribute_mutations.attribute_removed,
    attribute_mutations.attribute_emptied,
    attribute_mutations.size_contradicts,
    attribute_mutations.size_absurd,
    attribute_mutations.frames_absurd,
    attribute_mutations.bits_contradict,
    attribute_mutations.colours,
    attribute_mutations.padding_contradicts,
    attribute_mutations.rescale_extreme,
    attribute_mutations.place_contradicts,
    attribute_mutations.directions_wrong,
    attribute_mutations.spacing_wrong,
    attribute_mutations.number_wrong,
    attribute_mutations.uid_wrong,
    attribute_mutations.syntax_wrong,
    attribute_mutations.text_wrong,
    attribute_mutations.patient_wrong,
    attribute_mutations.patient_elsewhere,
    element_mutations.number_type_wrong,
    element_mutations.sequence_for_value,
    element_mutations.value_for_sequence,
    element_mutations.groups_odd,
    attribute_mutations.references_cyclic,
    attribute_mutations.series_mixed,
    attribute_mutations.instance_doubled,
    file_mutations.nothing,
    element_mutations.sequence_deep,
    element_mutations.pixel_length_wrong,
    element_mutations.vr_wrong,
    element_mutations.length_absurd,
    element_mutations.order_wrong,
)
BYTES: tuple[Mutation, ...] = (
    file_mutations.other_syntax,
    file_mutations.truncated,
    file_mutations.header_flipped,
    file_mutations.pixels_flipped,
    file_mutations.bytes_flipped,
    file_mutations.bytes_removed,
    file_mutations.zeros,
    file_mutations.garbage_appended,
    file_mutations.garbage_after_prefix,
    file_mutations.preamble_alone,
    file_mutations.emptied,
    file_mutations.folder_for_file,
    file_mutations.link_to_itself,
    file_mutations.name_odd,
    file_mutations.deflate_bomb,
    file_mutations.many_files,
)
MUTATIONS = (*COMPRESSIONS, *EDITS, *BYTES)

# Slow ones are rare.
RARE: tuple[Mutation, ...] = (file_mutations.deflate_bomb,)
RARE_WEIGHT = 0.2


def mutate(study: Path, rng: Random) -> tuple[str, ...]:
    """Applies one to three mutations to a study and returns their descriptions, kind first."""
    weights = [RARE_WEIGHT if mutation in RARE else 1.0 for mutation in MUTATIONS]
    kinds = set(rng.choices(range(len(MUTATIONS)), weights, k=rng.choice([1, 1, 2, 3])))
    return tuple(_applied(MUTATIONS[kind], study, rng) for kind in sorted(kinds))


def _applied(mutation: Mutation, study: Path, rng: Random) -> str:
    name = mutation.__name__
    try:
        return f"{name}: {mutation(study, rng)}"
    except ValueError:
        # An earlier mutation left a file that can't be parsed.
        return f"{name}: not possible any more"

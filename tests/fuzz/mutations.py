"""Which mutations there are, and how a mutant is made of one to three of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz import attributes, damage

Mutation = Callable[[Path, Random], str]
"""Changes the study in a folder and says how, without patient data."""

# In the order in which they are applied: a file has to be in order to be compressed, and what makes
# a file unreadable comes last.
COMPRESSIONS: tuple[Mutation, ...] = (
    damage.compressed,
    damage.stream_broken,
    damage.stream_truncated,
)
EDITS: tuple[Mutation, ...] = (
    attributes.attribute_removed,
    attributes.attribute_emptied,
    attributes.size_contradicts,
    attributes.size_absurd,
    attributes.frames_absurd,
    attributes.bits_contradict,
    attributes.colours,
    attributes.padding_contradicts,
    attributes.rescale_extreme,
    attributes.place_contradicts,
    attributes.directions_wrong,
    attributes.spacing_wrong,
    attributes.number_wrong,
    attributes.uid_wrong,
    attributes.syntax_wrong,
    attributes.text_wrong,
    attributes.patient_wrong,
    attributes.patient_elsewhere,
    attributes.number_type_wrong,
    attributes.sequence_for_value,
    attributes.value_for_sequence,
    attributes.groups_odd,
    attributes.references_cyclic,
    attributes.series_mixed,
    attributes.instance_doubled,
    damage.nothing,
    attributes.sequence_deep,
    attributes.pixel_length_wrong,
    attributes.vr_wrong,
    attributes.length_absurd,
    attributes.order_wrong,
)
BYTES: tuple[Mutation, ...] = (
    damage.other_syntax,
    damage.truncated,
    damage.header_flipped,
    damage.pixels_flipped,
    damage.bytes_flipped,
    damage.bytes_removed,
    damage.zeros,
    damage.garbage_appended,
    damage.garbage_after_prefix,
    damage.preamble_alone,
    damage.emptied,
    damage.folder_for_file,
    damage.link_to_itself,
    damage.name_odd,
    damage.deflate_bomb,
    damage.many_files,
)
MUTATIONS = (*COMPRESSIONS, *EDITS, *BYTES)

# Slow ones are rare.
RARE: tuple[Mutation, ...] = (damage.deflate_bomb,)
RARE_WEIGHT = 0.2


def mutate(study: Path, rng: Random) -> tuple[str, ...]:
    """Applies one to three mutations to a study and returns what was done, the kind first."""
    weights = [RARE_WEIGHT if one in RARE else 1.0 for one in MUTATIONS]
    kinds = set(rng.choices(range(len(MUTATIONS)), weights, k=rng.choice([1, 1, 2, 3])))
    return tuple(_applied(MUTATIONS[kind], study, rng) for kind in sorted(kinds))


def _applied(mutation: Mutation, study: Path, rng: Random) -> str:
    name = mutation.__name__
    try:
        return f"{name}: {mutation(study, rng)}"
    except ValueError:
        # An earlier mutation left a file that can't be taken apart.
        return f"{name}: not possible any more"

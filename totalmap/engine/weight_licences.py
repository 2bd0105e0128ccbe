"""Reads weight_licences.csv: the licence of each set of weights that TotalSegmentator publishes.

The table has one row for each dataset folder of TotalSegmentator's catalogue that a task can use.
TotalSegmentator names licences by task, and only in its README. The column `source` names the
passage; without one, the licence is `NOASSERTION`.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

_TABLE = "weight_licences.csv"

# SPDX identifier of a licence that is not stated.
NOT_STATED = "NOASSERTION"
# The contract that comes with a licence number of TotalSegmentator.
BY_NUMBER = "LicenseRef-TotalSegmentator"
# These allow any use, also commercial, and need no acceptance by the site.
FREE = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT"})


class Use(StrEnum):
    """The use of the weights that a licence allows."""

    ANY = "any"
    NON_COMMERCIAL = "non-commercial"
    BY_NUMBER = "by number"
    NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLicence:
    """The licence of one set of weights.

    Attributes:
        dataset: Folder name of the weights, as TotalSegmentator's catalogue spells it.
        licence: SPDX identifier, BY_NUMBER or NOT_STATED.
        use: The use that the licence allows.
        small_data: Whether TotalSegmentator marks the task as trained on a small data set.
        source: Address of the passage that states the licence.
        remark: Further information; may be empty.
    """

    dataset: str
    licence: str
    use: Use
    small_data: bool
    source: str
    remark: str


def licence_of(dataset: str) -> WeightLicence | None:
    """Returns the licence of TotalSegmentator's weights in a dataset folder.

    Returns:
        None for a folder that TotalSegmentator's catalogue does not have.
    """
    return known_licences().get(dataset)


@cache
def known_licences() -> dict[str, WeightLicence]:
    """Returns all rows of the table, by dataset."""
    text = (files("totalmap.engine") / _TABLE).read_text(encoding="utf-8")
    return {row["dataset"]: _read(row) for row in csv.DictReader(text.splitlines())}


def _read(row: dict[str, str]) -> WeightLicence:
    return WeightLicence(
        dataset=row["dataset"],
        licence=row["licence"],
        use=Use(row["use"]),
        small_data=row["small_data"] == "yes",
        source=row["source"],
        remark=row["remark"],
    )

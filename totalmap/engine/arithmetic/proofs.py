"""Which quicker ways of computing were proven to have the bits of the usual one.

Which order of summation a library chooses depends on the processor and on shapes, not on values.
So every quicker way is compared once in a process for each shape, on real data, and what was found
holds for all networks.
"""

from collections.abc import Hashable

from totalmap.log import get_logger

log = get_logger()

_found: dict[Hashable, bool] = {}


def proven(*way: Hashable) -> bool | None:
    """Returns whether a way, named by its operation and its shapes, is exact; None: not known."""
    return _found.get(way)


def record(*way: Hashable, is_exact: bool) -> None:
    """Remembers what a comparison showed."""
    _found[way] = is_exact
    if not is_exact:
        log.info("shortcut_not_exact_here", operation=str(way[0]))

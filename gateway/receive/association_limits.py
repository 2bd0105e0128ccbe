"""Limits the number of associations, in all and per sender, and ends stalled ones to make room.

Only the listening process counts. The other receiver processes ask it
(gateway/receive/receiver_processes.py), so that the limits hold for all of them together.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import Protocol

# The share of all places that is kept for senders without an association.
RESERVED_PART = 1 / 8
# An association that is inside one PDU for so long is ended if there is no place left. A PDU has at
# most 128 kB.
STALLED_SECONDS = 2.0
# A longer time between two looks was a pause of this process, or of the machine.
LONGEST_LOOK_SECONDS = 1.0


class Refusal(Enum):
    """Why there is no place; the value is the reason that is recorded."""

    ALL_TAKEN = "there are receive.max_associations already"
    SENDER_TAKEN = "it has receive.max_associations_per_sender already"
    NO_ANSWER = "the gateway was too busy to find a place"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who requests an association: its calling AE title, and its address."""

    title: str
    address: str


@dataclass(frozen=True, slots=True)
class Place:
    """A taken place: the number of a process, and that of an association of it."""

    process: int
    number: int


@dataclass(slots=True)
class AssociationLimits:
    """Counts the associations of all receiver processes.

    Attributes:
        max_all: The number of associations at the same time.
        max_per_sender: The number of those with the same AE title, or the same address.
        cut_off: Ends the association of a place, in whichever process it is.
    """

    max_all: int
    max_per_sender: int
    cut_off: Callable[[Place], None] = lambda _place: None
    _taken: dict[Place, Sender] = field(default_factory=dict)
    _stalled: dict[Place, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def take(self, place: Place, sender: Sender) -> Refusal | None:
        """Takes a place for a sender; if there is none, ends the association that stalled longest.

        Returns:
            Why there is no place; None: it is taken.
        """
        victims = []
        with self._lock:
            while (refusal := self._refusal(sender)) is not None:
                victim = self._longest_stalled(refusal, sender)
                if victim is None:
                    break
                self._drop(victim)
                victims.append(victim)
            else:
                self._taken[place] = sender
        for victim in victims:
            self.cut_off(victim)
        return refusal

    def update(self, process: int, stalled: Mapping[int, float]) -> None:
        """Updates the associations of a process, and frees the places of all others.

        Args:
            process: The number of the process.
            stalled: The seconds for which each association is inside one PDU; 0: it is inside none.
        """
        with self._lock:
            for place in [taken for taken in self._taken if taken.process == process]:
                if place.number in stalled:
                    self._stalled[place] = stalled[place.number]
                else:
                    self._drop(place)

    def _drop(self, place: Place) -> None:
        del self._taken[place]
        self._stalled.pop(place, None)

    def _refusal(self, sender: Sender) -> Refusal | None:
        if max(map(len, self._of(sender))) >= self.max_per_sender:
            return Refusal.SENDER_TAKEN
        has_some = any(self._of(sender))
        reserved = int(self.max_all * RESERVED_PART) if has_some else 0
        return Refusal.ALL_TAKEN if len(self._taken) >= self.max_all - reserved else None

    def _of(self, sender: Sender) -> tuple[list[Place], list[Place]]:
        """Returns the places of the AE title of a sender, and those of its address."""
        return (
            [place for place, has in self._taken.items() if has.title == sender.title],
            [place for place, has in self._taken.items() if has.address == sender.address],
        )

    def _longest_stalled(self, refusal: Refusal, sender: Sender) -> Place | None:
        candidates = [*self._taken]
        if refusal is Refusal.SENDER_TAKEN:
            candidates = max(self._of(sender), key=len)
        stalled = [
            place for place in candidates if self._stalled.get(place, 0.0) >= STALLED_SECONDS
        ]
        return max(stalled, key=lambda place: self._stalled[place], default=None)


class Transfer(Protocol):
    """A connection that transfers PDUs (EventDrivenSocket)."""

    n_pdus: int
    is_inside_pdu: bool


class StallWatch:
    """Measures how long associations are inside the same PDU.

    It counts the time between its own looks, and only a part of a long one: while the process or
    the machine was paused, no peer could send anything.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_at = clock()
        self._awake_seconds = 0.0
        self._since: dict[Hashable, tuple[int, float]] = {}

    def look(self, transfers: Iterable[tuple[Hashable, Transfer]]) -> Mapping[Hashable, float]:
        """Returns how many seconds each association is inside one PDU; 0: it is inside none."""
        now = self._clock()
        self._awake_seconds += min(now - self._looked_at, LONGEST_LOOK_SECONDS)
        self._looked_at = now
        self._since = dict(self._still(transfers))
        return {key: self._awake_seconds - since for key, (_, since) in self._since.items()}

    def _still(
        self, transfers: Iterable[tuple[Hashable, Transfer]]
    ) -> Iterator[tuple[Hashable, tuple[int, float]]]:
        for key, transfer in transfers:
            number, since = self._since.get(key, (-1, 0.0))
            is_same = transfer.is_inside_pdu and number == transfer.n_pdus
            yield key, (transfer.n_pdus, since if is_same else self._awake_seconds)

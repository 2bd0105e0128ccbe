"""Tests the limits of associations, and which stalled association is ended for a new one."""

from dataclasses import dataclass

import pytest

from gateway.receive.association_limits import (
    AssociationLimits,
    Place,
    Refusal,
    Sender,
    StallWatch,
)


@dataclass
class Transfer:
    n_pdus: int = 1
    is_inside_pdu: bool = True


def test_the_stall_of_an_association_does_not_count_time_in_which_its_process_was_stopped() -> None:
    now = 0.0
    watch = StallWatch(lambda: now)
    waiting, other = Transfer(), Transfer(is_inside_pdu=False)
    for _ in range(5):
        found = watch.look([("waiting", waiting), ("other", other)])
        now += 0.5
    assert found == {"waiting": 2.0, "other": 0.0}
    now += 120.0
    assert watch.look([("waiting", waiting)]) == {"waiting": 3.0}
    waiting.n_pdus += 1
    assert watch.look([("waiting", waiting)]) == {"waiting": 0.0}, "the next PDU"


@pytest.mark.parametrize(("stalled", "cut_off"), [((1.0, 1.9), None), ((5.0, 3.0), Place(0, 0))])
def test_the_longest_stalled_dicom_association_is_ended_for_a_new_one(
    stalled: tuple[float, float], cut_off: Place | None
) -> None:
    ended: list[Place] = []
    limits = AssociationLimits(max_all=2, max_per_sender=2, cut_off=ended.append)
    places = [Place(0, 0), Place(1, 0)]
    for n, place in enumerate(places):
        assert limits.take(place, Sender(f"CT{n}", f"10.0.0.{n}")) is None
        limits.update(place.process, {place.number: stalled[n]})
    refusal = limits.take(Place(0, 7), Sender("CT7", "10.0.0.7"))
    assert (refusal, ended) == ((Refusal.ALL_TAKEN, []) if cut_off is None else (None, [cut_off]))


def test_a_receiver_process_that_ends_frees_its_places_for_dicom_associations() -> None:
    limits = AssociationLimits(max_all=1, max_per_sender=1)
    sender = Sender("CT1", "10.0.0.1")
    assert limits.take(Place(1, 1), sender) is None
    assert limits.take(Place(0, 1), sender) is Refusal.SENDER_TAKEN
    limits.update(1, {})
    assert limits.take(Place(0, 1), sender) is None

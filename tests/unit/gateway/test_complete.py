from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.complete import content_digest, current, is_complete
from gateway.config import CompleteSection
from gateway.ledger import GrowingStudy, KeptInstance
from tests.unit.gateway.test_ledger import ONE

SETTINGS = CompleteSection(quiet_seconds=5.0, quiet_unreleased_seconds=60.0)
LAST = 1000.0


def study(ended_at: float | None) -> GrowingStudy:
    return GrowingStudy(
        study_instance_uid="1.2",
        n_instances=3,
        last_received_at=LAST,
        transfers_ended_at=ended_at,
    )


@pytest.mark.parametrize(
    ("ended_at", "now", "expected"),
    [
        (LAST + 1, LAST + 5.9, False),
        (LAST + 1, LAST + 6.0, True),
        (None, LAST + 59.9, False),
        (None, LAST + 60.0, True),
        # An association that stays open long after its last instance keeps nothing waiting.
        (LAST + 59.0, LAST + 60.0, True),
        # Another instance came in a later request before that one ended.
        (LAST - 3.0, LAST + 4.9, False),
        (LAST - 3.0, LAST + 5.0, True),
    ],
)
def test_quiet_is_complete(ended_at: float | None, now: float, expected: bool) -> None:
    assert is_complete(study(ended_at), now, SETTINGS) is expected


@given(
    ended_at=st.none() | st.floats(LAST, LAST + 1000),
    later=st.floats(0, 1000),
    more=st.floats(0, 1000),
)
def test_what_is_complete_stays_so(ended_at: float | None, later: float, more: float) -> None:
    if is_complete(study(ended_at), LAST + later, SETTINGS):
        assert is_complete(study(ended_at), LAST + later + more, SETTINGS)


INSTANCES = st.lists(
    st.builds(
        lambda number, content, at: replace(
            ONE, sop_instance_uid=f"1.2.{number}", sha256=content * 64, received_at=at
        ),
        st.integers(1, 5),
        st.sampled_from("abc"),
        st.sampled_from([1.0, 2.0, 3.0]),
    )
)


@given(instances=INSTANCES, order=st.randoms(use_true_random=False))
def test_the_order_in_which_instances_come_changes_nothing(
    instances: list[KeptInstance], order: object
) -> None:
    shuffled = list(instances)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert current(shuffled) == current(instances)
    assert content_digest(shuffled) == content_digest(instances)


@given(INSTANCES)
def test_one_content_for_each_instance_and_it_is_the_newest(instances: list[KeptInstance]) -> None:
    found = {one.sop_instance_uid: one for one in current(instances)}
    assert len(found) == len(current(instances))
    assert set(found) == {one.sop_instance_uid for one in instances}
    for one in instances:
        assert one.received_at <= found[one.sop_instance_uid].received_at


def test_growing_and_changing_give_another_digest() -> None:
    second = replace(ONE, sop_instance_uid="1.2.9")
    changed = replace(ONE, sha256="b" * 64, received_at=2000.0)
    digests = [content_digest(one) for one in ([ONE], [ONE, second], [changed], [ONE, changed])]
    assert len(set(digests)) == 3
    assert digests[2] == digests[3]

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.record.content import content_digest, current
from gateway.record.ledger import KeptInstance
from tests.unit.gateway.instances import ONE

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

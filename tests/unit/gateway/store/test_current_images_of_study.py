from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.current_images_of_study import content_digest, current
from gateway.store.ledger import KeptInstance
from tests.unit.gateway.instances import ONE

INSTANCES = st.lists(
    st.builds(
        lambda number, content, at, arrival: replace(
            ONE,
            sop_instance_uid=f"1.2.{number}",
            sha256=content * 64,
            received_at=at,
            arrival=arrival,
        ),
        st.integers(1, 5),
        st.sampled_from("abc"),
        st.sampled_from([1.0, 2.0, 3.0]),
        st.integers(1, 3),
    )
)


@given(instances=INSTANCES, order=st.randoms(use_true_random=False))
def test_the_order_of_instances_does_not_change_the_content_of_a_received_study(
    instances: list[KeptInstance], order: object
) -> None:
    shuffled = list(instances)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert current(shuffled) == current(instances)
    assert content_digest(shuffled) == content_digest(instances)


@given(INSTANCES)
def test_each_instance_of_a_study_keeps_its_first_content_whatever_the_clock_says(
    instances: list[KeptInstance],
) -> None:
    found = {kept.sop_instance_uid: kept for kept in current(instances)}
    assert len(found) == len(current(instances))
    assert set(found) == {kept.sop_instance_uid for kept in instances}
    for kept in instances:
        assert kept.arrival >= found[kept.sop_instance_uid].arrival


def test_a_received_study_that_grows_or_changes_has_another_digest() -> None:
    second = replace(ONE, sop_instance_uid="1.2.9")
    changed = replace(ONE, sha256="b" * 64, received_at=0.0, arrival=2)
    contents = ([ONE], [ONE, second], [changed], [ONE, changed])
    digests = [content_digest(content) for content in contents]
    assert len(set(digests)) == 3
    assert digests[3] == digests[0], "what came later does not count, although the clock is back"

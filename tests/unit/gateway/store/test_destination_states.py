from gateway.store.database import Database
from gateway.store.destination_states import DestinationState, DestinationStates


def test_the_stored_state_of_a_destination_keeps_since_when_it_is_away(database: Database) -> None:
    states = DestinationStates(database)
    assert states.all() == {}
    for now, fault in ((10.0, None), (70.0, "no answer"), (130.0, "rejected")):
        states.save("pacs", fault, now)
    away = DestinationState(
        destination="pacs", tested_at=130.0, fault="rejected", since=70.0, answered_at=10.0
    )
    assert states.all() == {"pacs": away}
    assert away.is_away
    states.save("pacs", None, 190.0)
    answers = states.all()["pacs"]
    assert (answers.since, answers.answered_at, answers.is_away) == (190.0, 190.0, False)


def test_the_stored_states_of_removed_destinations_are_deleted(database: Database) -> None:
    states = DestinationStates(database)
    for name in ("pacs", "old"):
        states.save(name, None, 1.0)
    states.forget_all_but(("pacs",))
    assert set(states.all()) == {"pacs"}

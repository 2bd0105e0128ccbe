import pytest

from gateway.login_attempts import LoginAttempts


def test_after_five_failed_logins_an_address_waits_a_minute() -> None:
    now = [0.0]
    attempts = LoginAttempts(lambda: now[0])
    for second in range(5):
        now[0] = 10.0 * second
        assert attempts.begin("10.0.0.1")
    for moment in (41.0, 70.0, 99.9):
        now[0] = moment
        assert not attempts.begin("10.0.0.1")
        assert attempts.begin("10.0.0.2")
    now[0] = 100.0
    assert attempts.begin("10.0.0.1")


def test_slow_login_failures_and_successes_do_not_lock_an_address_out() -> None:
    now = [0.0]
    attempts = LoginAttempts(lambda: now[0])
    for n in range(20):
        now[0] = 16.0 * n
        assert attempts.begin("10.0.0.1")
    for _ in range(20):
        assert attempts.begin("10.0.0.2")
        attempts.succeeded("10.0.0.2")


@pytest.mark.parametrize(("other", "is_refused"), [("2001:db8::2", True), ("2001:db9::1", False)])
def test_ipv6_addresses_of_one_subscriber_count_as_one_for_failed_logins(
    other: str, is_refused: bool
) -> None:
    attempts = LoginAttempts(lambda: 0.0)
    for _ in range(5):
        assert attempts.begin("2001:db8::1")
    assert attempts.begin(other) is not is_refused

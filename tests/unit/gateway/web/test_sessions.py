from gateway.web.sessions import FormTokens, Sessions


def test_it_ends_when_its_user_is_idle_and_not_before() -> None:
    now = [0.0]
    sessions = Sessions(10.0, lambda: now[0])
    token = sessions.open("user").token
    for moment in (9.0, 18.0, 27.0):
        now[0] = moment
        assert sessions.find(token, is_acting=True)
    now[0] = 36.0
    assert sessions.find(token, is_acting=False)  # a page that refreshes itself
    now[0] = 38.0
    assert sessions.find(token, is_acting=True) is None


def test_it_is_nobody_elses_and_ends_when_it_is_closed() -> None:
    sessions = Sessions(10.0)
    one, other = sessions.open("one"), sessions.open("other")
    assert sessions.find("", is_acting=True) is None
    sessions.close(one.token)
    assert sessions.find(one.token, is_acting=True) is None
    assert sessions.find(other.token, is_acting=True) == other


def test_a_form_is_for_one_browser() -> None:
    tokens = FormTokens()
    assert tokens.fits("one", tokens.of("one"))
    assert not tokens.fits("one", tokens.of("other"))
    assert not tokens.fits("one", "")
    assert not tokens.fits("one", "ü")
    assert not FormTokens().fits("one", tokens.of("one"))

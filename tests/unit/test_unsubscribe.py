"""The links of the way out: what they say, who can make one, and that those in old mails go on working."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.unsubscribe import read_unsubscribe_token, unsubscribe_token

SECRET = "whsec_secret"
# As the mails sent before December 2026 carry them.
OLD = {
    "player-1": "YWNtZQpwbGF5ZXItMQplbWFpbA.3C7Ek2SjxkppvVGH-SfLOw",
    "гравець": "YWNtZQrQs9GA0LDQstC10YbRjAplbWFpbA.OAmnVaUWn9cw1Gq5w8pijA",
}


@given(st.text(), st.text(), st.sampled_from(["email", "sms", "push"]))
def test_a_token_says_what_it_was_made_of_and_fits_into_a_path(brand: str, player_id: str, channel: str) -> None:
    token = unsubscribe_token(SECRET, brand, player_id, channel)
    assert read_unsubscribe_token(SECRET, token) == (brand, player_id, channel)
    assert "/" not in token


@pytest.mark.parametrize("player_id", OLD)
def test_a_link_in_a_mail_of_last_year_still_works(player_id: str) -> None:
    assert read_unsubscribe_token(SECRET, OLD[player_id]) == ("acme", player_id, "email")


@pytest.mark.parametrize("token", [unsubscribe_token(SECRET, "acme", "player-1", "email"), OLD["player-1"]])
def test_a_token_changed_anywhere_says_nothing(token: str) -> None:
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        # The last letter of a part holds bits that mean nothing; what they leave is the same token.
        assert read_unsubscribe_token(SECRET, changed) in {None, ("acme", "player-1", "email")}
        if place not in {token.index(".") - 1, len(token) - 1}:
            assert read_unsubscribe_token(SECRET, changed) is None


@given(st.text())
def test_any_other_text_says_nothing(token: str) -> None:
    assert read_unsubscribe_token(SECRET, token) is None


@pytest.mark.parametrize("token", ["", *OLD.values()])
def test_without_the_secret_or_with_another_nothing_is_genuine(token: str) -> None:
    assert read_unsubscribe_token("", token) is None
    assert read_unsubscribe_token("whsec_other", token) is None


def test_without_a_secret_no_token_is_made() -> None:
    with pytest.raises(ValueError, match="set WEBHOOK_SECRET"):
        unsubscribe_token("", "acme", "player-1", "email")

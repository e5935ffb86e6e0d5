"""The links of the way out: what they say, who can make one, and that those in old mails go on working."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.settings import Settings, settings_from
from activities.unsubscribe_links import UnsubscribeLinks
from api.dependencies import api_engine
from workflows.errors import DesignError

FIRST, SECOND, THIRD = ("a secret of this season 1", "a secret of this season 2", "a secret of this season 3")
LINKS = UnsubscribeLinks([FIRST])
CLAIMS = ("acme", "player-1", "email")
# What mails carry that were sent while WEBHOOK_SECRET signed links.
WEBHOOK, TWO_WEBHOOKS = "whsec_secret", "whsec_secret whsec_older"
# As the mails sent before December 2026 carry them.
OLDEST = {
    "player-1": "YWNtZQpwbGF5ZXItMQplbWFpbA.3C7Ek2SjxkppvVGH-SfLOw",
    "гравець": "YWNtZQrQs9GA0LDQstC10YbRjAplbWFpbA.OAmnVaUWn9cw1Gq5w8pijA",
}
OLD = "WyJhY21lIiwicGxheWVyLTEiLCJlbWFpbCJd.Y_rnwXZ9fNUHFUWZL25uRpC9okA"
OLD_OF_TWO = "WyJhY21lIiwicGxheWVyLTEiLCJlbWFpbCJd.BnYViuIDzIOjLsTXEqwut0xo090"


@given(st.text(), st.text(), st.sampled_from(["email", "sms", "push"]))
def test_a_token_says_what_it_was_made_of_and_fits_into_a_path(brand: str, player_id: str, channel: str) -> None:
    token = LINKS.token(brand, player_id, channel)
    assert LINKS.read(token) == (brand, player_id, channel)
    assert "/" not in token


def test_the_first_secret_signs_and_all_are_read() -> None:
    token = LINKS.token(*CLAIMS)
    for secrets in ([FIRST], [SECOND, FIRST], [THIRD, SECOND, FIRST]):
        assert UnsubscribeLinks(secrets).read(token) == CLAIMS
    assert UnsubscribeLinks([SECOND, FIRST]).token(*CLAIMS) == UnsubscribeLinks([SECOND]).token(*CLAIMS)
    assert UnsubscribeLinks([SECOND, THIRD]).read(token) is None


@pytest.mark.parametrize("webhook_secret", [WEBHOOK, TWO_WEBHOOKS, f"whsec_new {WEBHOOK}", f"  {WEBHOOK}  whsec_new"])
@pytest.mark.parametrize("token", [OLD, OLDEST["player-1"]])
def test_a_link_that_a_webhook_secret_signed_works_while_that_secret_changes(webhook_secret: str, token: str) -> None:
    assert UnsubscribeLinks([FIRST], webhook_secret).read(token) == CLAIMS


def test_a_link_that_two_webhook_secrets_signed_as_one_works() -> None:
    assert UnsubscribeLinks([FIRST], TWO_WEBHOOKS).read(OLD_OF_TWO) == CLAIMS


def test_a_webhook_secret_that_is_gone_reads_its_links_from_among_the_secrets_of_links() -> None:
    old = "whsec_a secret of twenty-four"
    token = UnsubscribeLinks([old]).token(*CLAIMS)
    assert UnsubscribeLinks([FIRST, old]).read(token) == CLAIMS


@pytest.mark.parametrize("player_id", OLDEST)
def test_a_link_in_a_mail_of_last_year_still_works(player_id: str) -> None:
    assert UnsubscribeLinks([FIRST], WEBHOOK).read(OLDEST[player_id]) == ("acme", player_id, "email")


def test_no_webhook_secret_signs_a_link() -> None:
    token = UnsubscribeLinks([FIRST], TWO_WEBHOOKS).token(*CLAIMS)
    assert token == LINKS.token(*CLAIMS)
    assert token not in {OLD, OLD_OF_TWO}


@pytest.mark.parametrize("token", [LINKS.token(*CLAIMS), OLD, OLDEST["player-1"]])
def test_a_token_changed_anywhere_says_nothing(token: str) -> None:
    links = UnsubscribeLinks([FIRST], WEBHOOK)
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        # The last letter of a part holds bits that mean nothing; what they leave is the same token.
        assert links.read(changed) in {None, CLAIMS}
        if place not in {token.index(".") - 1, len(token) - 1}:
            assert links.read(changed) is None


@given(st.text())
def test_any_other_text_says_nothing(token: str) -> None:
    assert UnsubscribeLinks([FIRST], WEBHOOK).read(token) is None


@pytest.mark.parametrize("token", ["", OLD, *OLDEST.values()])
@pytest.mark.parametrize("webhook_secret", ["", " ", "whsec_other"])
def test_without_the_secret_or_with_another_nothing_is_genuine(token: str, webhook_secret: str) -> None:
    assert UnsubscribeLinks([FIRST], webhook_secret).read(token) is None


@pytest.mark.parametrize("weak", ["x", "whsec_", " ", "twenty-three bytes long"])
def test_a_secret_that_could_be_guessed_is_refused_without_repeating_it(weak: str) -> None:
    with pytest.raises(DesignError, match=r"Secret 2 of LINK_SECRETS has \d+ bytes") as refused:
        UnsubscribeLinks([FIRST, weak])
    assert len(weak) < 20 or weak not in str(refused.value)


def test_secrets_are_separated_by_commas() -> None:
    settings = settings_from({"DATABASE_URL": "postgres://x", "LINK_SECRETS": f"{FIRST}, {SECOND},"})
    assert settings.link_secrets == (FIRST, SECOND)


async def test_an_api_without_a_secret_does_not_start() -> None:
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/none", link_secrets=())
    with pytest.raises(DesignError, match="set LINK_SECRETS"):
        async with api_engine(settings, lambda: datetime.now(UTC)):
            pass

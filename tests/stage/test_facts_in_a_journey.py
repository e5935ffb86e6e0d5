"""What a journey may know of its player: numbers as of now, what is usual for them, facts, their own clock."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from tests.support.reading_journeys import own_gap
from workflows import (
    ContentViewed,
    DepositApproved,
    HarmSignal,
    KycChanged,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    days,
    hours,
)
from workflows.effects import ReadValue
from workflows.errors import JourneysError
from workflows.player_state.measured_values import read_value
from workflows.source.journey_loading import load

MONDAY = datetime(2026, 3, 9, 9, tzinfo=UTC)
REGISTRY = load(("tests.support.reading_journeys",))


class Casino(World):
    """A world with one player, in Kyiv."""

    def __init__(self) -> None:
        super().__init__(REGISTRY, read_template_facts([SHIPPED_TEMPLATES]), MONDAY)
        self.told = 0
        self.happens(PlayerRegistered, timezone="Europe/Kyiv", opted_in=["email"], opted_in_for=["casino"])

    def happens(self, kind: type[Any], /, **data: Any) -> None:
        self.told += 1
        base = kind.example().model_dump(by_alias=False)
        envelope = {"event_id": f"e{self.told}", "event_source": "/test", "occurred_at": self.now}
        self.happen("p", kind.model_validate(base | envelope | data))

    def passes(self, duration: timedelta) -> None:
        self.advance_to(self.now + duration)

    def marked(self, name: str) -> list[Mapping[str, JsonValue]]:
        self.advance_to(self.now)
        return [line.detail for line in self.story if line.step.startswith(f"mark:{name}")]


def test_a_journey_reads_today_and_the_day_that_ended_last() -> None:
    with Casino() as casino:
        casino.happens(RoundCompleted, stake_minor=700, win_minor=100)
        casino.passes(days(1))
        casino.happens(RoundCompleted, stake_minor=50, win_minor=90)
        casino.happens(DepositApproved, payment_id="now")
        (read,) = casino.marked("read")
        assert (read["lost"], read["yesterday"]) == (-40, 600)


def test_an_amount_is_judged_by_the_players_own_and_explained() -> None:
    with Casino() as casino:
        for number, amount in enumerate([2000, 2500, 2000, 3000, 2500, 2000]):
            casino.happens(DepositApproved, payment_id=f"p{number}", amount_minor=amount)
            casino.passes(days(2))
        assert casino.marked("read")[-1]["why"] is None
        casino.happens(DepositApproved, payment_id="much", amount_minor=20_000)
        why = casino.marked("read")[-1]["why"]
        assert why == "20000 against 2500 in the middle of the last 7; unusual from 4723 on."


def test_a_journey_is_told_of_a_change_in_a_sentence_and_of_nothing_while_too_little_is_known() -> None:
    with Casino() as casino:
        for number in range(24):
            stake = 100 if number < 16 else 300
            casino.happens(RoundCompleted, round_id=f"r{number}", stake_minor=stake, win_minor=0)
            casino.passes(days(3.5))
            if number == 15:
                casino.happens(KycChanged, status="submitted")
        casino.happens(KycChanged, status="approved")
        (silent,), (told,) = casino.marked("unchanged"), casino.marked("changed")
        assert (silent["known"], told["to"]) == (False, "higher")
        why = (
            "The stake_minor of RoundCompleted was 300 in the middle of the last four weeks, against 100 in the eight "
        )
        assert told["why"] == f"{why}before."


def test_too_few_values_make_nothing_unusual() -> None:
    with Casino() as casino:
        for number, amount in enumerate([100, 100, 90_000]):
            casino.happens(DepositApproved, payment_id=f"p{number}", amount_minor=amount)
            casino.passes(hours(1))
        assert [read["why"] for read in casino.marked("read")] == [None, None, None]


def test_a_journey_knows_checks_consents_harm_and_the_players_own_clock() -> None:
    with Casino() as casino:
        casino.happens(ContentViewed, item_id="blackjack-classic")
        casino.happens(HarmSignal, strength="weak")
        casino.passes(hours(14))
        casino.happens(KycChanged, status="submitted", due_at="2026-03-20T12:00:00Z")
        (knows,) = casino.marked("knows")
        assert knows["weekday"] == "Tuesday", "at 23:00 UTC on Monday it is one in the morning in Kyiv"
        assert (knows["kyc"], knows["due"]) == ("submitted", "2026-03-20T12:00:00+00:00")
        assert (knows["harm"], knows["viewed"], knows["consents"]) == ("weak", "blackjack-classic", ["email/casino"])


@pytest.mark.parametrize(("pace", "silent"), [(1, 2), (2, 4), (30, 7)])
def test_a_silence_is_long_by_the_players_own_pace(pace: int, silent: int) -> None:
    with Casino() as casino:
        for _ in range(7):
            casino.happens(SessionLogin)
            casino.happens(SessionLogin)
            casino.passes(days(pace))
        before = len(casino.marked("missed"))
        casino.happens(SessionLogin)
        casino.passes(days(silent) - hours(1))
        assert len(casino.marked("missed")) == before
        casino.passes(hours(2))
        assert casino.marked("missed")[-1] == {"silent_days": silent, "usual_days": pace}


def test_while_nothing_is_usual_yet_the_longest_silence_counts() -> None:
    with Casino() as casino:
        casino.happens(SessionLogin)
        casino.passes(days(6))
        assert casino.marked("missed") == []
        casino.passes(days(2))
        assert casino.marked("missed") == [{"silent_days": 7, "usual_days": 0}]


def test_what_nothing_here_measures_is_no_zero() -> None:
    with Casino() as casino:
        asked = ReadValue(brand="b", player_id="p", journey="reads", run_id="r", step="value:x#1", measure="x")
        with pytest.raises(JourneysError, match="Nothing that is deployed here measures x; deploy the release"):
            read_value(asked, casino.player("p"), casino.rules, casino.now)
        assert casino.rules.measure(own_gap.key) == own_gap

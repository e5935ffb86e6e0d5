"""Which channel and which hour a message takes: from the player's own history, with a chance for the rest."""

import hashlib
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage.flow.diagram import picture
from tests.support.examples import examples
from tests.support.gate import DAY, FREE, HOUSE, NOON, TICK
from workflows import DepositApproved, Player, best_channel, best_hour, days, hours, journey, on
from workflows.channels import Channel
from workflows.errors import DesignError
from workflows.gate.channel_rates import ChannelRates, HouseRate
from workflows.gate.facts import Contact, GateFacts
from workflows.gate.policy import Policy
from workflows.gate.send_choice import (
    BY_DAY,
    CHANNEL_FLOOR,
    HOUR_FLOOR,
    Heard,
    SeenByChoice,
    choose,
    draw,
    is_profiled,
    own_chances,
)
from workflows.player_state.exclusion_blocks import Exclusion
from workflows.send_choices import BestChannel, Choose
from workflows.source.flow_graph import StepNode
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import load

AGREED = replace(FREE, consents={**(FREE.consents or {}), "profiling": True}, timezone="Europe/Kyiv")
EVENINGS = {"20": 14, "10": 3, "2": 40}
FOLLOWS_PUSH = {"email": Heard(12, 1, 0), "push": Heard(9, 5, 3)}


def asked(number: int = 0, channels: tuple[Any, ...] = ("email", "push"), otherwise: str | None = None) -> Choose:
    run = f"run{number}"
    common: dict[str, Any] = {"brand": "acme", "player_id": "p", "journey": "j", "run_id": run, "step": "choose:x#1"}
    return Choose(**common, template="x", channels=[*channels], otherwise=otherwise)


def seen(facts: GateFacts | None = AGREED, **more: Any) -> SeenByChoice:
    given: dict[str, Any] = {"hours": EVENINGS, "heard": FOLLOWS_PUSH, "message_class": "marketing", **more}
    return SeenByChoice(facts=facts, policy=HOUSE, suppress_if_active_today=False, product="casino", **given)


def channels(what: SeenByChoice, **given: Any) -> Counter[str]:
    chosen = (choose(asked(number, **given), what, NOON).channel for number in range(2_000))
    return Counter(one.chosen for one in chosen if one is not None)


# ---- the channel ---------------------------------------------------------------------------------


def test_the_channel_that_is_followed_is_taken_and_the_other_keeps_its_chance() -> None:
    found = channels(seen())
    assert 0.03 < found["email"] / 2_000 < 0.07
    choice = next(one for number in range(99) if (one := choose(asked(number), seen(), NOON).channel)).model_dump()
    assert choice == {
        "chosen": "push",
        "chance": 0.95,
        "options": {"email": 0.05, "push": 0.95},
        "why": "push, 95 %: push reaches the player best (email: of 12 messages 1 opened and 0 followed; "
        "push: of 9 messages 5 opened and 3 followed).",
    }


def test_what_is_not_known_yet_goes_as_declared_and_learns() -> None:
    found = channels(seen(heard={"email": Heard(2, 0, 0)}))
    assert 0.93 < found["email"] / 2_000 < 0.97
    # Enough mails that nobody opened: what was never tried is no worse than one in ten.
    assert channels(seen(heard={"email": Heard(8, 0, 0)})).most_common(1)[0][0] == "push"


def test_an_unreachable_channel_and_one_at_its_cap_are_no_choice() -> None:
    no_push = replace(AGREED, addresses=frozenset({"email"}))
    assert channels(seen(no_push)) == {"email": 2_000}
    withdrawn = replace(AGREED, consents={**(AGREED.consents or {}), "push": False, "push/casino": False})
    choice = choose(asked(), seen(withdrawn), NOON).channel
    assert choice is not None
    assert (choice.chance, choice.why) == (1.0, "email: the only channel that is open.")
    nobody = choose(asked(), seen(replace(AGREED, addresses=frozenset())), NOON).channel
    assert nobody is not None
    assert nobody.why == "email: no channel is open, and the gate will say why."


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (None, "no channel"),
        (replace(AGREED, consents=FREE.consents), "not agreed to profiling"),
        (replace(AGREED, consents={**(FREE.consents or {}), "profiling": False}), "no channel"),
        (replace(AGREED, harm_signs={"chasing/weak": NOON - DAY}), "sign of harm"),
        (replace(AGREED, limits_until=None), "a limit was reached"),
        (replace(AGREED, limits_until=(NOON - DAY, NOON + DAY)), "a limit was reached"),
        (replace(AGREED, ended_exclusions=(NOON - 30 * DAY,)), "excluded not long ago"),
        (replace(AGREED, exclusions=(Exclusion("time_out", "all", NOON - 30 * DAY),)), "excluded not long ago"),
    ],
)
def test_who_did_not_agree_or_is_to_be_looked_after_gets_what_was_declared(facts: GateFacts | None, why: str) -> None:
    for number in range(50):
        chosen = choose(asked(number, otherwise="18:00"), seen(facts), NOON)
        assert chosen.channel is not None
        assert chosen.hour is not None
        assert (chosen.channel.chosen, chosen.channel.chance, chosen.hour.chosen) == ("email", 1.0, "18:00")
        assert why in chosen.channel.why


# ---- what all players taught ----------------------------------------------------------------------

HOUSE_SAYS = ChannelRates(
    version=3, rates={"email": HouseRate(mean=0.02, spread=0.002), "push": HouseRate(mean=0.07, spread=0.01)}
)


def test_what_all_players_taught_chooses_for_one_of_whom_nothing_is_known_and_says_so() -> None:
    known = seen(heard={}, rates=HOUSE_SAYS)
    assert channels(known).most_common(1)[0][0] == "push"
    chosen = next(one for number in range(99) if (one := choose(asked(number), known, NOON)).channel)
    assert (chosen.by, chosen.model) == ("house_rates", 3)
    assert chosen.channel is not None
    assert min(chosen.channel.options.values()) >= CHANNEL_FLOOR - 1e-6
    assert "nothing sent yet, of all players 7.0 %" in chosen.channel.why
    assert "every channel keeps 5 %" in chosen.channel.why


def test_what_the_player_does_outweighs_what_all_did_and_who_left_a_channel_is_left_in_peace_there() -> None:
    follows: dict[str, Heard] = {"email": Heard(30, 9, 9), "push": Heard(30, 0, 0)}
    assert channels(seen(heard=follows, rates=HOUSE_SAYS))["email"] / 2_000 > 0.9
    left = {"push": Heard(3, 1, 1, left=1)}
    assert channels(seen(heard=left, rates=HOUSE_SAYS))["email"] / 2_000 > 0.9


def test_what_was_learned_is_not_used_for_who_did_not_agree_or_is_to_be_looked_after() -> None:
    for facts in (replace(AGREED, consents=FREE.consents), replace(AGREED, harm_signs={"chasing/weak": NOON - DAY})):
        chosen = choose(asked(), seen(facts, rates=HOUSE_SAYS), NOON)
        assert (chosen.by, chosen.model) == ("own_history", None)
        assert chosen.channel is not None
        assert (chosen.channel.chosen, chosen.channel.chance) == ("email", 1.0)


# ---- the hour ------------------------------------------------------------------------------------


def hour(number: int = 0, *, now: datetime = NOON, **more: Any) -> Any:
    return choose(asked(number, channels=(), otherwise="18:00"), seen(**more), now)


def test_the_hour_is_the_players_own_by_day_and_never_of_the_night() -> None:
    found = Counter(hour(number).hour.chosen for number in range(2_000))
    assert 0.88 < found["20:00"] / 2_000 < 0.93
    assert set(found) <= {f"{one:02}:00" for one in BY_DAY}
    chosen = next(one for number in range(99) if (one := hour(number)).hour.chosen == "20:00")
    assert chosen.hour.why == "20:00, 91 %: 14 of 17 visits by day came in the hour from 20:00 on."
    # Eight in the evening in Kyiv, which is six in UTC.
    assert chosen.at == datetime(2026, 3, 10, 18, tzinfo=UTC)


def test_in_that_hour_the_message_goes_at_once_and_what_serves_never_waits() -> None:
    evening = datetime(2026, 3, 10, 18, 40, tzinfo=UTC)
    assert next(one for n in range(99) if (one := hour(n, now=evening)).hour.chosen == "20:00").at is None
    service = hour(message_class="service")
    assert (service.at, service.hour.chance) == (None, 1.0)


def test_without_visits_or_a_zone_it_is_the_declared_hour() -> None:
    few = Counter(hour(number, hours={"20": 9}).hour.chosen for number in range(500))
    assert few.most_common(1)[0][0] == "18:00"
    assert "nobody knows the player's zone" in hour(facts=replace(AGREED, timezone=None)).hour.why


# ---- chance --------------------------------------------------------------------------------------

HEARD = st.builds(
    lambda sent, opened, followed: Heard(sent, min(sent, opened), min(sent, opened, followed)),
    *[st.integers(0, 40)] * 3,
)


@settings(max_examples=examples(100))
@given(
    st.integers(0, 10**6),
    st.dictionaries(st.sampled_from(["email", "push", "sms"]), HEARD),
    st.dictionaries(st.integers(0, 23).map(str), st.integers(0, 50)),
)
def test_chances_are_whole_and_keep_their_floor_and_an_attempt_draws_as_the_one_before(
    number: int, heard: Any, visits: Any
) -> None:
    request = asked(number, channels=("email", "push", "sms"), otherwise="18:30")
    known = seen(heard=heard, hours=visits)
    chosen = choose(request, known, NOON)
    assert choose(request, known, NOON) == chosen
    for choice, floor in ((chosen.channel, CHANNEL_FLOOR), (chosen.hour, HOUR_FLOOR / len(BY_DAY))):
        assert choice is not None
        assert abs(sum(choice.options.values()) - 1) < 1e-4
        assert min(choice.options.values()) >= floor - 1e-6
        assert choice.chance == choice.options[choice.chosen]
    assert chosen.at is None or NOON < chosen.at <= NOON + days(2)


def test_a_draw_falls_as_often_as_it_says() -> None:
    found = Counter(draw(f"seed{number}", {"a": 0.2, "b": 0.5, "c": 0.3}) for number in range(20_000))
    assert all(abs(found[one] / 20_000 - share) < 0.02 for one, share in (("a", 0.2), ("b", 0.5), ("c", 0.3)))


def test_what_rounding_leaves_over_is_the_likeliests() -> None:
    found = Counter(draw(f"seed{number}", {"a": 0.1, "b": 0.3, "c": 0.2}) for number in range(20_000))
    assert all(abs(found[one] / 20_000 - share) < 0.02 for one, share in (("a", 0.1), ("b", 0.7), ("c", 0.2)))


def test_a_draw_takes_an_option_below_its_chance_and_the_next_one_at_it() -> None:
    share = int.from_bytes(hashlib.sha256(b"seed").digest()[:8], "big") / 2**64
    assert draw("seed", {"a": share, "b": 1 - share}) == "b"
    assert draw("seed", {"a": math.nextafter(share, 1), "b": 1 - share}) == "a"


@pytest.mark.parametrize("rates", [None, HOUSE_SAYS])
def test_a_draw_rests_on_the_steps_own_key_and_says_where_it_was_drawn_to_learn(rates: ChannelRates | None) -> None:
    for number in range(200):
        request = asked(number, otherwise="18:00")
        chosen = choose(request, seen(rates=rates), NOON)
        for what, choice in (("channel", chosen.channel), ("hour", chosen.hour)):
            assert choice is not None
            assert choice.chosen == draw(f"{request.key}:{what}", choice.options)
            learns = choice.chance < max(choice.options.values())
            assert ("drawn to go on learning, for " in choice.why) is learns


# ---- where it begins and ends --------------------------------------------------------------------


def among(request: Choose, what: SeenByChoice, now: datetime = NOON) -> list[str]:
    """The channels that a choice is made among."""
    choice = choose(request, what, now).channel
    assert choice is not None
    return [*choice.options]


def test_a_channel_is_open_where_the_gate_lets_this_very_message_go() -> None:
    request, consents = asked(), AGREED.consents or {}
    betting = request.model_copy(update={"product": "betting"})
    no_bets = seen(replace(AGREED, consents={**consents, "email/betting": False}))
    no_casino = seen(replace(AGREED, consents={**consents, "email/casino": False}))
    assert among(request, no_bets) == among(betting, no_casino) == ["email", "push"]
    assert among(betting, no_bets) == among(request, no_casino) == ["push"]
    agreed_to_nothing = seen(replace(AGREED, consents={"profiling": True}))
    assert among(request, replace(agreed_to_nothing, message_class="service")) == ["email", "push"]
    tried_before = seen(replace(AGREED, contacts=(Contact(NOON - TICK, "email", request.key),)))
    assert among(request, tried_before) == ["email", "push"]


def test_no_channel_is_open_to_who_is_here_for_a_message_that_misses_them() -> None:
    here = seen(replace(AGREED, activity=(NOON,)))
    assert among(asked(), here) == ["email", "push"]
    missed = choose(asked(), replace(here, suppress_if_active_today=True), NOON).channel
    assert missed is not None
    assert missed.why == "email: no channel is open, and the gate will say why."


def test_a_channel_on_which_the_morning_is_too_late_is_not_open() -> None:
    night, request = NOON.replace(hour=23), asked(channels=("sms", "in_app"))
    assert among(request, seen(), night) == ["sms", "in_app"]
    assert among(request, replace(seen(), policy=Policy(too_late_after={"marketing": hours(1)})), night) == ["in_app"]


@pytest.mark.parametrize(
    ("given", "profiled"),
    [
        ({"limits_until": (NOON,)}, True),
        ({"limits_until": (NOON + TICK,)}, False),
        ({"ended_exclusions": (NOON - days(90),)}, True),
        ({"ended_exclusions": (NOON - days(90) + TICK,)}, False),
        ({"ended_exclusions": None}, False),
        ({"exclusions": (Exclusion("time_out", "brand", NOON - days(90)),)}, True),
        ({"exclusions": (Exclusion("time_out", "brand", NOON - days(90) + TICK),)}, False),
        ({"exclusions": None}, False),
    ],
)
def test_a_limit_holds_until_its_instant_and_an_exclusion_is_remembered_for_ninety_days(
    given: dict[str, Any], *, profiled: bool
) -> None:
    assert is_profiled(replace(AGREED, **given), HOUSE, NOON) is profiled


@pytest.mark.parametrize(("sent", "best", "says"), [(4, "email", "too little is known"), (5, "push", "push reaches")])
def test_five_messages_on_one_channel_are_enough_to_go_by(sent: int, best: str, says: str) -> None:
    heard: dict[Channel, Heard] = {"email": Heard(sent)}
    assert own_chances(["email", "push"], heard) == {"email": 0.05, "push": 0.05} | {best: 0.95}
    choice = choose(asked(), seen(heard=heard), NOON).channel
    assert choice is not None
    assert says in choice.why


@pytest.mark.parametrize(("visits", "says"), [(9, "visits by day: 9"), (10, "10 of 10 visits")])
def test_ten_visits_are_enough_to_go_by(visits: int, says: str) -> None:
    assert says in hour(hours={"20": visits}).hour.why


def test_a_channel_of_which_nothing_is_known_reaches_as_one_in_ten_and_of_alike_ones_the_first_is_best() -> None:
    assert own_chances(["email", "push"], {"email": Heard(10, followed=1)}) == {"email": 0.95, "push": 0.05}
    assert own_chances(["email", "push"], {"push": Heard(11, followed=1)}) == {"email": 0.95, "push": 0.05}
    assert own_chances(["email", "push"], {"push": Heard(9, followed=1)}) == {"email": 0.05, "push": 0.95}


def test_of_hours_with_as_many_visits_the_earlier_is_best() -> None:
    options = hour(hours={"10": 6, "20": 6}).hour.options
    assert max(options, key=options.get) == "10:00"


# ---- what a designer writes ----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [("email",), ("email", "email"), ("email", "pigeon"), ()])
def test_a_choice_has_two_channels_that_exist(wrong: Any) -> None:
    with pytest.raises(DesignError, match="best_channel"):
        best_channel(*wrong)


@pytest.mark.parametrize("wrong", ["25:00", "6pm", "9:00", 18])
def test_the_usual_hour_is_an_hour(wrong: Any) -> None:
    with pytest.raises(DesignError, match="best_hour"):
        best_hour(wrong)


@journey(on(DepositApproved), ends_after=days(3))
async def sends_at_best(player: Player, deposit: DepositApproved) -> None:  # noqa: ARG001 - it is handed the trigger
    """Sends once."""
    await player.send("content-news", via=best_channel("push", "email"), at=best_hour("18:00"), by=hours(6))


def test_the_code_tells_the_channels_and_a_diagram_says_the_choice() -> None:
    definition = load((__name__,)).journeys["sends_at_best"]
    flow = read_flow(definition)
    (step,) = (node for node in flow.nodes if isinstance(node, StepNode))
    assert isinstance(step.keywords["via"].known, BestChannel)
    lines = [line for card in picture(flow).cards for line in card.lines]
    assert "the best of push and email" in " ".join(lines)
    assert "best hour" in " ".join(lines)
    assert timedelta(hours=6) == step.keywords["by"].known

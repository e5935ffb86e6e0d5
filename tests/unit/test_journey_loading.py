"""Finding journeys and reading off their code what they listen to, send and ask."""

import pytest

from tests.support.outside_packages import OWN_EVENTS, Write, journey_of
from tests.support.player_events import BRAND, NO_FAILURES, NOON, only
from workflows.events import CATALOGUE, Event, SessionLogin
from workflows.player_state.decisions import Start, Wake
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.run import JourneyRun
from workflows.source.journey_loading import SHIPPED, Registry, load

# ---- what is found ------------------------------------------------------------------------------


def test_the_shipped_journeys_are_those_of_the_catalogue() -> None:
    registry = load()
    assert list(registry.journeys) == [
        "abandoned_cashier",
        "churn_risk",
        "code_failed",
        "complaint",
        "disputed_payment",
        "dormant",
        "failed_deposit",
        "feedback",
        "first_deposit",
        "game_preference",
        "kyc_completion",
        "loss_back",
        "loss_checkin",
        "pattern_change",
        "personal_days",
        "reward_feedback",
        "second_deposit",
        "shop_order",
        "tier_up",
        "vip_onboarding",
        "welcome",
        "win_back",
        "win_celebration",
        "withdrawal",
    ]
    assert all(journey.description for journey in registry.journeys.values())
    assert {cls.__name__ for cls in registry.workflows} == set(registry.journeys)
    listens = {name: sorted(journey.listens_to) for name, journey in registry.journeys.items()}
    heard = ["derived.loss_streak", "payment.deposit_approved", "player.contact_verified", "session.login"]
    assert listens["welcome"] == heard
    assert listens["win_back"] == ["session.login"]
    # Its offers are made, and announced, in a helper.
    assert "reload-offer" in {use.template for use in registry.templates if use.journey == "second_deposit"}
    assert set(registry.forms["vip_onboarding"]) >= {"Affordability", "HostCall"}


def test_loading_twice_finds_the_same() -> None:
    first, second = load(), load([SHIPPED, SHIPPED])
    assert first.templates == second.templates
    assert first.forms == second.forms
    assert {j.name: j.listens_to for j in first.journeys.values()} == {
        j.name: j.listens_to for j in second.journeys.values()
    }


@pytest.mark.parametrize(
    ("kind", "body", "uses"),
    [
        ("SessionLogin", "await player.mark(login.type)", True),
        ("SessionLogin | None", "await player.mark('seen', last=login is not None)", False),
        ("SessionLogin", "await player.mark('seen')", False),
        ("SessionLogin", "await player.event(SessionLogin, within=days(1), where=lambda one: one is not login)", True),
        ("SessionLogin", "await player.event(SessionLogin, within=days(1), where=lambda login: login.is_test)", False),
        ("SessionLogin", "await player.mark('seen', types=[login.type for login in []])", False),
    ],
)
def test_a_journey_that_reads_the_event_it_begins_with_is_known(
    package: Write, kind: str, body: str, *, uses: bool
) -> None:
    """Whoever lets players in by hand has no such event to give."""
    source = journey_of(body).replace("login: SessionLogin", f"login: {kind}")
    assert load([package({"hello": source})]).journeys["hello"].uses_trigger is uses


def test_journeys_outside_the_repository_are_found_in_every_module_below_the_package(package: Write) -> None:
    body = "await player.sleep(days(1))"
    name = package(
        {
            "first": journey_of(body).replace("hello", "first"),
            "deep.__init__": "",
            "deep.second": journey_of(body).replace("hello", "second"),
        }
    )
    registry = load([SHIPPED, name])
    assert {"first", "second", "welcome"} <= set(registry.journeys)
    assert registry.journeys["second"].function.__module__ == f"{name}.deep.second"


def test_a_single_module_may_be_named_instead_of_a_package(package: Write) -> None:
    name = package(one=journey_of("await player.sleep(days(1))"), other="import os\n")
    assert list(load([f"{name}.one"]).journeys) == ["hello"]


def test_a_journey_imported_by_another_module_is_one_journey(package: Write) -> None:
    name = package(
        one=journey_of("await player.sleep(days(1))") + "\n\nsame = hello\n",
        two="from PACKAGE.one import hello\n",
    )
    assert list(load([name]).journeys) == ["hello"]


# ---- what is read off the code ------------------------------------------------------------------


def read(package: Write, /, **modules: str) -> Registry:
    return load([package(**modules)])


def test_what_a_journey_waits_for_is_what_it_listens_to(package: Write) -> None:
    source = journey_of(
        """
        if await player.event(DepositApproved, within=days(1)):
            return
        match await player.first(LossStreak, SessionLogin, within=hours(1)):
            case LossStreak():
                await player.send("sorry", via=["push", "in_app"], fallback=("sms",))
        await player.send("hello")
        """
    )
    registry = read(package, one=source)
    journey = registry.journeys["hello"]
    assert journey.listens_to == {"payment.deposit_approved", "derived.loss_streak", "session.login"}
    uses = {use.template: (set(use.channels), use.line) for use in registry.templates}
    assert uses == {
        "sorry": ({"push", "in_app", "sms"}, len(source.splitlines()) - 1),
        "hello": ({"email"}, len(source.splitlines())),
    }


def test_the_player_may_have_any_name_and_goes_by_others_in_helpers(package: Write) -> None:
    registry = read(
        package,
        one=journey_of(
            """
            await first_helper(days(1), who=player)
            await second_helper(player)
            """,
            head="""
            from functools import wraps
            from PACKAGE.helpers import first_helper
            from PACKAGE import helpers

            def wrapped(function):
                @wraps(function)
                def inner(*given):
                    return function(*given)
                return inner

            @wrapped
            async def second_helper(someone):
                await helpers.third_helper(1, someone)

            """,
        ).replace("player", "gambler"),
        helpers="""
        from datetime import timedelta
        from workflows import ContactVerified, DepositApproved, DepositFailed, Form, Player, days

        class Call(Form):
            '''Call.'''

        async def first_helper(limit: timedelta, *, who: Player) -> None:
            if await who.event(DepositApproved, within=limit):
                await first_helper(limit, who=who)

        async def third_helper(number, p):
            await p.event(ContactVerified, within=days(1))
            await p.ask(Call, team="vip", due=days(1))

            async def inside(again_the_player: "Player") -> None:
                await again_the_player.event(DepositFailed, within=days(1))

            await inside(p)
        """,
    )
    listens = registry.journeys["hello"].listens_to
    assert listens == {"payment.deposit_approved", "player.contact_verified", "payment.deposit_failed"}
    assert list(registry.forms["hello"]) == ["Call"]


def test_the_first_parameter_is_the_player_also_where_nothing_says_so(package: Write) -> None:
    source = journey_of("await gambler.event(DepositApproved, within=days(1))")
    registry = read(package, one=source.replace("player: Player, login: SessionLogin", "gambler, login"))
    assert registry.journeys["hello"].listens_to == {"payment.deposit_approved"}


def test_a_helper_of_something_else_that_is_called_the_same_is_not_the_player(package: Write) -> None:
    head = """
    from dataclasses import dataclass

    @dataclass
    class Machine:
        name: str

        def event(self, what: str) -> str:
            return what

    def tell(machine: Machine) -> str:
        return machine.event("nothing to wait for")
    """
    registry = read(package, one=journey_of('await player.mark(tell(Machine("x")))', head=head))
    assert registry.journeys["hello"].listens_to == frozenset()


def test_what_cannot_be_read_off_is_declared(package: Write) -> None:
    several = read(
        package,
        one=journey_of("await player.first(*KINDS, within=days(1))", head="\nKINDS = (DepositApproved, LossStreak)\n"),
    )
    assert several.journeys["hello"].listens_to == {"payment.deposit_approved", "derived.loss_streak"}
    declared = read(
        package,
        one=journey_of(
            """
            for kind in [DepositApproved]:
                await player.event(kind, within=days(1))
            """,
            listens="DepositApproved, LossStreak",
        ),
    )
    assert declared.journeys["hello"].listens_to == {"payment.deposit_approved", "derived.loss_streak"}


def test_channels_are_read_through_names_and_choices_but_conditions_are_not_channels(package: Write) -> None:
    registry = read(
        package,
        one=journey_of(
            """
            await player.send("one", via=LOUD)
            await player.send("two", via=["push"] if player.tier == "gold" else ["email", *LOUD])
            await player.send("three", via="in_app", fallback=LOUD + ["email"])
            """,
            head='\nLOUD = ["sms"]\n',
        ),
    )
    uses = {use.template: set(use.channels) for use in registry.templates}
    assert uses == {"one": {"sms"}, "two": {"push", "email", "sms"}, "three": {"in_app", "sms", "email"}}


def test_what_is_allowed_is_not_refused(package: Write) -> None:
    registry = read(
        package,
        one=journey_of(
            """
            arm = player.split("colour", red=50, blue=50)
            note = await call(player)
            moment = await player.until("09:30", weekday="monday")
            if isinstance(login.occurred_at, datetime) and arm == "red" and player.now > moment:
                return again(chapter=chapter + 1)
            limits = {"within": days(1)}
            await player.event(DepositApproved, **limits)
            return again(chapter=1) if note else None
            """,
            head="""
            import math
            from datetime import UTC, datetime
            from typing import TYPE_CHECKING
            from temporalio import workflow
            from temporalio.common import RetryPolicy
            from workflows.local_time import next_local
            from .words import TEAM

            if TYPE_CHECKING:
                from os import PathLike

            START = datetime(2026, 1, 1, tzinfo=UTC)

            def compile(text: str) -> str:
                return text

            NAME = compile("its own")

            class Call(Form):
                '''Call.'''

            def call(someone: Player):
                return someone.ask(Call, team=TEAM, due=hours(1))
            """,
        ),
        words="TEAM = 'vip'\n",
    )
    assert set(registry.forms["hello"]) == {"Call"}


# ---- an event of one's own ----------------------------------------------------------------------


def test_an_event_class_of_ones_own_starts_and_wakes_a_journey(package: Write) -> None:
    name = package(own=OWN_EVENTS)
    rules = RuleIndex(load([name]).journeys)
    state = PlayerState(BRAND, "p-1")

    def happens(fact: str, **data: int) -> Event:
        envelope = {"event_id": fact, "event_source": "/test", "occurred_at": NOON}
        return CATALOGUE[f"igaming.{name}.{fact}.v1"].model_validate(envelope | data)

    assert state.advance(happens("vip_flagged", level=1), rules, NOON, NO_FAILURES) == []
    assert len(only(Start, state.advance(happens("vip_flagged", level=2), rules, NOON, NO_FAILURES))) == 1
    assert len(only(Wake, state.advance(happens("called", minutes=9), rules, NOON, NO_FAILURES))) == 1


def test_a_journey_class_is_a_workflow_under_its_functions_name(package: Write) -> None:
    registry = read(package, one=journey_of("await player.sleep(days(1))"))
    (made,) = registry.workflows
    assert issubclass(made, JourneyRun)
    assert (made.__name__, made.__module__) == ("hello", registry.journeys["hello"].function.__module__)
    assert registry.journeys["hello"].triggers[0].enters is SessionLogin

"""Events that a run is known to be past are not delivered to it, and it never misses one."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from tests.support.conformance import Happening, History, happens, on_the_stage, registers
from tests.support.examples import examples
from tests.support.outside_packages import Write, journey_of
from tests.support.random_journeys import EVENTS, HEADER, KINDS, TEMPLATES, WAITS, statement, write
from workflows import BadgeAwarded, DepositApproved, PlayerRegistered, RoundCompleted, SessionLogin, days, minutes
from workflows.journey_versions import publish
from workflows.rules.hearing import everywhere_alike
from workflows.source.interest_by_place import InterestByPlace
from workflows.source.journey_loading import Registry, load

MONDAY = datetime(2026, 3, 9, 9, tzinfo=UTC)
BEHIND = [
    "await player.refresh()",
    *(f'await player.send("{template}", via=["{channels[0]}"])' for template, channels in TEMPLATES.items()),
]
WHERE = st.sampled_from(["", ", where=lambda one: one.occurred_at.minute % 2", ", where=odd_hours", ", fresh=True"])
HELPERS = """
def odd_hours(one: object) -> bool:
    return bool(one.occurred_at.hour % 2)


async def wait_and_tell(player: Player, name: str) -> object:
    came = await player.event(ContactVerified, within=hours(3))
    await player.send("guide", via=["email"], about="table")
    return came


"""


@st.composite
def waiting(draw: st.DrawFn) -> str:
    """A wait, and a message behind it: what was waited for may be behind the run from there on."""
    kind, within = draw(st.sampled_from(KINDS)), draw(st.sampled_from(WAITS))
    wait = f"await player.event({kind}, within={within}{draw(WHERE)})"
    behind = draw(st.sampled_from(BEHIND))
    return f"{wait}\n{behind}"


@st.composite
def looping(draw: st.DrawFn) -> str:
    body = draw(st.lists(st.one_of(waiting(), waiting(), statement(0)), min_size=1, max_size=3).map("\n".join))
    kind, within = draw(st.sampled_from(KINDS)), draw(st.sampled_from(WAITS))
    broken_off = f"if await player.event({kind}, within={within}):\n    break"
    leaving = draw(st.sampled_from(["", broken_off, "if player.tier:\n    continue"]))
    head = draw(st.sampled_from(["for _ in range(3):", f"while await player.event({kind}, within={within}):"]))
    return f"{head}\n{indent(body, '    ')}\n{indent(leaving, '    ')}"


@st.composite
def designs(draw: st.DrawFn) -> str:
    """A journey of waits, messages, loops, branches, helpers and chapters."""
    helper = st.sampled_from(['await wait_and_tell(player, "one")', 'if await wait_and_tell(player, "two"):\n    pass'])
    parts = draw(st.lists(st.one_of(waiting(), looping(), looping(), statement(1), helper), min_size=2, max_size=5))
    body = "\n".join(parts)
    if draw(st.booleans()):
        body += "\nif chapter < 3:\n    return again(chapter=chapter + 1)"
    head = (
        "@journey(on(BadgeAwarded), entry=once, ends_after=days(9))\n"
        "async def drawn(player: Player, badge: BadgeAwarded, chapter: int = 1) -> Again | None:\n"
        '    """Nobody knows what for."""\n'
    )
    return f"{HEADER}{HELPERS}{head}{indent(body, '    ')}\n    return None\n"


@st.composite
def busy_histories(draw: st.DrawFn) -> History:
    """A player to whom much happens that the journey may or may not wait for."""
    pauses = draw(st.lists(st.sampled_from([1, 7, 20, 50, 190, 900]), min_size=20, max_size=60))
    told = [
        Happening(minutes(after + 0.5), [draw(st.sampled_from(EVENTS[:3]))]) for after in itertools.accumulate(pauses)
    ]
    return [registers(mode="history"), happens(minutes(0), BadgeAwarded), *told]


def of_a_release(registry: Registry, *, by_place: bool) -> Registry:
    """The same journeys as a release, whose runs are told what they can still use, or all that they could ever use."""
    journeys = {}
    for name, one in registry.journeys.items():
        publish(one.function.__module__, name, {1: None})
        journeys[name] = replace(one, version=1, places=one.places if by_place else everywhere_alike)
    return replace(registry, journeys=journeys)


@settings(max_examples=examples(40, quick=15), deadline=None, suppress_health_check=list(HealthCheck))
@given(source=designs(), drawn=st.lists(busy_histories(), min_size=2, max_size=2))
def test_whatever_a_run_is_not_told_it_would_not_have_used(
    tmp_path: Path, source: str, drawn: Sequence[History]
) -> None:
    """Told everything that its journey waits for anywhere, it does the same at the same moments."""
    registry = load((write(tmp_path, source),))
    histories = {f"p{number}": history for number, history in enumerate(drawn)}
    by_place, whole = (
        on_the_stage(of_a_release(registry, by_place=known), histories, MONDAY, days(12)) for known in (True, False)
    )
    assert by_place == whole


def test_what_the_code_shows_is_known_of_nearly_every_journey() -> None:
    """Or the property above would show nothing."""
    known = [journey.places for journey in load().journeys.values()]
    assert all(isinstance(one, InterestByPlace) for one in known)


def test_ten_thousand_rounds_behind_its_last_wait_for_one_wake_no_run(package: Write) -> None:
    body = """
    await player.event(RoundCompleted, within=days(1))
    await player.send("welcome", via=["email"])
    await player.event(DepositApproved, within=days(5))
    await player.refresh()
    """
    registry = load([package(one=journey_of(body, head="from workflows import RoundCompleted"))])
    with World(
        of_a_release(registry, by_place=True), read_template_facts([SHIPPED_TEMPLATES]), MONDAY, brand="acme"
    ) as world:

        def happens_now(kind: type[SessionLogin | DepositApproved | RoundCompleted], number: int) -> None:
            told = {"event_id": f"{kind.__name__}-{number}", "event_source": "/test", "occurred_at": world.now}
            world.happen("p", kind.example().model_copy(update=told))
            world.advance_to(world.now)

        known = {"event_id": "r", "event_source": "/test", "occurred_at": world.now}
        world.happen("p", PlayerRegistered.example().model_copy(update=known))
        happens_now(SessionLogin, 1)
        [run] = world.player("p").runs.values()
        for number in range(3):
            happens_now(RoundCompleted, number)
        assert (run.seq, run.place) == (1, "send:welcome")
        for number in range(3, 10_000):
            happens_now(RoundCompleted, number)
        assert run.seq == 1
        assert len(run.passed) == 50
        happens_now(DepositApproved, 1)
        assert [one.outcome for one in world.runs.values()] == ["completed"]

"""What a run hears that moves from release to release: whatever any of them waits for, each event once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows import DepositFailed, Player, SessionLogin, days, journey
from workflows.declaration import Journey
from workflows.events import Event
from workflows.player_state.active_run import come_to
from workflows.player_state.decisions import Decision, Migrate, Wake
from workflows.player_state.run_migration import migrate
from workflows.player_state.state import PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.hearing import Hearing
from workflows.rules.index import RuleIndex

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
FAILURES = ("limit", "technical", "declined")
VERSIONS = (1, 2, 3)
#: What a release waits for: failed deposits of these kinds, of all kinds where that is None, and logins or not.
Waits = tuple[frozenset[str] | None, bool]
Act = str | int


@journey(ends_after=days(30))
async def moved(player: Player, nothing: None) -> None:
    """Waits for what each release says it does."""


def fails_with(event: Event, kinds: frozenset[str]) -> bool:
    return isinstance(event, DepositFailed) and event.failure in kinds


def released(waits: Waits) -> Journey:
    return replace(moved.definition, places=partial(left_behind, waits=waits), **heard_by(waits))


def left_behind(step: str, waits: Waits) -> Hearing | None:
    """Every release has a step behind which it waits for logins alone, or for nothing."""
    heard = heard_by((frozenset(), waits[1]))
    return Hearing(heard["listens_to"], heard["filters"], frozenset()) if step.startswith("send") else None


def heard_by(waits: Waits) -> Any:
    failures, logins = waits
    listens = {SessionLogin.type} if logins else set[str]()
    filters = {}
    if failures is None or failures:
        listens |= {DepositFailed.type}
    if failures:
        filters = {DepositFailed.type: (partial(fails_with, kinds=failures),)}
    return {"listens_to": frozenset(listens), "filters": filters}


def waits_for(waits: Waits, event: Event) -> bool:
    failures, logins = waits
    if isinstance(event, SessionLogin):
        return logins
    return failures is None or fails_with(event, failures)


def event(number: int, what: str) -> Event:
    kind = SessionLogin if what == "login" else DepositFailed
    data = {**kind.example_data, "event_id": f"e{number}", "event_source": "/t", "occurred_at": NOON}
    own = {kind.unique_field: f"{number}"} if kind.unique_field else {}
    return kind(**data | own | ({} if what == "login" else {"failure": what}))


WAITS = st.tuples(st.one_of(st.none(), st.frozensets(st.sampled_from(FAILURES), max_size=2)), st.booleans())
ACTS = st.lists(st.one_of(st.sampled_from([*FAILURES, "login", "send"]), st.sampled_from(VERSIONS)), max_size=12)


@settings(max_examples=examples(100), deadline=None)
@given(releases=st.tuples(WAITS, WAITS, WAITS), acts=ACTS)
def test_a_run_hears_once_whatever_a_release_that_it_was_on_waits_for(
    releases: tuple[Waits, Waits, Waits], acts: list[Act]
) -> None:
    waits: Mapping[int, Waits] = dict(zip(VERSIONS, releases, strict=True))
    others = {number: replace(released(waits[number]), version=number) for number in VERSIONS[1:]}
    played = replace(released(waits[1]), version=1, versions=others)
    rules, failures = RuleIndex({played.name: played}), list[RuleFailure]()
    state = PlayerState("acme", "p1")
    state.enter(played, None, NOON)
    [(run_id, run)] = state.runs.items()
    told: list[Decision] = []
    past: list[Event] = []
    # By event the releases that count: those that the run was on, and of what it was past those that came later.
    on, since = {1}, dict[str, set[int]]()
    for number, act in enumerate(acts):
        if act == "send":
            come_to(state.runs, run_id, "send:last#1", rules.journeys)
        elif isinstance(act, str):
            past.append(event(number, act))
            told += state.advance(past[-1], rules, NOON, failures)
            was_past = run.place is not None and act != "login"
            since[past[-1].event_id] = set() if was_past else {*on}
        else:
            unheard = [one for one in past if run.unheard(played, act).names(one)]
            before = run.version
            made = migrate(state, run_id, act, (), unheard, rules, failures)
            assert [type(one) for one in made[:1]] == ([] if before == act else [Migrate])
            told += made
            for versions in (on, *since.values()) if made else ():
                versions.add(act)
        heard = Counter(one.event.event_id for one in told if isinstance(one, Wake))
        meant = {one.event_id for one in past if any(waits_for(waits[version], one) for version in since[one.event_id])}
        assert heard == Counter(meant)
    numbers = [one.seq for one in told if isinstance(one, Wake | Migrate)]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert failures == []


def test_a_run_that_is_told_to_end_moves_no_more() -> None:
    played = replace(moved.definition, version=1, versions={2: moved.definition})
    state, rules = PlayerState("acme", "p1"), RuleIndex({played.name: played})
    state.enter(played, None, NOON)
    [run_id] = state.runs
    state.stop(run_id, "self_excluded", NOON)
    assert migrate(state, run_id, 2, (), (), rules, []) == []
    assert state.runs[run_id].version == 1

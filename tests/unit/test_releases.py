"""A version of a journey is its content: what changes it, what does not, and what a frozen copy is made of."""

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.support.outside_packages import Write
from tests.support.player_events import BRAND, NO_FAILURES, NOON, only, stored
from tests.support.releases import journeys_command, reloaded
from workflows.errors import DesignError
from workflows.events import DepositApproved, Event, SessionLogin
from workflows.player_state.decisions import Start, Wake
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import Registry, load
from workflows.source.releases import JourneyRelease, ReleaseIndex, read_index, spoilt_releases
from workflows.source.version_content import JourneyPackages, content_hash

HELLO = '''
"""Hello."""
from workflows import DepositApproved, Player, SessionLogin, always, days, goal, journey, on
from PACKAGE.offers import offer


@journey(on(SessionLogin), entry=always, goal=goal(DepositApproved, within=days(9)), ends_after=days(9), control=10)
async def hello(player: Player, login: SessionLogin) -> None:
    """Greet."""
    await player.event(DepositApproved, within=days(2))
    await offer(player)
'''
OFFERS = '''
"""Offers."""
from workflows import Player
from PACKAGE import prizes

PERCENT = 50
UNUSED = 1


async def offer(player: Player) -> None:
    """Offer something."""
    # A comment.
    await player.mark("offered", percent=PERCENT, spins=prizes.SPINS)


async def other(player: Player) -> None:
    await player.mark("other")
'''
PRIZES = "from workflows import days\n\nSPINS = 10\nNEVER = 1\n"
Edit = Callable[[str, str, str], Registry]


@pytest.fixture
def name(package: Write) -> str:
    """A package with a journey and its helpers."""
    return package(hello=HELLO, offers=OFFERS, prizes=PRIZES)


@pytest.fixture
def edit(name: str, tmp_path: Path) -> Edit:
    """Replaces a text in a module of the package and loads it anew, as the next deployment would."""

    def replaced(module: str, text: str, by: str) -> Registry:
        path = tmp_path / name / f"{module}.py"
        source = path.read_text()
        assert text in source
        path.write_text(source.replace(text, by))
        return reloaded(name)

    return replaced


def hash_of(registry: Registry, name: str) -> str:
    return content_hash(registry.journeys["hello"], JourneyPackages((name,)))


# ---- what a version is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "text", "by"),
    [
        ("hello", '"""Greet."""', '"""Say hello."""'),
        ("hello", "    await offer(player)", "    # Now.\n\n    await offer(player)"),
        ("offers", "# A comment.", "# Another."),
        ("offers", "UNUSED = 1", "UNUSED = 2"),
        ("offers", 'player.mark("other")', 'player.mark("another")'),
        ("offers", "from workflows import Player", "from workflows import Player, days"),
        ("prizes", "NEVER = 1", "NEVER = 2"),
    ],
)
def test_what_a_run_cannot_reach_changes_no_version(edit: Edit, name: str, module: str, text: str, by: str) -> None:
    before = hash_of(load([name]), name)
    assert hash_of(edit(module, text, by), name) == before


@pytest.mark.parametrize(
    ("module", "text", "by"),
    [
        ("hello", "within=days(2)", "within=days(3)"),
        ("hello", "control=10", "control=20"),
        ("hello", "    await offer(player)", "    await player.mark('now')\n    await offer(player)"),
        ("offers", "PERCENT = 50", "PERCENT = 60"),
        ("offers", '"offered"', '"promised"'),
        ("prizes", "SPINS = 10", "SPINS = 20"),
    ],
)
def test_what_a_run_reaches_makes_another_version(edit: Edit, name: str, module: str, text: str, by: str) -> None:
    before = hash_of(load([name]), name)
    assert hash_of(edit(module, text, by), name) != before


def test_a_constant_counts_by_its_value_wherever_it_comes_from(package: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = HELLO.replace("from PACKAGE.offers import offer", "from PACKAGE.facts import LIMIT").replace(
        "await offer(player)", "await player.mark('x', limit=LIMIT)"
    )
    facts = "from workflows import Event\n\nLIMIT = 5\n\n\nclass Flagged(Event, type='PACKAGE.flagged'):\n    pass\n"
    name = package(hello=source, facts=facts)
    before = hash_of(load([name]), name)
    monkeypatch.setattr(sys.modules[f"{name}.hello"], "LIMIT", 6)
    assert hash_of(load([name]), name) != before


def test_moving_a_helper_to_another_module_changes_no_version(name: str, tmp_path: Path) -> None:
    before = hash_of(load([name]), name)
    (tmp_path / name / "offers.py").rename(tmp_path / name / "gifts.py")
    hello = tmp_path / name / "hello.py"
    hello.write_text(hello.read_text().replace(f"{name}.offers", f"{name}.gifts"))
    assert hash_of(reloaded(name), name) == before


# ---- a release ----------------------------------------------------------------------------------


def test_code_that_was_never_released_is_version_0(name: str) -> None:
    assert load([name]).journeys["hello"].version == 0


def test_a_release_is_a_copy_that_reaches_nothing_of_the_original(name: str, edit: Edit, tmp_path: Path) -> None:
    journeys_command(name, "release")
    assert reloaded(name).journeys["hello"].version == 1
    registry = edit("prizes", "SPINS = 10", "SPINS = 20")
    journey = registry.journeys["hello"]
    assert journey.version == 0
    frozen = journey.versions[1]
    assert frozen.function.__module__.startswith(f"{name}.releases.hello.v1_")
    folder = next((tmp_path / name / "releases" / "hello").glob("v1_*"))
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", "hello.py", "offers.py", "prizes.py"}
    assert "# A comment." in (folder / "offers.py").read_text()
    assert sys.modules[f"{frozen.function.__module__.rpartition('.')[0]}.prizes"].SPINS == 10
    journeys_command(name, "release")
    journey = reloaded(name).journeys["hello"]
    assert (journey.version, sorted(journey.versions)) == (2, [1])


def test_a_frozen_copy_has_the_content_of_its_original(name: str, edit: Edit, tmp_path: Path) -> None:
    journeys_command(name, "release")
    registry = edit("hello", "within=days(2)", "within=days(3)")
    index = registry.releases["hello"]
    assert list(spoilt_releases(registry.journeys["hello"], index)) == []
    frozen = next((tmp_path / name / "releases" / "hello").glob("v1_*")) / "prizes.py"
    frozen.write_text(frozen.read_text().replace("10", "11"))
    registry = reloaded(name)
    [(release, wrong)] = spoilt_releases(registry.journeys["hello"], index)
    assert release.number == 1
    assert wrong.endswith("was edited after it was released.")


def test_a_release_that_was_not_committed_is_told_before_it_is_needed(name: str, tmp_path: Path) -> None:
    """While the present code is that version nobody misses its source."""
    journeys_command(name, "release")
    for file in next((tmp_path / name / "releases" / "hello").glob("v1_*")).glob("*.py"):
        file.unlink()
    told = journeys_command(name, "check", "hello", code=1)
    assert "hello: v1: its source is not in" in told


def test_going_back_to_released_code_is_no_new_version(name: str, edit: Edit) -> None:
    journeys_command(name, "release")
    edit("hello", "within=days(2)", "within=days(3)")
    journeys_command(name, "release", "hello", "--migrate", "--author", 'Ada "A."')
    edit("hello", "within=days(3)", "within=days(2)")
    assert "hello is v1 already" in journeys_command(name, "release", "hello")
    registry = reloaded(name)
    assert registry.journeys["hello"].version == 1
    assert [(one.number, one.in_flight, one.author) for one in registry.releases["hello"].of("hello")] == [
        (1, "pin", ""),
        (2, "migrate", 'Ada "A."'),
    ]


def test_events_are_contracts_and_no_release_freezes_them(package: Write) -> None:
    beside = "from workflows import Event\n\n\nclass Called(Event, type='PACKAGE.called'):\n    pass\n\n\n"
    name = package(hello=HELLO, offers=OFFERS.replace("PERCENT = 50", beside + "PERCENT = 50"), prizes=PRIZES)
    registry = load([name])
    assert registry.journeys["hello"].version == 0
    with pytest.raises(DesignError, match=r"offer lies in .*offers beside event classes"):
        hash_of(registry, name)


def test_the_index_reads_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = ReleaseIndex("kept_releases", {})
    for number in (2, 1):
        made = JourneyRelease(number, f"{number:032}", date(2026, 1, number), author='a"\\\n')
        index = index.with_release("hello", made)
    index = index.with_release("hello", JourneyRelease(1, f"{1:032}", date(2026, 1, 1), "stop", gone=date(2026, 2, 1)))
    (tmp_path / "kept_releases").mkdir()
    (tmp_path / "kept_releases" / "__init__.py").touch()
    (tmp_path / "kept_releases" / "index.toml").write_text(index.to_toml())
    monkeypatch.syspath_prepend(str(tmp_path))
    assert read_index("kept_releases") == index


def test_an_index_that_was_spoilt_is_told(name: str, tmp_path: Path) -> None:
    journeys_command(name, "release")
    index = tmp_path / name / "releases" / "index.toml"
    index.write_text(index.read_text().replace('"pin"', '"later"'))
    with pytest.raises(DesignError, match="take it from the last commit"):
        reloaded(name)


def test_a_release_whose_source_is_lost_is_told_at_start_up(name: str, edit: Edit, tmp_path: Path) -> None:
    journeys_command(name, "release")
    edit("hello", "within=days(2)", "within=days(3)")
    for file in next((tmp_path / name / "releases" / "hello").glob("v1_*")).glob("*.py"):
        file.unlink()
    with pytest.raises(DesignError, match="hello v1: its source is not in"):
        reloaded(name)


# ---- who is on it -------------------------------------------------------------------------------


def test_a_player_enters_on_the_version_of_that_day_and_hears_what_it_waits_for(name: str, edit: Edit) -> None:
    journeys_command(name, "release")
    registry = reloaded(name)
    player = PlayerState(BRAND, "p1")
    [start] = only(Start, player.advance(event(SessionLogin, "1"), RuleIndex(registry.journeys), NOON, NO_FAILURES))
    assert start.version == 1
    assert start.run_input(BRAND, journey_facts(player)).version == 1
    # The next release waits for something else; who is inside still waits for a deposit.
    edit("hello", "player.event(DepositApproved", "player.event(SessionLogin")
    journeys_command(name, "release")
    rules = RuleIndex(reloaded(name).journeys)
    heard = stored(player).advance(event(DepositApproved, "2"), rules, NOON, NO_FAILURES)
    assert [wake.run_id for wake in only(Wake, heard)] == [start.run_id]
    assert only(Wake, stored(player).advance(event(SessionLogin, "3"), rules, NOON, NO_FAILURES)) == []


def event(kind: type[Event], number: str) -> Event:
    data = kind.example().model_dump(by_alias=False)
    return kind(**data | {"event_id": number, "event_source": "/test", "occurred_at": NOON})

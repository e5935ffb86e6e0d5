"""Which events a run can still use, by the step that it is known to have come to."""

from datetime import UTC, datetime
from importlib import import_module

import pytest

from tests.support.outside_packages import Write, journey_of
from workflows import DepositApproved, RoundCompleted, SessionLogin
from workflows.declaration import Journey
from workflows.source.journey_loading import load
from workflows.source.verb_lint import read_verbs

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HEAD = """
from functools import partial

from workflows import RoundCompleted

suppress = None

def big(won: RoundCompleted) -> bool:
    return won.win_minor >= 1_000

def huge(won: RoundCompleted) -> bool:
    return won.win_minor >= 1_000_000

async def tell(player: Player, name: int) -> None:
    await player.send("told", via=["email"])

async def await_round(player: Player) -> object:
    return await player.event(RoundCompleted, within=days(1))

async def twice(player: Player, left: int = 1) -> None:
    await player.send("told", via=["email"])
    await player.event(RoundCompleted, within=days(1))
    if left:
        await twice(player, left - 1)
"""
ROUND = RoundCompleted.example().model_copy(update={"event_id": "r", "win_minor": 5_000})
ALL = {"RoundCompleted", "DepositApproved"}


def read(package: Write, body: str, *, listens: str = "") -> Journey:
    journey: Journey = load([package(one=journey_of(body, head=HEAD, listens=listens))]).journeys["hello"]
    return journey


def uses(journey: Journey, step: str) -> set[str]:
    """Of which types a run uses events that has come to a step."""
    there = journey.places(step)
    takes = journey.can_use if there is None else there.takes
    return {type(one).__name__ for one in (ROUND, DepositApproved.example(), SessionLogin.example()) if takes(one, [])}


def test_what_no_wait_takes_from_here_on_is_of_no_use(package: Write) -> None:
    body = """
    await player.send("first", via=["email"])
    await player.event(RoundCompleted, within=days(1))
    await player.send("second", via=["email"])
    await player.event(DepositApproved, within=days(1))
    await player.send("third", via=["email"])
    """
    journey = read(package, body)
    assert uses(journey, "send:first#1") == ALL
    assert uses(journey, "send:second#1") == {"DepositApproved"}
    assert uses(journey, "send:third#1") == set()


def test_only_the_questions_of_the_waits_that_lie_ahead_are_asked(package: Write) -> None:
    body = """
    await player.event(RoundCompleted, within=days(1), where=big)
    await player.send("second", via=["email"])
    await player.event(RoundCompleted, within=days(1), where=huge)
    """
    journey = read(package, body)
    assert journey.can_use(ROUND, [])
    assert uses(journey, "send:second#1") == set()


def test_everything_in_a_loop_lies_ahead_in_it_and_nothing_of_it_behind(package: Write) -> None:
    body = """
    for _ in range(3):
        if await player.event(RoundCompleted, within=days(1)):
            await player.send("again", via=["email"])
        else:
            await player.send("again-after-all", via=["email"])
    await player.send("over", via=["email"])
    await player.event(DepositApproved, within=days(1))
    """
    journey = read(package, body)
    assert uses(journey, "send:again#1") == uses(journey, "send:again-after-all#2") == ALL
    assert uses(journey, "send:over#1") == {"DepositApproved"}


@pytest.mark.parametrize("question", ["got is None", "not got", "got is None and not chapter > 9"])
def test_a_loop_that_asks_about_an_earlier_wait_has_a_way_out(package: Write, question: str) -> None:
    body = f"""
    got = await player.event(RoundCompleted, within=days(1))
    while {question}:
        await player.send("reminder", via=["email"])
        got = await player.event(RoundCompleted, within=days(1))
    await player.event(DepositApproved, within=days(1))
    """
    assert uses(read(package, body), "send:reminder#1") == ALL


def test_a_loop_without_a_step_hides_nothing_that_follows(package: Write) -> None:
    body = """
    got = await player.event(RoundCompleted, within=days(1))
    while got:
        break
    await player.send("told", via=["email"])
    await player.event(DepositApproved, within=days(1))
    """
    assert uses(read(package, body), "send:told#1") == {"DepositApproved"}


@pytest.mark.parametrize(
    "first", ['(await player.send("told", via=["email"])).sent.count("email")', "(await hello(player)).count(1)"]
)
def test_a_step_whose_answer_is_asked_at_once_stands_where_it_is_taken(package: Write, first: str) -> None:
    head = f"""{HEAD}
async def hello(player: Player) -> list[int]:
    await player.send("told", via=["email"])
    return []
"""
    body = f"""
    {first}
    await player.event(RoundCompleted, within=days(1))
    await player.send("told", via=["email"])
    """
    name = package(one=journey_of(body, head=head.replace("hello", "greet")).replace("await hello(", "await greet("))
    journey: Journey = load([name]).journeys["hello"]
    assert uses(journey, "send:told#1") == {"RoundCompleted"}


def test_a_chapter_that_begins_again_has_everything_ahead(package: Write) -> None:
    body = """
    await player.event(RoundCompleted, within=days(1))
    await player.send("told", via=["email"])
    if chapter > 3:
        await player.send("over", via=["email"])
        return None
    return again(chapter=chapter + 1)
    """
    journey = read(package, body)
    assert uses(journey, "send:told#2") == {"RoundCompleted"}
    assert uses(journey, "send:over#1") == set()


def test_a_message_sent_in_two_places_counts_as_the_first(package: Write) -> None:
    body = """
    await tell(player, 1)
    await player.event(RoundCompleted, within=days(1))
    await player.send("once", via=["email"])
    await tell(player, 2)
    """
    journey = read(package, body)
    assert uses(journey, "send:told#2") == {"RoundCompleted"}
    assert uses(journey, "send:once#1") == set()


def test_a_reward_or_a_question_counts_as_the_first_of_its_kind(package: Write) -> None:
    """What it is called is known to the run alone, where it is chosen there."""
    body = """
    await player.refresh()
    await player.event(RoundCompleted, within=days(1))
    await player.refresh()
    """
    assert uses(read(package, body), "refresh#2") == {"RoundCompleted"}


def test_what_a_designer_declares_is_heard_to_the_end(package: Write) -> None:
    body = """
    await player.event(RoundCompleted, within=days(1))
    await player.event(DepositApproved, within=days(1))
    await player.send("last", via=["email"])
    """
    assert uses(read(package, body, listens="RoundCompleted"), "send:last#1") == {"RoundCompleted"}


@pytest.mark.parametrize(
    "body",
    {
        "an error that is caught": """
        try:
            await player.event(RoundCompleted, within=days(1))
            await player.send("last", via=["email"])
        except ValueError:
            await player.event(DepositApproved, within=days(1))
        """,
        "an error that is swallowed": """
        with suppress(ValueError):
            await player.event(RoundCompleted, within=days(1))
            await player.send("last", via=["email"])
        """,
        "a coroutine that is awaited later": """
        rounds = await_round(player)
        await player.send("last", via=["email"])
        await rounds
        """,
        "a helper that is handed on": """
        await partial(await_round)(player)
        await await_round(player)
        await player.send("last", via=["email"])
        """,
        "a player that is kept": """
        await player.event(RoundCompleted, within=days(1))
        kept = [player]
        await player.send("last", via=["email"])
        """,
        "a comprehension": """
        [(await player.event(RoundCompleted, within=days(1)), await player.send("last", via=["email"])) for _ in "ab"]
        """,
        "a function inside": """
        async def inside() -> None:
            await player.event(RoundCompleted, within=days(1))
        await inside()
        await player.send("last", via=["email"])
        """,
        "a helper that calls itself": "await twice(player)\nawait player.send('last', via=['email'])",
        "a question before a case": """
        await player.event(RoundCompleted, within=days(1))
        match chapter:
            case 1 if await player.send("last", via=["email"]):
                pass
        """,
        "an end that nobody sees": """
        await player.event(RoundCompleted, within=days(1))
        await player.send("last", via=["email"])
        next_chapter = again(chapter=2) if False else None
        return next_chapter
        """,
    }.values(),
)
def test_where_the_order_of_steps_is_not_plain_everything_is_heard(package: Write, body: str) -> None:
    name = package(one=journey_of(body, head=HEAD))
    definition = import_module(f"{name}.one").hello.definition
    places = read_verbs(definition, (name,)).listening(definition)["places"]
    assert places("send:last#1") is None
    assert places("send:told#1") is None

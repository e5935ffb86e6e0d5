# ruff: noqa: ARG001  a journey takes the event that starts it, whether or not it looks at it
"""Diagrams: what the code says is what is drawn, under the ids that the runtime gives.

To store new golden texts after a journey was changed on purpose: RECORD_DIAGRAMS=1 pytest tests/unit/test_diagram.py
"""

import json
import os
from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from stage.flow.diagram import Picture, picture
from stage.flow.diagram_mermaid import mermaid
from stage.flow.diagram_svg import svg
from workflows import (
    Again,
    DepositApproved,
    Form,
    LossStreak,
    Player,
    PlayerRegistered,
    SessionLogin,
    Statistics,
    again,
    days,
    free_spins,
    hours,
    journey,
    on,
    segment,
)
from workflows.rewards.kinds import KINDS
from workflows.run import JourneyRun
from workflows.source.flow_graph import Decision, EndNode, Flow, Repeat, StartNode, StepNode
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import load

GOLDEN = Path(__file__).parent.parent / "golden" / "diagrams"
HISTORIES = sorted((Path(__file__).parent.parent / "histories").glob("*.json"))
SHIPPED = load().journeys
SVG = "{http://www.w3.org/2000/svg}"
TEAM = "vip"
SOON = hours(4)


class Call(Form):
    """Call the player."""

    outcome: str


# ---- journeys that only this file reads ----------------------------------------------------------


@journey(on(PlayerRegistered), ends_after=days(30))
async def looped(player: Player, registered: PlayerRegistered) -> None:
    """A loop with a way out."""
    for _ in range(3):
        if await player.event(SessionLogin, within=days(1)):
            break
        await player.send("welcome")
    await player.send("welcome")
    await player.mark("done")


@journey(on(PlayerRegistered), ends_after=days(30))
async def waiting(player: Player, registered: PlayerRegistered) -> None:
    """A loop whose head is a wait."""
    while not await player.event(DepositApproved, within=days(2)):
        await player.sleep(hours(3))
        if player.deposits > 5:
            continue
        await player.mark("asked")


@journey(on(PlayerRegistered), ends_after=days(30))
async def helped(player: Player, registered: PlayerRegistered) -> None:
    """Helpers in helpers, a default team and a result that is handed up."""
    if await call(player, "One."):
        return
    reason = "Two."
    await call(player, reason)


async def call(somebody: Player, reason: str) -> Call | None:
    """A call."""
    note = f"{reason} Be kind."
    return await ask(somebody, note)


async def ask(p: Player, reason: str, *, due: timedelta = SOON) -> Call | None:
    return await p.ask(Call, team=TEAM, due=due, reason=reason)


@journey(on(PlayerRegistered), ends_after=days(30))
async def nested(player: Player, registered: PlayerRegistered) -> None:
    """A function inside, one that takes no steps, one that hands its wait on, and trouble."""

    async def remind(template: str) -> None:
        if shouted(template):
            await player.mark("loud")
        await seen(player)

    try:
        await remind("a")
    except ValueError:
        await player.mark("caught")
    if shouted("b"):
        raise ValueError(registered.country)


def shouted(text: str) -> bool:
    if not text:
        return False
    return text.isupper()


def seen(player: Player) -> Any:
    return player.event(SessionLogin, within=days(1))


@journey(on(PlayerRegistered), ends_after=days(30))
async def matched(player: Player, registered: PlayerRegistered) -> None:
    """Cases that leave something over, and cases that leave nothing."""
    match await player.first(LossStreak, DepositApproved, within=days(2)):
        case LossStreak():
            await player.mark("lost")
        case DepositApproved() as paid if paid.amount_minor > 10_000:
            await player.mark("much")
    match player.split("half", a=50, b=50):
        case "a":
            await player.mark("a")
        case "b":
            await player.mark("b")
    match registered.country:
        case "UA" | "PL":
            await player.mark("near")
        case _:
            return


@journey(on(PlayerRegistered), ends_after=days(30))
async def short_circuit(player: Player, registered: PlayerRegistered) -> None:
    """A wait that is only reached when the first half of the question holds."""
    if player.tier == "gold" and await player.event(SessionLogin, within=days(1)):
        await player.mark("seen")
    count = 5
    if registered.country == "UA":
        count = 10
    await player.grant(free_spins(count)) if player.deposits else await player.sleep(days(1))


@journey(on(PlayerRegistered), ends_after=days(300))
async def chaptered(player: Player, registered: PlayerRegistered, chapter: int = 1) -> Again | None:
    """Three chapters."""
    await player.send("welcome")
    return again(chapter=chapter + 1) if chapter < 3 else None


@journey(on(PlayerRegistered), ends_after=days(30))
async def hostile(player: Player, registered: PlayerRegistered) -> None:
    """Marks <b>&amp;</b> "quotes" #1 | end."""
    if registered.country == '<&"#\\]' or player.deposits << 2 > 1:
        await player.mark('<&"#\\]|end')


@segment
def regulars(player: Statistics) -> bool:
    """Who comes often."""
    return player.count(SessionLogin) > 5


guests = regulars


@journey(on(PlayerRegistered), ends_after=days(30))
async def asked(player: Player, registered: PlayerRegistered) -> None:
    """A segment under another name, handed over by the parameter's."""
    await player.matches(segment=guests)


def flow(made: Any) -> Flow:
    assert issubclass(made, JourneyRun)
    return read_flow(made.definition)


def shown(made: Any) -> Picture:
    return picture(flow(made))


def ways(read: Flow) -> list[str]:
    """Every way as `from -words-> to`, with step ids for steps."""

    def named(node: object) -> str:
        match node:
            case StartNode():
                return "start"
            case StepNode():
                return f"{node.name}{read.numbers[node]}"
            case Decision() | Repeat():
                return f"({node.words})"
            case EndNode():
                return node.again or "end"
        raise AssertionError(node)

    return [f"{named(edge.source)} -{edge.words}-> {named(edge.target)}" for edge in read.edges]


# ---- shipped journeys ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_journey_is_drawn_as_it_was_when_it_was_last_looked_at(name: str) -> None:
    drawn = mermaid(picture(read_flow(SHIPPED[name])))
    golden = GOLDEN / f"{name}.mmd"
    if os.environ.get("RECORD_DIAGRAMS"):
        golden.write_text(drawn)
    assert drawn == golden.read_text()


def test_no_golden_text_is_left_of_a_journey_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("*.mmd")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_journey_is_an_svg_with_every_card_on_it(name: str) -> None:
    drawing = picture(read_flow(SHIPPED[name]))
    root = ET.fromstring(svg(drawing))
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox")
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert sorted(map(str, titles[1:])) == sorted(card.step or card.title[0] for card in drawing.cards)
    texts = {(text.text or "").strip() for text in root.iter(f"{SVG}text")}
    assert {card.step for card in drawing.cards if card.step} <= texts
    assert {line for card in drawing.cards for line in (*card.title, *card.lines)} <= texts


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_step_a_run_ever_took_is_on_the_diagram_under_its_id(path: Path) -> None:
    name = path.name.partition(".")[0]
    events = json.loads(path.read_text())["events"]
    begun = events[0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][0]["data"]
    played = json.loads(b64decode(begun)).get("version", 1)
    read = read_flow(SHIPPED[name].versions.get(played, SHIPPED[name]))
    taken = {
        json.loads(b64decode(event["userMetadata"]["summary"]["data"]))
        for event in events[1:]
        if "userMetadata" in event
    } - {"end"}
    assert taken
    for step in taken:
        called, _, number = step.rpartition("#")
        # How a message is sent at best is chosen on its own card.
        called = called.replace("choose:", "send:")
        assert any(stands_for(node, called) and int(number) in read.numbers[node] for node in read.steps), step


def stands_for(node: StepNode, called: str) -> bool:
    """Whether the runtime calls a step of this node so.

    What an event carries, such as the reward of an item of the shop, is known by its kind only when a run is played.
    """
    verb, _, kind = called.partition(":")
    carried = node.verb == "grant" and node.subject == node.arguments[0].words
    return node.name == called or (carried and verb == "grant" and kind in KINDS)


# ---- reading -------------------------------------------------------------------------------------


def test_steps_of_a_loop_are_numbered_n_and_a_break_leads_past_it() -> None:
    assert ways(flow(looped)) == [
        "start --> (for _ in range(3))",
        "(for _ in range(3)) -each time-> event:SessionLogin#n",
        "event:SessionLogin#n -1 day passed-> send:welcome#n",
        "send:welcome#n --> (for _ in range(3))",
        "(for _ in range(3)) -done-> send:welcome#n",
        "event:SessionLogin#n -SessionLogin-> send:welcome#n",
        "send:welcome#n --> mark:done#1",
        "mark:done#1 --> end",
    ]


def test_a_wait_can_be_the_head_of_a_loop() -> None:
    assert ways(flow(waiting)) == [
        "start --> event:DepositApproved#n",
        "event:DepositApproved#n -2 days passed-> sleep#n",
        "sleep#n --> (player.deposits > 5)",
        "(player.deposits > 5) -no-> mark:asked#n",
        "(player.deposits > 5) -yes-> event:DepositApproved#n",
        "mark:asked#n --> event:DepositApproved#n",
        "event:DepositApproved#n -DepositApproved-> end",
    ]


def test_helpers_are_followed_into_with_what_they_are_given() -> None:
    read = flow(helped)
    assert ways(read) == [
        "start --> ask:Call#1",
        "ask:Call#1 -answered-> end",
        "ask:Call#1 -nobody answered-> ask:Call#2",
        "ask:Call#2 --> end",
    ]
    first, second = read.steps
    assert (first.keywords["team"].known, first.keywords["due"].words) == ("vip", "4 hours")
    assert first.line == second.line
    framed = shown(helped)
    assert [(frame.title, frame.parent) for frame in framed.frames] == [
        ("call", None),
        ("ask", "g0"),
        ("call", None),
        ("ask", "g2"),
    ]


def test_a_function_inside_sees_the_player_and_one_without_steps_is_left_out() -> None:
    assert ways(flow(nested)) == [
        "start --> (shouted(template))",
        "(shouted(template)) -yes-> mark:loud#1",
        "mark:loud#1 --> event:SessionLogin#1",
        "(shouted(template)) -no-> event:SessionLogin#1",
        "start -except ValueError-> mark:caught#1",
        'event:SessionLogin#1 --> (shouted("b"))',
        'mark:caught#1 --> (shouted("b"))',
        '(shouted("b")) -yes-> end',
        '(shouted("b")) -no-> end',
    ]


def test_what_no_case_takes_is_a_way_of_its_own() -> None:
    assert ways(flow(matched)) == [
        "start --> first:LossStreak|DepositApproved#1",
        "first:LossStreak|DepositApproved#1 -LossStreak-> mark:lost#1",
        "first:LossStreak|DepositApproved#1 -DepositApproved() as paid if paid.amount_minor > 10000-> mark:much#1",
        "mark:lost#1 --> split:half#1",
        "mark:much#1 --> split:half#1",
        "first:LossStreak|DepositApproved#1 -DepositApproved or 2 days passed-> split:half#1",
        "split:half#1 -a-> mark:a#1",
        "split:half#1 -b-> mark:b#1",
        "mark:a#1 --> (registered.country)",
        "mark:b#1 --> (registered.country)",
        '(registered.country) -"UA" | "PL"-> mark:near#1',
        "(registered.country) -otherwise-> end",
        "mark:near#1 --> end",
    ]


def test_half_a_question_is_a_way_round_the_wait_in_the_other_half() -> None:
    assert ways(flow(short_circuit)) == [
        'start --> (player.tier == "gold")',
        '(player.tier == "gold") -yes-> event:SessionLogin#1',
        "event:SessionLogin#1 -SessionLogin-> mark:seen#1",
        "mark:seen#1 --> (player.deposits)",
        '(player.tier == "gold") -no-> (player.deposits)',
        "event:SessionLogin#1 -1 day passed-> (player.deposits)",
        "(player.deposits) -yes-> grant:free_spins#1",
        "(player.deposits) -no-> sleep#1",
        "grant:free_spins#1 --> end",
        "sleep#1 --> end",
    ]


def test_a_segment_is_called_what_the_runtime_calls_it() -> None:
    assert ways(flow(asked)) == ["start --> matches:regulars#1", "matches:regulars#1 --> end"]


def test_counts_go_on_from_chapter_to_chapter() -> None:
    assert ways(flow(chaptered)) == [
        "start --> send:welcome#n",
        "send:welcome#n --> (chapter < 3)",
        "(chapter < 3) -yes-> again(chapter=chapter + 1)",
        "(chapter < 3) -no-> end",
        "again(chapter=chapter + 1) -next chapter-> start",
    ]


# ---- drawing -------------------------------------------------------------------------------------


def test_the_top_says_what_the_journey_declares() -> None:
    assert dict(picture(read_flow(SHIPPED["second_deposit"])).facts) == {
        "starts on": "DepositApproved number 1",
        "enters": "once in a lifetime",
        "goal": "DepositApproved within 14 days",
        "leaves on": "DepositApproved or HarmSignal where worrying",
        "over after": "14 days",
        "control": "10 % get no offers",
    }


def test_a_count_stands_on_the_card_whose_id_it_has() -> None:
    read = read_flow(SHIPPED["second_deposit"])
    cards = picture(read, {"send:deposit-thanks#1": 2041, "grant:reload#1": 900, "grant:reload#2": 80}).cards
    said = [(card.step, card.count) for card in cards if card.count not in {"", "0"}]
    assert said == [
        ("send:deposit-thanks#1", "2,041"),
        ("grant:reload#1", "up to 900"),  # of whom some took the first offer only at the second place
        ("grant:reload#1 to #2", "80 to 980"),
    ]


def test_code_with_the_signs_of_every_language_is_drawn_as_it_stands() -> None:
    drawing = shown(hostile)
    root = ET.fromstring(svg(drawing))
    texts = "".join(text.text or "" for text in root.iter(f"{SVG}text"))
    assert """registered.country == "<&"#\\\\]\"""" in texts
    assert 'mark:<&"#\\]|end#1' in texts
    assert "#lt;#amp;#quot;#35;" in mermaid(drawing)

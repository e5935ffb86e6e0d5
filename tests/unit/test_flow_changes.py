"""What a new version changes of a journey, step by step, and the two of them as one picture."""

from stage.flow.diagram import picture_of_changes
from stage.flow.diagram_mermaid import mermaid
from stage.flow.diagram_svg import dot, svg
from stage.flow.flow_changes import flow_changes
from tests.support.outside_packages import Write, journey_of
from tests.support.releases import journeys_command, release
from workflows.source.flow_graph import Flow
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import load

OLD = """
await player.mark("first")
if await player.event(DepositApproved, within=days(9)):
    return
await player.mark("middle", share=SHARE)
await player.event(SessionLogin, within=days(2))
"""
NEW = """
await player.mark("first")
await player.mark("inserted")
if await player.event(DepositApproved, within=days(5), fresh=True):
    return
await player.event(LossStreak, within=days(1))
await player.event(SessionLogin, within=days(2))
"""


def flow(package: Write, body: str, share: int = 50) -> Flow:
    name = package(hello=journey_of(body, head=f"SHARE = {share}"))
    return read_flow(load([name]).journeys["hello"])


def told(old: Flow, new: Flow) -> list[str]:
    return [str(one) for one in flow_changes(old, new) if one.change != "kept"]


def test_what_was_inserted_removed_and_changed_is_told_with_its_place(package: Write) -> None:
    assert told(flow(package, OLD), flow(package, NEW)) == [
        "inserted  mark:inserted#1  after mark:first#1",
        "changed   event:DepositApproved#1  within 9 days -> 5 days; fresh True is new",
        "removed   mark:middle#1  after event:DepositApproved#1",
        "inserted  event:LossStreak#1  after event:DepositApproved#1",
    ]


def test_the_same_code_changes_nothing(package: Write) -> None:
    assert told(flow(package, OLD), flow(package, OLD)) == []


def test_a_constant_is_compared_by_its_value(package: Write) -> None:
    assert told(flow(package, OLD), flow(package, OLD, share=60)) == [
        "changed   mark:middle#1  share SHARE (50) -> SHARE (60)"
    ]


def test_a_step_that_is_counted_otherwise_is_told_with_its_old_id(package: Write) -> None:
    before = 'await player.mark("x")\nawait player.event(SessionLogin, within=days(2))'
    now = f"await player.event(SessionLogin, within=days(1))\n{before}"
    assert told(flow(package, before), flow(package, now)) == [
        "inserted  event:SessionLogin#1  after the start",
        "changed   event:SessionLogin#2  it was event:SessionLogin#1",
    ]


def test_two_versions_are_one_picture_with_the_runs_of_the_older_one(package: Write) -> None:
    shown = picture_of_changes(flow(package, OLD), flow(package, NEW), {"event:DepositApproved#1": 21_311})
    cards = {card.step: (card.change, card.count) for card in shown.cards if card.step}
    assert cards == {
        "mark:first#1": ("kept", "0"),
        "mark:inserted#1": ("inserted", ""),
        "event:DepositApproved#1": ("changed", "21,311"),
        "mark:middle#1": ("removed", "0"),
        "event:LossStreak#1": ("inserted", ""),
        "event:SessionLogin#1": ("kept", "0"),
    }
    titles = {card.key: card.step or card.title[0] for card in shown.cards}
    assert [(titles[arrow.source], titles[arrow.target]) for arrow in shown.arrows if arrow.removed] == [
        ("mark:first#1", "event:DepositApproved#1"),
        ("event:DepositApproved#1", "mark:middle#1"),
        ("mark:middle#1", "event:SessionLogin#1"),
    ]
    assert "dashed" in dot(shown)
    assert "removed" in svg(shown)
    assert mermaid(shown).count("stroke-dasharray:4") == 2


def test_the_command_draws_the_present_code_against_a_version(package: Write) -> None:
    name = package(hello=journey_of(OLD, head="SHARE = 50"))
    release(name)
    drawn = journeys_command(name, "diagram", "hello", "--against", "1")
    assert "stroke-dasharray:4" not in drawn
    assert journeys_command(name, "diagram", "hello", "--against", "7", code=1) == (
        "There is no v7 of hello here; there are v1.\n"
    )

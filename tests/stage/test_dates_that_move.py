"""`until` with a moment that hangs on facts: it moves when they do."""

from datetime import timedelta
from typing import Any

import pytest

from stage.testing.rehearsal import Rehearse
from tests.support.outside_packages import Write, mistakes
from workflows import DepositApproved, KycChanged, Player, days, hours, journey, minutes, on, once
from workflows.rules.moving_facts import TOLD_BY
from workflows.source.journey_loading import load


@journey(on(DepositApproved), entry=once, ends_after=days(30), control=0)
async def reminds(player: Player, _: DepositApproved) -> None:
    """Reminds three days before the deadline, whatever becomes of that."""
    moment = await player.until(lambda p: p.kyc_deadline and p.kyc_deadline - days(3))
    await player.mark("reminded", at=moment.isoformat(), known=player.kyc_deadline is not None)


def told(run: Any) -> list[dict[str, Any]]:
    return [dict(line.detail) for line in run.world.story if line.step == "mark:reminded#1"]


async def needs(run: Any, due_in: timedelta | None) -> None:
    due = None if due_in is None else run.now + due_in
    await run.happens(KycChanged, status="submitted", due_at=due)


async def test_it_waits_for_the_moment_by_the_facts_of_today(rehearse: Rehearse) -> None:
    run = await rehearse(reminds, begins=False)
    await needs(run, days(10))
    due = run.now + days(7)
    await run.happens(DepositApproved)
    await run.advance(days(7) - hours(1))
    assert told(run) == []
    await run.advance(hours(1))
    assert told(run) == [{"at": due.isoformat(), "known": True}]


async def test_a_deadline_that_moves_moves_the_moment_both_ways(rehearse: Rehearse) -> None:
    run = await rehearse(reminds, begins=False)
    await needs(run, days(5))
    await run.happens(DepositApproved)
    await run.advance(days(1))
    await needs(run, days(20))
    await run.advance(days(16))
    assert told(run) == []
    await needs(run, days(3) + hours(2))
    await run.advance(hours(2))
    assert len(told(run)) == 1


async def test_what_is_past_is_now(rehearse: Rehearse) -> None:
    run = await rehearse(reminds, begins=False)
    await needs(run, days(2))
    await run.happens(DepositApproved)
    await run.advance(minutes(1))
    assert len(told(run)) == 1


async def test_while_there_is_no_moment_the_run_waits_and_the_journeys_own_facts_stay(rehearse: Rehearse) -> None:
    run = await rehearse(reminds)
    await run.advance(days(1))
    assert told(run) == []
    await needs(run, days(4))
    await run.advance(days(1))
    assert [one["known"] for one in told(run)] == [False]


async def test_a_moment_that_never_comes_ends_with_the_run(rehearse: Rehearse) -> None:
    run = await rehearse(reminds)
    await run.advance(days(31))
    assert (told(run), run.ended) == ([], "ended")


WAITS = """
from workflows import DepositApproved, Player, days, journey, on, once

@journey(on(DepositApproved), entry=once, ends_after=days(30), control=0)
async def waits(player: Player, deposit: DepositApproved) -> None:
    \"\"\"Waits.\"\"\"
    await player.until(lambda p: p.{fact})
"""


def test_a_fact_of_which_nothing_tells_is_refused(package: Write) -> None:
    (mistake,) = mistakes(package(waits=WAITS.format(fact="harm")))
    assert mistake.startswith("Journey waits, line 7: no event tells when player.harm changes; a moment may hang on ")


@pytest.mark.parametrize("fact", ["kyc_deadline", "last_login"])
def test_a_fact_that_is_told_is_heard(package: Write, fact: str) -> None:
    heard = load([package(waits=WAITS.format(fact=fact))]).journeys["waits"].listens_to
    assert heard == {kind.type for kind in TOLD_BY[fact]}

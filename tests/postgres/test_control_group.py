"""What arrives in a journey's control group and in a brand's holdout, on Postgres: all that is no offer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date

import pytest

from activities.tables import gate_decisions, grants, messages, tasks
from tests.support.engine import BRAND, Effects, done, effects, rows
from tests.support.servers import LocalBonusEngine
from workflows import days, free_spins, points, policy, tier_upgrade
from workflows.effects import Award, Give, OpenTask, Send
from workflows.gate.facts import holdout_place
from workflows.gate.policy_book import PolicyBook
from workflows.player_facts import PlayerFacts
from workflows.player_state.brand_groups import BrandGroups
from workflows.player_state.decisions import Arm

HELD_OUT = PolicyBook(own=(policy("ours", since=date(2026, 1, 1), brand=BRAND, holdout=5),))
COMPARED = pytest.mark.parametrize(("arm", "why"), [("control", "withheld:control"), ("treated", "withheld:holdout")])


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, bonus_engine_url=bonus_engine_server.url) as parts:
        yield parts


@pytest.fixture
async def parts(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        shared.messages.policies = shared.grants.policies = HELD_OUT
        yield shared
    bonus_engine.process.start()


async def entered(parts: Effects, arm: Arm, why: str | None) -> str:
    """A run in this arm, of a player who is held out where that is why nothing is offered."""
    held_out = why == "withheld:holdout"
    names = (parts.casino.player(f"p{number}") for number in range(1_000))
    player = next(name for name in names if (holdout_place(BRAND, name) < 5) == held_out)
    await parts.casino.registers(player)
    return await parts.enters(player, arm=arm)


@COMPARED
async def test_marketing_is_withheld_and_the_reason_is_kept(parts: Effects, arm: Arm, why: str) -> None:
    run = await entered(parts, arm, why)
    news = parts.given(Send, run, "send:how-to-deposit#1", template="how-to-deposit", via=["in_app"])
    told = done(await parts.messages.send(news))
    assert (told.sent, told.suppressed) == ([], {"in_app": why})
    (message,) = await rows(parts.database, messages, run_id=run)
    assert (message["status"], message["reason"], message["handed_over_at"]) == ("suppressed", why, None)
    (decided,) = await rows(parts.database, gate_decisions, run_id=run)
    assert (decided["outcome"], decided["reason"]) == ("refused", why)
    assert decided["rule"] == {"withheld:control": "control-arm", "withheld:holdout": "holdout"}[why]


@COMPARED
async def test_a_bonus_is_withheld_and_the_engine_is_not_asked(
    parts: Effects, bonus_engine: LocalBonusEngine, arm: Arm, why: str
) -> None:
    run = await entered(parts, arm, why)
    given = done(await parts.grants.give(parts.given(Give, run, "grant:free_spins#1", reward=free_spins(10))))
    assert (given.status, given.reason) == ("refused", why)
    (grant,) = await rows(parts.database, grants, run_id=run)
    assert (grant["status"], grant["reason"], grant["asked_at"]) == ("refused", why, None)
    assert not [one for one in bonus_engine.asked() if one["key"] == grant["id"]]


@COMPARED
async def test_service_help_tasks_tiers_and_points_arrive(parts: Effects, arm: Arm, why: str) -> None:
    run = await entered(parts, arm, why)
    for template in ("welcome", "safer-play"):
        given = parts.given(Send, run, f"send:{template}#1", template=template, via=["in_app"])
        assert done(await parts.messages.send(given)).sent == ["in_app"], template
    gold = parts.given(Give, run, "grant:tier_upgrade#1", reward=tier_upgrade("gold"))
    assert done(await parts.grants.give(gold)).status == "confirmed"
    bought = parts.given(Give, run, "grant:free_spins#1", reward=free_spins(10), earned=True)
    assert done(await parts.grants.give(bought)).status == "confirmed"
    earned = parts.given(Award, run, "award:points#1", reward=points(50), currency="points", expires=None)
    assert done(await parts.awards.award(earned)).status == "awarded"
    asked = parts.given(
        OpenTask,
        run,
        "ask:Note#1",
        form="Note",
        question="?",
        form_schema={},
        team="vip",
        due_at=parts.casino.clock.now + days(1),
        escalate_to="vip-head",
        facts=PlayerFacts(player_id=run.split(":")[2]),
    )
    await parts.tasks.open(asked)
    assert [task["state"] for task in await rows(parts.database, tasks, run_id=run)] == ["open"]


async def test_nobody_who_is_neither_misses_anything(parts: Effects) -> None:
    run = await entered(parts, "treated", None)
    news = parts.given(Send, run, "send:how-to-deposit#1", template="how-to-deposit", via=["in_app"])
    assert done(await parts.messages.send(news)).sent == ["in_app"]
    spins = parts.given(Give, run, "grant:free_spins#1", reward=free_spins(10))
    assert done(await parts.grants.give(spins)).status == "confirmed"


@pytest.mark.parametrize("why", ["withheld:holdout", None])
async def test_who_is_held_out_at_the_brand_that_a_group_names_first_is_held_out_here(
    parts: Effects, why: str | None
) -> None:
    held_out = why is not None
    together = replace(HELD_OUT, groups=BrandGroups({"all": ["first", BRAND]}))
    parts.messages.policies = parts.grants.policies = together
    names = (parts.casino.player(f"g{number}") for number in range(10_000))
    drawn = ((name, holdout_place("first", name) < 5, holdout_place(BRAND, name) < 5) for name in names)
    player = next(name for name, there, here in drawn if there == held_out and here != held_out)
    await parts.casino.registers(player)
    run = await parts.enters(player, arm="treated")
    given = done(await parts.grants.give(parts.given(Give, run, "grant:free_spins#1", reward=free_spins(10))))
    assert (given.reason == "withheld:holdout") == held_out
    news = parts.given(Send, run, "send:how-to-deposit#1", template="how-to-deposit", via=["in_app"])
    assert (done(await parts.messages.send(news)).sent == []) == held_out

"""An exclusion of a group holds in each of its brands from the commit that acknowledges it (GB LCCP SR 3.5.3)."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from activities.database import Database
from activities.tables import deliveries, events, messages, players
from tests.support.engine import Effects, Row, begin_run, effects, execute, rows
from tests.support.gate import message
from workflows import ExclusionEnded, ExclusionSet, PlayerMerged, PlayerRegistered, ProfileUpdated, StatusChanged, days
from workflows.effects import Send
from workflows.events import Event
from workflows.gate.decide import may_send
from workflows.gate.decision import Allowed
from workflows.gate.facts import facts_of
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.brand_groups import GROUP_SOURCE
from workflows.player_state.state import PlayerState

CASINO, BINGO, SPORT, ALONE = "group-casino", "group-bingo", "group-sport", "no-group"
GROUPS = {"group": [SPORT, CASINO, BINGO], "another": ["elsewhere"]}
REACHABLE = {"language": "en", "timezone": "Europe/Kyiv", "opted_in": ("email", "sms", "push", "in_app")}
PLAYED = "tested"


@dataclass
class Group:
    """Players who are one person in several brands."""

    parts: Effects

    @property
    def database(self) -> Database:
        return self.parts.database

    async def told(self, brand: str, player: str, happened: type[Event], /, **data: Any) -> None:
        casino = self.parts.casino
        said = casino.event(happened, **data).model_copy(update={"event_id": secrets.token_hex(8)})
        assert await casino.intake.ingest(brand, [(player, said)], casino.clock.now) == ["accepted"]

    async def registers(self, player: str, *brands: str) -> None:
        for brand in brands:
            await self.told(brand, player, PlayerRegistered, **REACHABLE)

    async def protected(self, player: str, *brands: str) -> dict[str, str | None]:
        found: dict[str, str | None] = dict.fromkeys(brands)
        for row in await rows(self.database, players, id=player):
            state = PlayerState.from_json(row["brand"], player, row["state"])
            found[row["brand"]] = state.protected(self.parts.casino.clock.now)
        return {brand: found[brand] for brand in brands}

    async def begins(self, brand: str, player: str) -> str:
        """A run that no workflow plays, by the books alone; its id."""
        run = f"{PLAYED}:{brand}:{player}:1"
        await begin_run(self.database, run)
        return run

    async def sends(self, run: str, number: int = 1) -> None:
        await self.parts.messages.send(
            self.parts.given(Send, run, f"send:tip#{number}", template="favourite-tip", via=["in_app"])
        )

    async def sent(self, player: str) -> list[Row]:
        return [row for row in await rows(self.database, messages, player_id=player) if row["status"] == "sent"]


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, brand_groups=GROUPS, worker_pool_size=8) as parts:
        yield parts


@pytest.fixture
def group(shared: Effects) -> Group:
    return Group(shared)


@pytest.fixture
def player() -> str:
    return f"p-{secrets.token_hex(4)}"


@pytest.mark.parametrize(
    ("kind", "scope"),
    [("self_exclusion", "group"), ("self_exclusion", "national"), ("register", "brand"), ("time_out", "group")],
)
async def test_what_is_of_the_group_holds_in_each_of_its_brands_and_in_no_other(
    group: Group, player: str, kind: str, scope: str
) -> None:
    await group.registers(player, CASINO, BINGO, ALONE, "elsewhere")
    await group.told(BINGO, player, ExclusionSet, kind=kind, scope=scope, until=None)
    protected = "time_out" if kind == "time_out" else "self_excluded"
    assert await group.protected(player, CASINO, BINGO, ALONE, "elsewhere") == {
        CASINO: protected,
        BINGO: protected,
        ALONE: None,
        "elsewhere": None,
    }


async def test_who_has_died_has_died_in_every_brand_of_the_group(group: Group, player: str) -> None:
    await group.registers(player, CASINO, BINGO, ALONE)
    await group.told(CASINO, player, StatusChanged, to="deceased", until=None)
    for brand, status in ((CASINO, "deceased"), (BINGO, "deceased"), (ALONE, "active")):
        (row,) = await rows(group.database, players, brand=brand, id=player)
        assert row["state"]["status"] == status


@pytest.mark.parametrize("kind", ["self_exclusion", "time_out", "operator"])
async def test_what_is_of_one_brand_stays_there(group: Group, player: str, kind: str) -> None:
    await group.registers(player, CASINO, BINGO)
    await group.told(BINGO, player, ExclusionSet, kind=kind, scope="brand", until=None)
    assert (await group.protected(player, CASINO))[CASINO] is None


async def test_a_brand_outside_any_group_protects_nobody_elsewhere(group: Group, player: str) -> None:
    await group.registers(player, CASINO, ALONE)
    await group.told(ALONE, player, ExclusionSet, kind="self_exclusion", scope="group", until=None)
    assert (await group.protected(player, CASINO, ALONE)) == {CASINO: None, ALONE: "self_excluded"}


async def test_who_registers_in_another_brand_afterwards_is_excluded_there(group: Group, player: str) -> None:
    await group.registers(player, CASINO)
    await group.told(CASINO, player, ExclusionSet, kind="self_exclusion", scope="group", until=None)
    await group.registers(player, SPORT)
    assert (await group.protected(player, SPORT))[SPORT] == "self_excluded"


async def test_it_lasts_in_every_brand_as_long_as_where_it_was_set(group: Group, player: str) -> None:
    """Great Britain lets no self-exclusion end by itself, wherever another brand of the group thinks the player is."""
    now = group.parts.casino.clock.now
    await group.told(CASINO, player, PlayerRegistered, **REACHABLE, jurisdiction="GB")
    await group.told(BINGO, player, PlayerRegistered, **REACHABLE, jurisdiction="UA")
    await group.told(CASINO, player, ExclusionSet, kind="self_exclusion", scope="group", until=now + days(1))
    await group.told(SPORT, player, PlayerRegistered, **REACHABLE, jurisdiction="UA")
    for brand in (BINGO, SPORT):
        (row,) = await rows(group.database, players, brand=brand, id=player)
        state = PlayerState.from_json(brand, player, row["state"])
        assert state.excluded_in == (["GB", "UA"] if brand == BINGO else ["GB"])
        later = now + days(365)
        facts = facts_of(state, addresses=["email"], contacts=(), now=later)
        decision = may_send(facts, message(), PolicyBook().of(brand, facts, later), later)
        assert not isinstance(decision, Allowed)
        assert decision.rule == "self-exclusion"


async def test_a_brand_learns_that_it_holds_and_neither_why_nor_from_which_brand(group: Group, player: str) -> None:
    await group.registers(player, CASINO, BINGO)
    await group.told(CASINO, player, ExclusionSet, kind="self_exclusion", scope="group", until=None, reason="private")
    (copy,) = [row for row in await rows(group.database, events, brand=BINGO, player_id=player) if "set" in row["type"]]
    (row,) = await rows(group.database, players, brand=BINGO, id=player)
    assert (copy["source"], copy["data"]["scope"]) == (GROUP_SOURCE, "group")
    assert "private" not in str(copy) + str(row)
    assert CASINO not in str(copy) + str(row["state"])


async def test_the_runs_of_every_brand_are_told_to_stop_in_the_same_transaction(group: Group, player: str) -> None:
    await group.registers(player, CASINO, BINGO)
    runs = {"r": {"journey": PLAYED, "arm": "treated", "ends_at": "2030-01-01T00:00:00Z", "about": ["x"], "version": 0}}
    statement = sa.text("UPDATE players SET state = state || CAST(:runs AS jsonb) WHERE brand = :brand AND id = :id")
    for brand in (CASINO, BINGO):
        run = await group.begins(brand, player)
        under_way = str({"runs": {run: runs["r"]}}).replace("'", '"')
        await execute(group.database, str(statement), runs=under_way, brand=brand, id=player)
    await group.told(CASINO, player, ExclusionSet, kind="self_exclusion", scope="group", until=None)
    stops = {row["brand"] for row in await rows(group.database, deliveries, kind="stop") if player in row["run_id"]}
    assert stops == {CASINO, BINGO}


async def test_sent_again_it_is_a_duplicate_and_changes_nothing(group: Group, player: str) -> None:
    await group.registers(player, CASINO, BINGO)
    casino = group.parts.casino
    said = casino.event(ExclusionSet, kind="self_exclusion", scope="group").model_copy(
        update={"event_id": secrets.token_hex(8)}
    )
    for receipt in ("accepted", "duplicate"):
        assert await casino.intake.ingest(CASINO, [(player, said)], casino.clock.now) == [receipt]
    assert len(await rows(group.database, events, brand=BINGO, player_id=player, type=ExclusionSet.type)) == 1


async def test_an_end_is_for_the_brand_that_is_told(group: Group, player: str) -> None:
    await group.registers(player, CASINO, BINGO)
    await group.told(CASINO, player, ExclusionSet, kind="time_out", scope="group", until=None)
    later = group.parts.casino.clock.now + days(1)
    casino = group.parts.casino
    ended = casino.event(ExclusionEnded, kind="time_out", scope="group").model_copy(
        update={"event_id": secrets.token_hex(8), "occurred_at": later}
    )
    await casino.intake.ingest(BINGO, [(player, ended)], later)
    assert await group.protected(player, CASINO, BINGO) == {CASINO: "time_out", BINGO: None}


class TestMergedAccounts:
    async def merged(self, group: Group, survivor: str, absorbed: str) -> None:
        await group.told(
            CASINO, survivor, PlayerMerged, survivor_id=survivor, absorbed_id=absorbed, rule="same_document"
        )

    async def test_an_exclusion_of_one_account_holds_for_the_other_in_the_other_brand(
        self, group: Group, player: str
    ) -> None:
        other = f"{player}-b"
        for one in (player, other):
            await group.registers(one, CASINO, BINGO)
        await self.merged(group, player, other)
        await group.told(CASINO, other, ExclusionSet, kind="self_exclusion", scope="group", until=None)
        for one in (player, other):
            assert set((await group.protected(one, CASINO, BINGO)).values()) == {"self_excluded"}

    async def test_a_merge_after_the_exclusion_reaches_the_other_brand_too(self, group: Group, player: str) -> None:
        other = f"{player}-b"
        for one in (player, other):
            await group.registers(one, CASINO, BINGO)
        await group.told(CASINO, other, ExclusionSet, kind="self_exclusion", scope="group", until=None)
        await self.merged(group, player, other)
        assert (await group.protected(player, BINGO))[BINGO] == "self_excluded"

    @pytest.mark.parametrize("merged_first", [True, False])
    async def test_where_it_was_set_goes_with_it_to_every_account(
        self, group: Group, player: str, *, merged_first: bool
    ) -> None:
        other = f"{player}-b"
        await group.told(CASINO, other, PlayerRegistered, **REACHABLE, jurisdiction="GB")
        for brand, one in ((CASINO, player), (BINGO, player), (BINGO, other)):
            await group.told(brand, one, PlayerRegistered, **REACHABLE, jurisdiction="UA")
        if merged_first:
            await self.merged(group, player, other)
        await group.told(CASINO, other, ExclusionSet, kind="self_exclusion", scope="group", until=None)
        if not merged_first:
            await self.merged(group, player, other)
        for brand in (CASINO, BINGO):
            for one in (player, other):
                (row,) = await rows(group.database, players, brand=brand, id=one)
                assert "GB" in row["state"]["excluded_in"], (brand, one)

    async def test_a_merge_and_an_exclusion_in_one_batch_reach_it_in_either_order(
        self, group: Group, player: str
    ) -> None:
        casino = group.parts.casino
        for number, first in enumerate((PlayerMerged, ExclusionSet)):
            one, other = f"{player}-{number}", f"{player}-{number}-b"
            for account in (one, other):
                await group.registers(account, CASINO, BINGO)
            merge = casino.event(PlayerMerged, survivor_id=one, absorbed_id=other, rule="same_document")
            exclusion = casino.event(ExclusionSet, kind="self_exclusion", scope="group", until=None)
            batch = [(one, merge), (other, exclusion)]
            batch = [
                (who, what.model_copy(update={"event_id": secrets.token_hex(8)}))
                for who, what in (batch if first is PlayerMerged else reversed(batch))
            ]
            assert await casino.intake.ingest(CASINO, batch, casino.clock.now) == ["accepted"] * 2
            for account in (one, other):
                assert set((await group.protected(account, CASINO, BINGO)).values()) == {"self_excluded"}

    async def test_a_merge_of_players_without_such_an_exclusion_makes_no_row_elsewhere(
        self, group: Group, player: str
    ) -> None:
        await group.registers(player, CASINO)
        await self.merged(group, player, f"{player}-b")
        assert await rows(group.database, players, brand=BINGO, id=player) == []


class TestRaces:
    async def test_nothing_is_let_pass_in_any_brand_after_the_acknowledgement(self, group: Group, player: str) -> None:
        """Sends in two brands against exclusions told to one of them: what was sent by then is all there ever is."""
        draw = Random(13)
        persons = [f"{player}-{number}" for number in range(25)]
        runs = {}
        for person in persons:
            await group.registers(person, CASINO, BINGO)
            runs[person] = [await group.begins(brand, person) for brand in (CASINO, BINGO)]
        at_ack: dict[str, int] = {}

        async def excludes(person: str) -> None:
            await asyncio.sleep(draw.random() / 4)
            brand = draw.choice((CASINO, BINGO, SPORT))
            await group.told(brand, person, ExclusionSet, kind="self_exclusion", scope="group", until=None)
            at_ack[person] = len(await group.sent(person))

        async def sends(run: str, number: int) -> None:
            await asyncio.sleep(draw.random() / 2)
            await group.sends(run, number)

        sending = [sends(run, number) for person in persons for run in runs[person] for number in (1, 2)]
        await asyncio.gather(*sending, *map(excludes, persons))
        assert {person: len(await group.sent(person)) for person in persons} == at_ack
        refused = [
            row
            for person in persons
            for row in await rows(group.database, messages, player_id=person)
            if row["reason"] == "self_excluded"
        ]
        assert refused
        assert any(at_ack.values())

    async def test_brands_that_exclude_the_same_players_at_once_wait_for_each_other_in_no_circle(
        self, group: Group, player: str
    ) -> None:
        casino, now = group.parts.casino, group.parts.casino.clock.now
        persons = [f"{player}-{number}" for number in range(40)]

        def batch(made: type[Event], /, **data: Any) -> list[tuple[str, Event]]:
            told = [
                (one, casino.event(made, **data).model_copy(update={"event_id": secrets.token_hex(8)}))
                for one in persons
            ]
            Random(len(data)).shuffle(told)
            return told

        async def deadlocks() -> int:
            async with group.database.reading() as connection:
                counted = sa.text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
                return int((await connection.execute(counted)).scalar_one())

        before = await deadlocks()
        jobs = []
        for _ in range(4):
            jobs += [
                casino.intake.ingest(brand, batch(ExclusionSet, kind="self_exclusion", scope="group", until=None), now)
                for brand in (CASINO, BINGO, SPORT)
            ]
            jobs += [
                casino.intake.ingest(brand, batch(ProfileUpdated, changed={"language": "uk"}), now)
                for brand in (CASINO, BINGO)
            ]
            jobs.append(casino.intake.ingest(SPORT, batch(ExclusionEnded, kind="self_exclusion", scope="group"), now))
        await asyncio.gather(*jobs)
        assert await deadlocks() == before
        for person in persons:
            assert (await group.protected(person, CASINO))[CASINO] == "self_excluded"

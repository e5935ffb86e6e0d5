"""`grant` against a bonus engine that lets its callers down: one line in its ledger for a key, and the truth here."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from activities.grant_rows import LEASE
from activities.providers.bonus_engine import BonusEngine, Declined, NotAccepted, OutcomeUnknown
from activities.tables import gate_decisions, grants, steps
from local.ports import free_port
from tests.support.engine import Effects, Row, done, effects, execute, rows
from tests.support.loopback_server import HANG_UP, answer, scripted
from tests.support.machine import unhurried, within
from tests.support.servers import LocalBonusEngine, ready
from workflows import ExclusionSet, bonus_money, points
from workflows.effects import Give, GiveResult

STEP = "grant:points#1"
UNKNOWN_AFTER = timedelta(minutes=15)


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    settings = {
        "bonus_engine_url": bonus_engine_server.url,
        "provider_timeout": timedelta(minutes=1),
        "unknown_after": UNKNOWN_AFTER,
    }
    async with effects(module_postgres_url, **settings) as parts:
        yield parts


@dataclass
class Granting:
    """One player's run that grants, and the engine's own files."""

    parts: Effects
    engine: LocalBonusEngine
    player: str
    run: str

    async def give(self, reward: Any = None) -> GiveResult:
        return done(await self.parts.grants.give(self.request(reward)))

    def request(self, reward: Any = None) -> Give:
        return self.parts.given(Give, self.run, STEP, reward=reward or points(5))

    @property
    def key(self) -> str:
        return f"{self.run}/{STEP}"

    def paid(self) -> int:
        """How many lines the ledger has for this grant."""
        return Counter(record["key"] for record in self.engine.granted())[self.key]

    def asked(self) -> list[str]:
        return [record["action"] for record in self.engine.asked() if record["key"] == self.key]

    async def row(self) -> Row:
        (row,) = await rows(self.parts.database, grants, id=self.key)
        return row

    async def status(self) -> tuple[str, str | None]:
        row = await self.row()
        return row["status"], row["reason"]

    async def excludes(self) -> None:
        await self.parts.casino.happens(self.player, ExclusionSet, kind="self_exclusion", until=None)

    async def another(self, name: str) -> "Granting":
        """The same of another player."""
        player = self.parts.casino.player(name)
        await self.parts.casino.registers(player)
        return Granting(self.parts, self.engine, player, await self.parts.enters(player))

    @contextmanager
    def waiting_no_longer_than(self, limit: timedelta) -> Iterator[None]:
        """Somebody in a hurry, as far as the engine's answers go."""
        grants = self.parts.grants
        patient, grants.engine = grants.engine, BonusEngine(self.engine.url, grants.engine._client, timeout=limit)
        try:
            yield
        finally:
            grants.engine = patient

    @contextmanager
    def engine_out_of_reach(self) -> Iterator[None]:
        """A network that does not lead to the engine."""
        grants = self.parts.grants
        there, grants.engine = grants.engine, BonusEngine(f"http://127.0.0.1:{free_port()}", grants.engine._client)
        yield
        grants.engine = there

    async def reconciled(self) -> int:
        """Let the lease run out and reconcile."""
        self.parts.casino.clock.later(LEASE)
        return await self.parts.grants.reconcile_once()


@pytest.fixture
async def granting(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Granting]:
    with shared.for_one_test():
        await execute(shared.database, "DELETE FROM grants")
        player = shared.casino.player()
        await shared.casino.registers(player)
        yield Granting(shared, bonus_engine, player, await shared.enters(player))
    bonus_engine.process.start()


class TestOnce:
    async def test_a_grant_is_reserved_paid_and_confirmed(self, granting: Granting) -> None:
        assert (await granting.give()).status == "confirmed"
        row = await granting.row()
        assert (row["status"], row["provider_ref"][:6], granting.paid()) == ("confirmed", "bonus-", 1)
        assert row["decision"]["rule"] is None
        assert row["decision"]["seen"]["status"] == "active"
        (line,) = await rows(granting.parts.database, steps, run_id=granting.run)
        assert (line["step"], line["outcome"], line["detail"]["kind"]) == (STEP, "confirmed", "points")

    async def test_however_often_the_effect_is_tried_the_engine_pays_once(self, granting: Granting) -> None:
        for _ in range(3):
            assert (await granting.give()).status == "confirmed"
        assert (granting.paid(), granting.asked()) == (1, ["grant"])

    @pytest.mark.parametrize("mode", ["timeout_after_commit", "error_after_commit", "slow"])
    async def test_a_payment_whose_answer_was_lost_is_found_by_its_key(self, mode: str, granting: Granting) -> None:
        async def attempt(limit: timedelta) -> None:
            mine = await granting.another(f"{limit.total_seconds():g}")
            await mine.engine.heal()
            await mine.engine.fail(mode)
            with mine.waiting_no_longer_than(limit), pytest.raises(OutcomeUnknown):
                await mine.give()
            assert await mine.status() == ("reserved", None)
            assert (await mine.give()).status == "confirmed"
            assert (mine.paid(), mine.asked()) == (1, ["grant", "look_up"])

        await unhurried(attempt)

    async def test_a_failure_before_the_payment_is_looked_up_and_then_paid(self, granting: Granting) -> None:
        await granting.engine.fail("error_500", count=2)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await granting.give()
        assert (await granting.give()).status == "confirmed"
        assert (granting.paid(), granting.asked()) == (1, ["grant", *["look_up", "grant"] * 2])

    async def test_a_refusal_is_an_answer_and_final(self, granting: Granting) -> None:
        await granting.engine.fail("refuse", reason="not_eligible")
        for _ in range(2):
            assert (await granting.give()).status == "refused"
        assert await granting.status() == ("refused", "not_eligible")
        assert (granting.paid(), granting.asked()) == (0, ["grant"])

    async def test_an_engine_that_is_down_is_waited_for(self, granting: Granting) -> None:
        await granting.engine.process.stop()
        for error in (NotAccepted, OutcomeUnknown):  # the second cannot even look it up
            with pytest.raises(error):
                await granting.give()
        granting.engine.process.start()
        await ready(granting.engine.process)
        assert (await granting.give()).status == "confirmed"
        assert granting.paid() == 1

    async def test_two_attempts_at_once_pay_once(self, granting: Granting) -> None:
        await granting.engine.fail("slow", seconds=0.5)
        told = await asyncio.gather(granting.give(), granting.give(), return_exceptions=True)
        assert granting.paid() == 1
        assert "confirmed" in {answer.status for answer in told if isinstance(answer, GiveResult)}
        assert await granting.status() == ("confirmed", None)

    async def test_an_attempt_that_was_overtaken_settles_nothing(self, granting: Granting) -> None:
        asked, answering = asyncio.Event(), asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await answering.wait()
            writer.write(answer(422, {"title": "Grant refused", "reason": "not_eligible"}))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(slow, "127.0.0.1", 0) as engine, within(20):
            url = f"http://127.0.0.1:{engine.sockets[0].getsockname()[1]}"
            granting.parts.grants.engine = BonusEngine(url, granting.parts.grants.engine._client)
            attempt = asyncio.create_task(granting.give())
            await asked.wait()
            # The next attempt owns the grant meanwhile.
            await execute(granting.parts.database, "UPDATE grants SET asked_at = asked_at + interval '1 minute'")
            answering.set()
            with pytest.raises(OutcomeUnknown):
                await attempt
        assert await granting.status() == ("reserved", None)


class TestGate:
    async def test_a_protected_player_is_not_even_reserved_for(self, granting: Granting) -> None:
        await granting.excludes()
        assert (await granting.give()).reason == "self_excluded"
        row = await granting.row()
        assert (row["status"], row["decision"]["rule"], row["reserved_at"]) == ("refused", "self-exclusion", None)
        assert granting.asked() == []

    async def test_a_bonus_with_too_much_wagering_is_refused(self, granting: Granting) -> None:
        reward = bonus_money(100).model_copy(update={"wager_x": 40})
        assert (await granting.give(reward)).reason == "wager_too_high"
        assert granting.asked() == []

    async def test_an_exclusion_while_the_answer_is_out_forbids_what_never_arrived(self, granting: Granting) -> None:
        await granting.engine.fail("error_500")
        with pytest.raises(OutcomeUnknown):
            await granting.give()
        await granting.excludes()
        assert (await granting.give()).reason == "protected_meanwhile"
        assert (granting.paid(), granting.asked()) == (0, ["grant", "look_up", "void"])

    async def test_an_exclusion_after_the_payment_does_not_deny_it(self, granting: Granting) -> None:
        await granting.engine.fail("error_after_commit")
        with pytest.raises(OutcomeUnknown):
            await granting.give()
        await granting.excludes()
        assert (await granting.give()).status == "confirmed"

    async def test_what_the_engine_will_not_forbid_is_never_called_refused(self, granting: Granting) -> None:
        async with scripted(answer(500), answer(404), answer(409), answer(404), answer(409)) as engine:
            granting.parts.grants.engine = BonusEngine(engine.url, granting.parts.grants.engine._client)
            with pytest.raises(OutcomeUnknown):
                await granting.give()
            await granting.excludes()
            with pytest.raises(OutcomeUnknown):
                await granting.give()
            assert await granting.status() == ("reserved", None)
            granting.parts.casino.clock.later(UNKNOWN_AFTER)
            assert (await granting.give()).status == "unknown"
        assert [asked.method for asked in engine.asked] == ["POST", "GET", "POST", "GET", "POST"]

    async def test_what_is_refused_again_and_again_is_noted_once(self, granting: Granting) -> None:
        lost = [one for _ in range(3) for one in (answer(404), answer(409))]
        async with scripted(answer(500), *lost) as engine:
            granting.parts.grants.engine = BonusEngine(engine.url, granting.parts.grants.engine._client)
            with pytest.raises(OutcomeUnknown):
                await granting.give()
            await granting.excludes()
            for _ in range(3):
                with pytest.raises(OutcomeUnknown):
                    await granting.give()
        noted = await rows(granting.parts.database, gate_decisions, run_id=granting.run)
        assert sorted(row["outcome"] for row in noted) == ["allowed", "refused"]


class TestUnknown:
    async def unanswered(self, granting: Granting, mode: str) -> None:
        """A grant nobody can say anything about, long enough."""
        await granting.engine.fail(mode)
        with pytest.raises(OutcomeUnknown):
            await granting.give()
        granting.parts.casino.clock.later(UNKNOWN_AFTER)
        with granting.engine_out_of_reach():
            assert (await granting.give()).status == "unknown"
        assert await granting.status() == ("unknown", "the bonus engine never answered")

    async def test_what_was_paid_is_confirmed_when_the_engine_speaks_again(self, granting: Granting) -> None:
        await self.unanswered(granting, "error_after_commit")
        assert await granting.reconciled() == 1
        assert await granting.status() == ("confirmed", None)
        assert granting.paid() == 1
        assert (await granting.give()).status == "confirmed"

    async def test_what_never_arrived_is_forbidden_and_refused(self, granting: Granting) -> None:
        await self.unanswered(granting, "error_500")
        assert await granting.reconciled() == 1
        assert await granting.status() == ("refused", "never_arrived")
        late = await granting.parts.grants._ask_engine(  # the first request, arriving at last
            granting.request(), await self.as_row(granting), look_first=False
        )
        assert (late, granting.paid()) == (Declined(reason="voided"), 0)

    async def as_row(self, granting: Granting) -> Any:
        async with granting.parts.database.reading() as connection:
            return (await connection.execute(grants.select().where(grants.c.id == granting.key))).one()

    async def test_while_the_engine_is_away_it_stays_unknown_and_is_asked_again(self, granting: Granting) -> None:
        await self.unanswered(granting, "error_after_commit")
        with granting.engine_out_of_reach():
            assert await granting.reconciled() == 0
        assert (await granting.status())[0] == "unknown"
        assert await granting.parts.grants.reconcile_once() == 0  # the lease of the attempt before
        assert await granting.reconciled() == 1

    async def test_one_that_cannot_be_settled_does_not_hold_up_the_others(self, granting: Granting) -> None:
        await self.unanswered(granting, "error_after_commit")
        before = granting.parts.casino.clock.now - timedelta(days=1)
        async with granting.parts.database.transaction() as connection:
            row = (await connection.execute(grants.select().where(grants.c.id == granting.key))).one()
            stuck = dict(row._mapping) | {"id": "stuck", "asked_at": before}
            await connection.execute(grants.insert().values(stuck))
        paid = {"provider_ref": "b-1", "status": "credited"}
        async with scripted(HANG_UP, answer(200, paid)) as engine:
            granting.parts.grants.engine = BonusEngine(engine.url, granting.parts.grants.engine._client)
            assert await granting.reconciled() == 1
        assert [asked.target.partition("/grants/")[2][:5] for asked in engine.asked] == ["stuck", granting.key[:5]]
        assert (await granting.status())[0] == "confirmed"

    async def test_two_reconcilers_never_take_the_same_grant(self, granting: Granting) -> None:
        await self.unanswered(granting, "error_500")
        granting.parts.casino.clock.later(LEASE)
        async with granting.parts.database.transaction() as another:
            await another.execute(grants.select().where(grants.c.id == granting.key).with_for_update())
            async with within(20):
                assert await granting.parts.grants.reconcile_once() == 0
        settled = await asyncio.gather(*(granting.parts.grants.reconcile_once() for _ in range(4)))
        assert sum(settled) == 1
        assert granting.asked().count("void") == 1

    async def test_a_key_that_belongs_to_another_grant_is_left_to_a_person(self, granting: Granting) -> None:
        await granting.give()
        await execute(granting.parts.database, "DELETE FROM grants")
        assert (await granting.give(points(6))).status == "unknown"
        assert (await granting.status())[1] == "the bonus engine holds another grant under this key"
        assert await granting.reconciled() == 0
        assert (await granting.status())[0] == "unknown"

    async def test_a_reservation_whose_run_was_ended_is_settled_all_the_same(self, granting: Granting) -> None:
        await granting.engine.fail("error_after_commit")
        with pytest.raises(OutcomeUnknown):
            await granting.give()
        assert await granting.reconciled() == 0  # the run will try again
        await execute(granting.parts.database, "UPDATE runs SET state = 'ended' WHERE id = :run", run=granting.run)
        assert await granting.reconciled() == 1
        assert await granting.status() == ("confirmed", None)

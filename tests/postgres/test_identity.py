"""Who an identity belongs to: the same again is known, something else is told, and what protects is heard anyway."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from activities.database import Database
from activities.intake import intake
from activities.intake.backpressure import protects
from activities.intake.event_store import CONFLICT_SOURCE
from activities.intake.exclusion_minimum import SelfExclusionMinimum, TooEarly
from activities.intake.intake import Intake
from activities.intake.receipts import Conflict, DuplicateOf, Receipt
from activities.settings import Settings
from activities.tables import events, players
from tests.support.engine import BRAND, NOON, Casino, connected, execute, rows
from tests.support.machine import eventually
from workflows.events import (
    ConsentChanged,
    DepositApproved,
    DepositFailed,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    PlayerRegistered,
    ProfileUpdated,
    SessionLogin,
    StatusChanged,
    WithdrawalCompleted,
)
from workflows.player_state.state import Mode, PlayerState
from workflows.rules.index import RuleIndex

#: What protects a player, each in the words of its event.
PROTECTIVE: list[tuple[type[Event], dict[str, Any]]] = [
    (ExclusionSet, {"kind": "self_exclusion", "until": None}),
    (StatusChanged, {"from": "active", "to": "closed", "until": None}),
    (StatusChanged, {"from": "active", "to": "self_excluded", "until": None}),
    (ConsentChanged, {"channel": "email", "opted_in": False}),
    (HarmSignal, {"strength": "strong"}),
]


class Contract(Event, type="identity.contract", unique="clause", example={"clause": "x"}):
    """A fact that is known by a long text."""

    clause: str


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, {})


async def said(casino: Casino, *told: tuple[str, Event]) -> list[Receipt]:
    return await casino.intake.ingest(BRAND, told, NOON)


def differences(receipts: list[Receipt]) -> list[str]:
    return [receipt.difference for receipt in receipts if isinstance(receipt, Conflict)]


async def state_of(database: Database, player: str) -> PlayerState:
    (row,) = await rows(database, players, id=player)
    return PlayerState.from_json(BRAND, player, row["state"])


class TestTheSameAgain:
    async def test_it_is_known_whatever_the_order_of_keys_and_the_spelling_of_numbers(
        self, casino: Casino, database: Database
    ) -> None:
        signal = casino.event(HarmSignal, evidence={"deposits": 4, "share": 0.5, "seen": True})
        turned = signal.model_copy(update={"evidence": {"seen": True, "share": 0.5, "deposits": 4.0}})
        assert await said(casino, ("p", signal), ("p", turned)) == ["accepted", "duplicate"]
        assert await said(casino, ("p", turned), ("p", signal)) == ["duplicate", "duplicate"]
        assert len(await rows(database, events)) == 1

    async def test_a_field_that_got_a_default_since_is_no_difference(self, casino: Casino, database: Database) -> None:
        login = casino.event(SessionLogin)
        await said(casino, ("p", login))
        await execute(database, "UPDATE events SET data = data - 'new_device' - 'failed_attempts'")
        assert await said(casino, ("p", login)) == ["duplicate"]

    @pytest.mark.parametrize("left", ["redacted", "nothing"])
    async def test_where_personal_data_was_erased_player_and_type_decide(
        self, casino: Casino, database: Database, left: str
    ) -> None:
        exclusion = casino.event(ExclusionSet, reason="Olena asked for it.")
        await said(casino, ("p", exclusion))
        erased = "data - 'reason'" if left == "redacted" else "'{}'"
        await execute(database, f"UPDATE events SET data = {erased}")
        assert await said(casino, ("p", exclusion)) == ["duplicate"]
        assert differences(await said(casino, ("q", exclusion))) == ["another player"]


class TestSomethingElse:
    async def test_what_differs_is_named(self, casino: Casino, database: Database) -> None:
        deposit = casino.event(DepositApproved, amount_minor=100)
        login = casino.event(SessionLogin, event_id=deposit.event_id)
        larger = deposit.model_copy(update={"amount_minor": 200})
        told = [("p", deposit), ("q", deposit), ("p", login), ("p", larger), ("q", larger), ("q", login)]
        expected = [
            "another player",
            "another type",
            "other data",
            "another player and other data",
            "another player and another type",
        ]
        # In one batch, and against what was kept before.
        first = await said(casino, *told)
        assert first[0] == "accepted"
        assert differences(first) == expected
        again = await said(casino, *told)
        assert again[0] == "duplicate"
        assert differences(again) == expected
        assert len(await rows(database, events)) == 1
        assert (await state_of(database, "p")).counts == {"payment.deposit_approved": 1}

    async def test_a_flag_is_no_number(self, casino: Casino) -> None:
        signal = casino.event(HarmSignal, evidence={"seen": True})
        number = signal.model_copy(update={"evidence": {"seen": 1}})
        assert differences(await said(casino, ("p", signal), ("p", number))) == ["other data"]

    async def test_where_the_first_counts_other_data_is_no_difference_but_another_player_is(
        self, casino: Casino
    ) -> None:
        registered = casino.event(PlayerRegistered, language="uk")
        later = registered.model_copy(update={"language": "en"})
        identity = (registered.event_source, registered.event_id)
        await said(casino, ("p", registered))
        receipts = await casino.intake.ingest(BRAND, [("p", later), ("q", later)], NOON, first_counts={identity})
        assert receipts[0] == "duplicate"
        assert differences(receipts[1:]) == ["another player"]

    async def test_its_neighbours_are_kept(self, casino: Casino, database: Database) -> None:
        login, other = casino.event(SessionLogin), casino.event(SessionLogin)
        await said(casino, ("p", login))
        receipts = await said(casino, ("q", login), ("q", other))
        assert (differences(receipts), receipts[1]) == (["another player"], "accepted")
        assert (await state_of(database, "q")).counts == {"session.login": 1}


class TestWhatProtects:
    @pytest.mark.parametrize(("kind", "data"), PROTECTIVE, ids=lambda part: getattr(part, "type", None))
    async def test_it_is_acted_upon_once_although_its_identity_was_taken(
        self, casino: Casino, database: Database, kind: type[Event], data: dict[str, Any]
    ) -> None:
        protective = casino.event(kind, **data)
        assert protects(protective)
        taken = casino.event(SessionLogin, event_id=protective.event_id)
        await said(casino, ("somebody-else", taken))
        for _ in range(2):
            (receipt,) = await said(casino, ("p", protective))
            assert isinstance(receipt, Conflict)
            assert receipt.applied
            assert receipt.detail.endswith("It protects the player, so it was acted upon all the same.")
        kept = [row for row in await rows(database, events) if row["player_id"] == "p"]
        assert [(row["source"], row["type"]) for row in kept] == [(f"{CONFLICT_SOURCE}/test", kind.type)]
        state = await state_of(database, "p")
        assert state.counts == {kind.type: 1}
        assert state.protected(NOON) or "chasing/strong" in state.watch.signs or state.consents["email"][0] is False

    async def test_twice_in_one_batch_it_is_kept_once_and_in_its_place(
        self, casino: Casino, database: Database
    ) -> None:
        exclusion = casino.event(ExclusionSet, kind="self_exclusion", until=None)
        ended = casino.event(ExclusionEnded, kind="self_exclusion")
        await said(casino, ("q", exclusion))
        receipts = await said(casino, ("p", exclusion), ("p", exclusion), ("p", ended))
        assert differences(receipts) == ["another player"] * 2
        state = await state_of(database, "p")
        assert state.counts == {"compliance.exclusion_set": 1, "compliance.exclusion_ended": 1}
        assert (await state_of(database, "q")).protected(NOON) == "self_excluded"

    async def test_what_lifts_protection_is_not_acted_upon(self, casino: Casino, database: Database) -> None:
        exclusion = casino.event(ExclusionSet, kind="self_exclusion", until=None)
        ended = casino.event(ExclusionEnded, kind="self_exclusion", event_id=exclusion.event_id)
        receipts = await said(casino, ("p", exclusion), ("p", ended))
        assert differences(receipts) == ["another type"]
        assert (await state_of(database, "p")).protected(NOON) == "self_excluded"


class TestFactsThatHappenOnce:
    async def test_a_payment_told_again_under_another_id_is_a_duplicate_of_the_first(
        self, casino: Casino, database: Database
    ) -> None:
        first = casino.event(DepositApproved, payment_id="pay-1", event_id="z-first")
        second = casino.event(DepositApproved, payment_id="pay-1", event_id="a-second", event_source="/psp")
        of_first = DuplicateOf("/test", "z-first")
        # In one batch the first told is the one that is kept, whatever the order of ids.
        assert await said(casino, ("p", first), ("p", second)) == ["accepted", of_first]
        assert await said(casino, ("p", second), ("p", first)) == [of_first, "duplicate"]
        assert (await state_of(database, "p")).deposited_minor == 5000

    async def test_it_is_one_of_a_player_and_a_type(self, casino: Casino) -> None:
        approved = casino.event(DepositApproved, payment_id="pay-1")
        told = [
            ("p", approved),
            ("q", casino.event(DepositApproved, payment_id="pay-1")),
            ("p", casino.event(WithdrawalCompleted, payment_id="pay-1")),
            ("p", casino.event(DepositFailed, payment_id="pay-1")),
            ("p", casino.event(DepositFailed, payment_id="pay-1")),
        ]
        assert await said(casino, *told) == ["accepted"] * 5

    async def test_an_id_that_was_taken_keeps_no_payment_from_being_told(self, casino: Casino) -> None:
        taken = casino.event(SessionLogin)
        await said(casino, ("p", taken))
        refused = casino.event(DepositApproved, payment_id="pay-1", event_id=taken.event_id)
        kept = casino.event(DepositApproved, payment_id="pay-1")
        receipts = await said(casino, ("p", refused), ("p", kept))
        assert (differences(receipts), receipts[1]) == (["another type"], "accepted")

    async def test_side_by_side_each_payment_counts_once(self, casino: Casino, database: Database) -> None:
        batches = [
            [("p", casino.event(DepositApproved, payment_id=f"pay-{n}", amount_minor=1)) for n in order]
            for order in (range(40), reversed(range(40)), range(20, 40), range(40))
        ]
        receipts = await asyncio.gather(*(said(casino, *batch) for batch in batches))
        assert sum(receipt == "accepted" for batch in receipts for receipt in batch) == 40
        assert (await state_of(database, "p")).deposited_minor == 40

    async def test_a_long_value_is_told_apart_by_its_end(self, casino: Casino) -> None:
        told = [("p", casino.event(Contract, clause="x" * 900 + end)) for end in ("a", "b", "a")]
        receipts = await said(casino, *told)
        assert receipts[:2] == ["accepted", "accepted"]
        assert isinstance(receipts[2], DuplicateOf)


async def how_many_wait(database: Database, expected: int) -> bool:
    """Whether so many of this database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.reading() as connection:
        return bool((await connection.execute(text(waiting))).scalar_one() == expected)


class TestTheMinimumOfASelfExclusion:
    @pytest.fixture
    def casino(self, database: Database) -> Casino:
        return Casino(Intake(database, RuleIndex({}), self_exclusion_minimum=SelfExclusionMinimum(timedelta(hours=24))))

    @pytest.mark.parametrize(
        ("begin", "begun", "end", "ended"),
        [
            (ExclusionSet, {"kind": "self_exclusion", "until": None}, ExclusionEnded, {"kind": "self_exclusion"}),
            (StatusChanged, {"to": "self_excluded", "until": None}, StatusChanged, {"to": "active", "until": None}),
            (
                StatusChanged,
                {"to": "self_excluded", "until": NOON + timedelta(days=9)},
                StatusChanged,
                {"to": "active", "until": None},
            ),
        ],
    )
    @pytest.mark.parametrize("mode", ["live", "history"])
    async def test_nothing_ends_it_before_and_anything_after(
        self,
        casino: Casino,
        database: Database,
        begin: type[Event],
        begun: dict[str, Any],
        end: type[Event],
        ended: dict[str, Any],
        mode: Mode,
    ) -> None:
        await casino.happens("p", begin, **begun)
        soon = await casino.happens("p", end, mode=mode, **ended)
        casino.clock.later(timedelta(hours=24) - timedelta(seconds=1))
        soon += await casino.happens("p", end, mode=mode, **ended)
        assert [receipt.since for receipt in soon if isinstance(receipt, TooEarly)] == [NOON, NOON]
        assert (await state_of(database, "p")).protected(casino.clock.now) == "self_excluded"
        casino.clock.later(timedelta(seconds=1))
        late = casino.event(end, **ended)
        for expected in ("accepted", "duplicate"):
            assert await casino.intake.ingest(BRAND, [("p", late)], casino.clock.now, mode=mode) == [expected]
        assert (await state_of(database, "p")).protected(casino.clock.now) is None

    @pytest.mark.parametrize("between", [{"to": "suspended", "until": None}, {"to": "closed", "until": None}])
    @pytest.mark.parametrize("together", [True, False])
    async def test_not_even_by_way_of_another_status(
        self, casino: Casino, database: Database, between: dict[str, Any], *, together: bool
    ) -> None:
        told: list[dict[str, Any]] = [{"to": "self_excluded", "until": None}, between, {"to": "active", "until": None}]
        batch = [("p", casino.event(StatusChanged, from_status=None, **one)) for one in told]
        groups = [batch] if together else [[one] for one in batch]
        receipts = [one for group in groups for one in await casino.intake.ingest(BRAND, group, NOON)]
        assert receipts == ["accepted", "accepted", TooEarly(NOON, timedelta(hours=24))]
        assert (await state_of(database, "p")).protected(NOON) == "self_excluded"

    async def test_not_even_in_one_batch_and_its_neighbours_are_kept(self, casino: Casino, database: Database) -> None:
        told = [
            ("q", casino.event(SessionLogin)),
            ("p", casino.event(ExclusionSet, kind="self_exclusion", until=None)),
            ("p", casino.event(ExclusionEnded, kind="self_exclusion")),
            ("p", casino.event(SessionLogin)),
        ]
        receipts = await casino.intake.ingest(BRAND, told, NOON)
        assert receipts == ["accepted", "accepted", TooEarly(NOON, timedelta(hours=24)), "accepted"]
        assert (await state_of(database, "p")).protected(NOON) == "self_excluded"

    async def test_an_end_and_another_sender_of_its_neighbour_do_not_wait_for_each_other(
        self, casino: Casino, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both take identities first and players afterwards; a circle would be tried again, and here it is not."""
        monkeypatch.setattr(intake, "MAX_ATTEMPTS", 1)
        await casino.happens("p", ExclusionSet, kind="self_exclusion", until=None)
        casino.clock.later(timedelta(hours=24))
        end, login = casino.event(ExclusionEnded, kind="self_exclusion"), casino.event(SessionLogin)
        async with database.transaction() as held:
            await held.execute(select(players.c.id).where(players.c.id == "p").with_for_update())
            ending = asyncio.create_task(casino.intake.ingest(BRAND, [("p", end), ("p", login)], casino.clock.now))
            await eventually(lambda: how_many_wait(database, 1))
            repeating = asyncio.create_task(casino.intake.ingest(BRAND, [("p", login)], casino.clock.now))
            await eventually(lambda: how_many_wait(database, 2))
        assert await ending == ["accepted", "accepted"]
        assert await repeating == ["duplicate"]

    async def test_the_sentence_says_from_when_on(self, casino: Casino) -> None:
        await casino.happens("p", ExclusionSet, kind="self_exclusion", until=None)
        (receipt,) = await casino.happens("p", ExclusionEnded, kind="self_exclusion")
        assert isinstance(receipt, TooEarly)
        tomorrow = NOON + timedelta(days=1)
        assert receipt.detail.endswith(f"send its end from {tomorrow:%Y-%m-%d} 10:00 UTC on.")

    async def test_a_time_out_and_another_scope_end_when_they_are_told_to(self, casino: Casino) -> None:
        await casino.happens("p", ExclusionSet, kind="time_out", until=None)
        await casino.happens("p", ExclusionSet, kind="self_exclusion", until=None)
        assert await casino.happens("p", ExclusionEnded, kind="time_out") == ["accepted"]
        assert await casino.happens("p", ExclusionEnded, kind="self_exclusion", scope="group") == ["accepted"]
        assert await casino.happens("stranger", ExclusionEnded, kind="self_exclusion") == ["accepted"]

    @pytest.mark.parametrize("country", ["GB", "UA"])
    async def test_in_great_britain_it_is_six_months(self, casino: Casino, country: str) -> None:
        await casino.registers("p", country=country)
        await casino.happens("p", ExclusionSet, kind="self_exclusion", until=None)
        begun = casino.clock.now
        casino.clock.now = begun + timedelta(days=184) - timedelta(seconds=1)
        (receipt,) = await casino.happens("p", ExclusionEnded, kind="self_exclusion")
        assert isinstance(receipt, TooEarly) == (country == "GB")
        casino.clock.now = begun + timedelta(days=184)
        assert await casino.happens("p", ExclusionEnded, kind="self_exclusion") == ["accepted"]

    @pytest.mark.parametrize("length", [timedelta(days=1), timedelta(days=184), timedelta(days=400)])
    async def test_one_that_was_told_with_a_sooner_end_is_ended_by_no_word_before_six_months(
        self, casino: Casino, database: Database, length: timedelta
    ) -> None:
        await casino.registers("p", country="GB")
        begun = casino.clock.now
        await casino.happens("p", ExclusionSet, kind="self_exclusion", until=begun + length)
        casino.clock.now = begun + timedelta(days=30)
        (receipt,) = await casino.happens("p", ExclusionEnded, kind="self_exclusion")
        assert isinstance(receipt, TooEarly)
        assert len((await state_of(database, "p")).exclusions) == 1
        casino.clock.now = begun + timedelta(days=184)
        assert await casino.happens("p", ExclusionEnded, kind="self_exclusion") == ["accepted"]
        assert (await state_of(database, "p")).exclusions == []

    async def test_it_is_that_of_where_it_was_set_too(self, casino: Casino) -> None:
        await casino.registers("p", country="GB")
        await casino.happens("p", ExclusionSet, kind="self_exclusion", until=None)
        casino.clock.now += timedelta(days=30)
        await casino.happens("p", ProfileUpdated, changed={"country": "UA"})
        (receipt,) = await casino.happens("p", ExclusionEnded, kind="self_exclusion")
        assert isinstance(receipt, TooEarly)

    def test_a_day_unless_somebody_sets_it(self) -> None:
        assert Settings(database_url="postgresql://nowhere").self_exclusion_minimum == timedelta(hours=24)

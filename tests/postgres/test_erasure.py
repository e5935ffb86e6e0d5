"""A player who is erased: what goes, what stays, what cannot come back, and who is protected all the while."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from activities import loyalty_tables, tables
from activities.database import Database
from activities.erasures import Erasure, ErasureRequest, all_of, erase_due, request_erasure
from activities.identity_digests import IdentityDigests
from activities.intake.erased_players import BeforeErasure
from activities.intake.intake import Intake
from activities.outgoing import webhook_queue
from activities.personal_data import PERSONAL_DATA
from tests.support.engine import BRAND, Casino, HeldClock, connected, execute, rows
from tests.support.exactness import JOURNEYS
from tests.support.servers import owners
from workflows import ContentViewed, DepositApproved, ExclusionSet, MessageReceived, PlayerRegistered, ProfileUpdated
from workflows.events import ConsentChanged, ExclusionEnded, FeedbackAnswered, HarmSignal, StatusChanged
from workflows.outgoing_events import OutgoingEvent
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

CANARIES = {
    "email": "canary.mail@synthetic.example",
    "phone": "+380449876543",
    "first_name": "Kanarienvogel",
    "username": "canary_user_77",
    "birth_date": "1987-03-09",
}
FREE_TEXT = "my free canary text"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


def casino_of(database: Database) -> Casino:
    digests = IdentityDigests(("a secret of twenty-four bytes",))
    return Casino(Intake(database, RuleIndex(JOURNEYS), digests=digests), HeldClock(datetime.now(UTC)))


async def ask(database: Database, casino: Casino, player: str) -> tuple[Erasure, bool]:
    asked = ErasureRequest(BRAND, player, "consent_withdrawn", "T-1", "olena")
    async with database.transaction() as connection:
        erasure, repeated, _ = await request_erasure(connection, casino.intake, asked, casino.clock.now)
    return erasure, repeated


async def go_on(database: Database, *, at_once: int = 1_000, pieces: int = 10_000) -> list[Erasure]:
    """What the owner of the tables does, for so many pieces."""
    told: list[Erasure] = []
    async with connected(owners(database.url)) as owner:
        async for erasure in erase_due(owner, at_once=at_once):
            told.append(erasure)
            if len(told) >= pieces:
                break
    return told


async def erase(database: Database, casino: Casino, player: str) -> Erasure:
    await ask(database, casino, player)
    await end_runs(database, casino, player)
    await go_on(database)
    return await newest(database, player)


async def newest(database: Database, player: str) -> Erasure:
    async with database.reading() as connection:
        return (await all_of(connection, BRAND, player))[0]


async def end_runs(database: Database, casino: Casino, player: str) -> None:
    """The player's runs end, as their last effect would have them."""
    await execute(database, "UPDATE runs SET state = 'ended', ended_at = now() WHERE player_id = :p", p=player)
    now = casino.clock.now
    async with (
        database.transaction() as connection,
        casino.intake.locked(connection, BRAND, [player], now) as players,
    ):
        for run_id in [*players.states[player].runs]:
            players.states[player].end(run_id, now)


async def state_of(database: Database, player: str) -> PlayerState:
    (row,) = await rows(database, tables.players, id=player)
    return PlayerState.from_json(BRAND, player, row["state"])


async def everything(database: Database) -> str:
    """Every row of every table as text."""
    async with database.reading() as connection:
        found = [
            str(row[0])
            for table in tables.metadata.sorted_tables
            for row in await connection.execute(sa.text(f"SELECT t::text FROM {table.name} t"))
        ]
    return "\n".join(found)


async def lives(casino: Casino, player: str) -> None:
    """A player of whom every kind of personal data is known."""
    await casino.registers(player, **CANARIES)
    await casino.happens(player, DepositApproved, payment_id=f"d-{player}")
    await casino.happens(player, ProfileUpdated, changed={"first_name": CANARIES["first_name"], "note": FREE_TEXT})
    await casino.happens(player, MessageReceived, text=FREE_TEXT)
    await casino.happens(player, FeedbackAnswered, text=FREE_TEXT)
    await casino.happens(player, ContentViewed, page=f"/account/{FREE_TEXT}")


def test_every_column_is_classified() -> None:
    assert loyalty_tables.point_transfers.metadata is tables.metadata
    known = {name: set(table.columns.keys()) for name, table in tables.metadata.tables.items()}
    declared = {name: set(data.columns) for name, data in PERSONAL_DATA.items()}
    assert declared == known


async def test_nothing_personal_is_left_in_any_table_and_money_is(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("erased")
    await lives(casino, player)
    await execute(
        database,
        "INSERT INTO messages (id, brand, player_id, run_id, step, journey, channel, template, message_class, status, "
        "decision, subject, body) VALUES ('m', :b, :p, 'r', 's', 'j', 'email', 't', 'service', 'sent', '{}', :x, :x)",
        b=BRAND,
        p=player,
        x=f"Hello {CANARIES['first_name']}",
    )
    before = await everything(database)
    assert all(canary in before for canary in [*CANARIES.values(), FREE_TEXT])
    done = await erase(database, casino, player)
    after = await everything(database)
    assert [canary for canary in [*CANARIES.values(), FREE_TEXT] if canary in after] == []
    kept = {row["type"]: row["data"] for row in await rows(database, tables.events, player_id=player)}
    assert kept.keys() == {"payment.deposit_approved", "player.registered", "player.profile_updated"}
    assert kept["payment.deposit_approved"]["payment_id"] == f"d-{player}"
    assert kept["player.profile_updated"] == {"changed": {"first_name": None, "note": None}, "reason": "player"}
    assert done.done_at is not None
    assert done.counts["events"] == {"deleted": 3, "overwritten": 2}
    assert done.counts["messages"] == {"overwritten": 1}


async def test_what_others_have_yet_to_hear_says_nothing_personal_and_is_told_all_the_same(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("said")
    await lives(casino, player)
    run = (await rows(database, tables.runs, player_id=player))[0]["id"]

    async def says(kind: str, **data: Any) -> None:
        event = OutgoingEvent(BRAND, player, kind, casino.clock.now, {"run_id": run, **data})
        async with database.transaction() as connection:
            await webhook_queue.write_for(connection, "wh", event)

    await says("journey.hello", given={"name": CANARIES["first_name"]})
    await ask(database, casino, player)
    # Its runs are under way: one may say something before it hears that it is over.
    await says("journey.bye", given={"text": FREE_TEXT})
    await says("run.ended", outcome="erased")
    await go_on(database)
    await end_runs(database, casino, player)
    await go_on(database)
    after = await everything(database)
    assert [canary for canary in [*CANARIES.values(), FREE_TEXT] if canary in after] == []
    told = [(row["type"], row["data"]) for row in await rows(database, tables.outgoing_events, player_id=player)]
    mine = {"run_id": run}
    assert told == [("journey.hello", mine), ("journey.bye", mine), ("run.ended", mine | {"outcome": "erased"})]
    assert {row["state"] for row in await rows(database, tables.webhook_deliveries, player_id=player)} == {"pending"}


async def test_what_is_left_of_an_event_is_what_the_class_calls_redacted(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("redacted")
    await lives(casino, player)
    told = casino.event(ExclusionSet, reason=FREE_TEXT, kind="time_out")
    await casino.intake.ingest(BRAND, [(player, told)], casino.clock.now)
    await erase(database, casino, player)
    # Sent again it is known, and no conflict: the comparison reads it as redacted.
    assert await casino.intake.ingest(BRAND, [(player, told)], casino.clock.now) == ["duplicate"]


async def test_protection_holds_from_the_request_on_and_runs_are_told_to_end(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("asked")
    await lives(casino, player)
    (run,) = [row for row in await rows(database, tables.runs, player_id=player) if row["state"] == "active"][:1]
    erasure, repeated = await ask(database, casino, player)
    assert (repeated, erasure.done_at) == (False, None)
    (row,) = await rows(database, tables.players, id=player)
    state = PlayerState.from_json(BRAND, player, row["state"])
    assert (row["profile"], state.protected(casino.clock.now)) == ({}, "account_not_active")
    assert not any(canary in str(row) for canary in CANARIES.values())
    stops = [one["payload"] for one in await rows(database, tables.deliveries, run_id=run["id"], kind="stop")]
    assert stops == [{"reason": "erased"}]


async def test_asked_twice_it_is_one_erasure_and_a_player_nobody_knows_is_erased_too(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("unheard")
    first, second = await ask(database, casino, player), await ask(database, casino, player)
    assert (first[1], second[1]) == (False, True)
    assert first[0].id == second[0].id
    assert (await casino.happens(player, DepositApproved))[0].reason == "erased"  # type: ignore[union-attr]


async def test_an_erasure_waits_for_its_runs_and_goes_on_where_it_was_cut_off(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("long")
    await casino.registers(player, **CANARIES)
    for _ in range(7):
        await casino.happens(player, FeedbackAnswered, text=FREE_TEXT)
        await casino.happens(player, DepositApproved)
    await ask(database, casino, player)
    await go_on(database, pieces=2)
    unfinished = await go_on(database)
    assert unfinished[-1].done_at is None, "its runs are under way"
    assert await newest(database, player) == unfinished[-1]
    await end_runs(database, casino, player)
    await go_on(database, at_once=2)
    done = await newest(database, player)
    assert done.done_at is not None
    assert done.counts["events"] == {"deleted": 7, "overwritten": 1}


async def test_a_certificate_can_be_checked_by_whoever_has_it(database: Database) -> None:
    casino = casino_of(database)
    player = casino.player("certified")
    await lives(casino, player)
    done = await erase(database, casino, player)
    document = json.dumps(done.certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(document.encode()).hexdigest() == done.hash
    assert (done.certificate["asked_by"], done.certificate["reference"]) == ("olena", "T-1")
    assert not any(canary in document for canary in CANARIES.values())


class TestThePastComesLate:
    async def test_an_event_from_before_is_refused_live_and_as_history(self, database: Database) -> None:
        casino = casino_of(database)
        player, other = casino.player("late"), casino.player("other")
        await lives(casino, player)
        await erase(database, casino, player)
        late = casino.event(ProfileUpdated, changed={"email": CANARIES["email"]})
        batch = [(player, late), (other, casino.event(DepositApproved))]
        refused, taken = await casino.intake.ingest(BRAND, batch, casino.clock.now, mode="history")
        assert (isinstance(refused, BeforeErasure), taken) == (True, "accepted")
        again = casino.event(PlayerRegistered, **CANARIES)
        assert isinstance((await casino.intake.ingest(BRAND, [(player, again)], casino.clock.now))[0], BeforeErasure)
        kept = await everything(database)
        assert not any(canary in kept for canary in CANARIES.values())

    async def test_what_protects_is_taken_in_without_its_words(self, database: Database) -> None:
        casino = casino_of(database)
        player = casino.player("protected")
        await erase(database, casino, player)
        told = await casino.happens(
            player, ExclusionSet, HarmSignal, kind="self_exclusion", until=None, reason=FREE_TEXT
        )
        assert told == ["accepted", "accepted"]
        assert (await casino.happens(player, MessageReceived, text="STOP")) == ["accepted"]
        assert isinstance((await casino.happens(player, StatusChanged, to="closed"))[0], BeforeErasure)
        state = await state_of(database, player)
        assert state.protected(casino.clock.now) == "self_excluded"
        assert state.consents["email"][0] is False
        assert FREE_TEXT not in await everything(database)


class TestAPlayerComesBack:
    async def test_under_their_own_id_they_are_new(self, database: Database) -> None:
        casino = casino_of(database)
        player = casino.player("again")
        await lives(casino, player)
        await casino.happens(player, ConsentChanged, channel="email", opted_in=False)
        runs_before = {row["id"] for row in await rows(database, tables.runs, player_id=player)}
        await erase(database, casino, player)
        casino.clock.now = datetime.now(UTC) + timedelta(seconds=1)
        await casino.happens(player, PlayerRegistered, email="new@synthetic.example", opted_in=("email",))
        await casino.happens(player, DepositApproved)
        state = await state_of(database, player)
        assert state.counts == {"player.registered": 1, "payment.deposit_approved": 1}
        assert state.protected(casino.clock.now) is None
        assert state.consents["email"][0] is True
        runs = {row["id"] for row in await rows(database, tables.runs, player_id=player)}
        assert len(runs) > len(runs_before), "they enter journeys anew, in runs of their own"
        second, repeated = await ask(database, casino, player)
        assert (repeated, second.player_id) == (False, player)

    async def test_under_another_id_they_are_excluded_still(self, database: Database) -> None:
        casino = casino_of(database)
        player, again, namesake = casino.player("one"), casino.player("two"), casino.player("three")
        await lives(casino, player)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        done = await erase(database, casino, player)
        assert done.suppressed == 1
        casino.clock.now = datetime.now(UTC) + timedelta(seconds=1)
        mail = CANARIES["email"].upper().replace("@", "+promo@")
        await casino.happens(again, PlayerRegistered, email=mail, phone=None)
        await casino.registers(namesake, **CANARIES | {"email": "x@synthetic.example", "phone": None})
        assert (await state_of(database, again)).protected(casino.clock.now) == "self_excluded"
        assert (await state_of(database, namesake)).protected(casino.clock.now) is None
        assert not any(row["state"] == "active" for row in await rows(database, tables.runs, player_id=again))

    async def test_the_end_of_that_exclusion_is_told_of_the_new_account(self, database: Database) -> None:
        casino = casino_of(database)
        player, again = casino.player("first"), casino.player("second")
        await casino.registers(player, **CANARIES)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await erase(database, casino, player)
        casino.clock.now = datetime.now(UTC) + timedelta(seconds=1)
        await casino.happens(again, PlayerRegistered, phone=CANARIES["phone"])
        casino.clock.later(timedelta(days=400))
        await casino.happens(again, ExclusionEnded, kind="self_exclusion")
        await casino.happens(again, ProfileUpdated, changed={"phone": CANARIES["phone"]})
        assert (await state_of(database, again)).protected(casino.clock.now) is None

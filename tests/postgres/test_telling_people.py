"""People are told of tasks and of their morning: once for each occasion, and nobody in their sleep."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from activities.actors import Actor
from activities.engine import WorkerEngine, worker_engine
from activities.loops.telling_people import TellingPeople
from activities.notices import CLAIMED_FOR, claim_notices
from activities.people import Person, add_person, change_person, give
from activities.providers.email import EmailAdapter
from activities.settings import Settings
from activities.standalone_tasks import StandaloneTask
from activities.tables import notices, outgoing_events, webhook_subscriptions
from activities.task_rows import TaskRequest
from activities.tasks import claim, complete_alone, find, open_alone, reassign
from activities.work_profiles import WorkProfile, add_absence, write_profile
from tests.support.engine import NOON, SECRET, HeldClock, execute
from tests.support.servers import LocalCatchAll
from workflows.player_facts import PlayerFacts
from workflows.task_kinds import TASK_KINDS

KIND = "withdrawal_comfort"
DUE = TASK_KINDS[KIND].due


@dataclass
class Desk:
    """The people of a brand, and what tells them."""

    built: WorkerEngine
    clock: HeldClock
    mails: LocalCatchAll
    brand: str = field(default_factory=lambda: f"desk-{secrets.token_hex(3)}")

    @property
    def telling(self) -> TellingPeople:
        return self.built.telling

    @property
    def giver(self) -> Actor:
        return Actor(self.brand, "test", id="test")

    async def colleague(
        self, name: str, team: str = "vip", zone: str = "UTC", role: str = "manager", **profile: Any
    ) -> Person:
        async with self.built.database.transaction() as connection:
            email = f"{name}@{self.brand}.example"
            person = await add_person(connection, self.brand, email, name, self.clock.now, zone=zone)
            await give(connection, person, "role", role, self.giver, self.clock.now)
            await give(connection, person, "team", team, self.giver, self.clock.now)
            if profile:
                await write_profile(connection, self.brand, person.id, WorkProfile(**profile), self.clock.now)
        return person

    async def opens(self, assignee: Person | None = None) -> str:
        """A task that somebody opens by hand; its id."""
        now, task_id = self.clock.now, secrets.token_hex(12)
        facts = PlayerFacts(player_id="p-1")
        task = StandaloneTask.by_hand(KIND, task_id, "She wrote twice.", facts, self.giver, now, now + DUE)
        async with self.built.database.transaction() as connection:
            await open_alone(connection, self.brand, task)
            if assignee is not None:
                request = TaskRequest(self.brand, task_id, self.giver, now)
                await reassign(connection, request, None, assignee=assignee.email)
        return task_id

    async def acts(self, task_id: str, person: Person, answer: dict[str, Any] | None = None) -> None:
        async with self.built.database.transaction() as connection:
            actor = Actor(self.brand, person.email, "person", person.id, teams=frozenset({"vip"}))
            request = TaskRequest(self.brand, task_id, actor, self.clock.now)
            await (claim(connection, request) if answer is None else complete_alone(connection, request, answer))

    async def tell(self) -> None:
        while await self.telling.look_at_tasks():
            pass
        await self.telling.write_digests()
        while await self.telling.send_due():
            pass

    async def told(self, person: Person) -> list[str]:
        """The titles of the mails that somebody received, without the task's name."""
        return [str(mail["subject"]).partition(":")[0] for mail in await self.mails.mails(person.email)]


@pytest.fixture(scope="module")
async def built(module_postgres_url: str, catch_all: LocalCatchAll) -> AsyncIterator[tuple[WorkerEngine, HeldClock]]:
    clock = HeldClock()
    settings = Settings(
        database_url=module_postgres_url,
        webhook_secret=SECRET,
        link_secrets=(SECRET,),
        smtp_url=catch_all.smtp_url,
        console_url="https://desk.example",
    )
    async with worker_engine(settings, clock) as engine:
        yield engine, clock


@pytest.fixture
async def desk(built: tuple[WorkerEngine, HeldClock], catch_all: LocalCatchAll) -> AsyncIterator[Desk]:
    engine, clock = built
    clock.now = NOON
    yield Desk(engine, clock, catch_all)
    # What one test left open is nobody's business in the next.
    await execute(engine.database, "UPDATE tasks SET tell_at = NULL")
    await execute(engine.database, "UPDATE work_profiles SET digest_at = NULL")


async def test_who_is_given_a_task_is_told_once_however_often_somebody_looks(desk: Desk) -> None:
    olena = await desk.colleague("olena")
    await desk.opens(olena)
    for _ in range(3):
        await desk.tell()
    assert await desk.told(olena) == ["For you"]
    (mail,) = await desk.mails.mails(olena.email)
    assert "https://desk.example/console/" in str(mail["text"])
    assert "p-1" not in str(mail), "A mail leaves the house."


async def test_of_many_who_look_at_once_one_tells(desk: Desk) -> None:
    olena = await desk.colleague("olena")
    for _ in range(20):
        await desk.opens(olena)
    await asyncio.gather(*(desk.tell() for _ in range(8)))
    assert await desk.told(olena) == ["For you"] * 20


async def test_a_team_is_told_of_what_lies_unclaimed_and_of_a_new_task_who_asks_for_it(desk: Desk) -> None:
    olena, ivan = await desk.colleague("olena"), await desk.colleague("ivan", told_of=("opened",))
    await desk.opens()
    await desk.tell()
    assert (await desk.told(olena), await desk.told(ivan)) == ([], ["New in your team"])
    desk.clock.later(DUE / 4)
    await desk.tell()
    assert (await desk.told(olena), await desk.told(ivan)) == (["Nobody has it yet"], ["New in your team"])


async def test_who_takes_a_task_by_themselves_is_told_nothing_they_know(desk: Desk) -> None:
    olena = await desk.colleague("olena")
    await desk.acts(await desk.opens(), olena)
    desk.clock.later(DUE / 4)
    await desk.tell()
    assert await desk.told(olena) == []


async def test_a_task_without_a_run_is_reminded_of_passed_up_and_told_when_that_is_late_too(desk: Desk) -> None:
    olena, marta = await desk.colleague("olena"), await desk.colleague("marta", team="vip-head")
    task_id = await desk.opens(olena)
    await desk.tell()
    for _ in range(4):
        desk.clock.later(DUE / 2)
        await desk.tell()
        await desk.tell()
    assert await desk.told(olena) == ["For you", "Half of its time is over"]
    assert await desk.told(marta) == ["Passed up to you", "Nobody has it yet", "Its time is over"]
    async with desk.built.database.reading() as connection:
        task = await find(connection, desk.brand, task_id)
    assert task is not None
    assert (task.team, task.state, task.assignee) == ("vip-head", "open", None)


async def test_nobody_is_told_in_their_quiet_time_nor_afterwards_of_what_is_done(desk: Desk) -> None:
    quiet = {"quiet_from": "09:00", "quiet_until": "13:00"}
    olena = await desk.colleague("olena", **quiet)
    kept, done = await desk.opens(olena), await desk.opens(olena)
    await desk.tell()
    assert await desk.told(olena) == []
    await desk.acts(done, olena, {"outcome": "reached"})
    desk.clock.now = NOON.replace(hour=12, minute=59)
    await execute(desk.built.database, "UPDATE tasks SET tell_at = NULL WHERE brand = :brand", brand=desk.brand)
    await desk.tell()
    assert await desk.told(olena) == []
    desk.clock.later(timedelta(minutes=1))
    await desk.tell()
    assert await desk.told(olena) == ["For you"]
    async with desk.built.database.reading() as connection:
        wanted = select(notices.c.task_id, notices.c.state).where(notices.c.brand == desk.brand)
        states = await connection.execute(wanted)
        assert {tuple(row) for row in states} == {(kept, "sent"), (done, "moot")}


async def test_who_stands_in_is_told_in_place_of_who_is_away(desk: Desk) -> None:
    olena, ivan = await desk.colleague("olena"), await desk.colleague("ivan")
    task_id = await desk.opens(olena)
    await desk.tell()
    async with desk.built.database.transaction() as connection:
        now = desk.clock.now
        await add_absence(connection, desk.brand, olena.id, now, now + timedelta(days=1), stand_in=ivan.id, by="test")
    desk.clock.later(DUE / 2)
    # It is Olena's task; who opens the page while she is away is Ivan.
    await desk.tell()
    assert await desk.told(olena) == ["For you"]
    async with desk.built.database.reading() as connection:
        wanted = select(notices.c.person_id, notices.c.occasion).where(notices.c.task_id == task_id)
        assert {tuple(row) for row in await connection.execute(wanted)} == {(olena.id, "given"), (ivan.id, "reminded")}
    assert await desk.told(ivan) == ["Half of its time is over"]


async def test_a_morning_is_told_once_at_its_hour_and_not_at_all_where_nothing_waits(desk: Desk) -> None:
    olena = await desk.colleague("olena", zone="Etc/GMT-2", digest_at="12:00")
    idle = await desk.colleague("idle", team="payments", zone="Etc/GMT-2", digest_at="12:00")
    await desk.opens(olena)
    await desk.opens()
    await execute(desk.built.database, "UPDATE tasks SET tell_at = NULL WHERE brand = :brand", brand=desk.brand)
    desk.clock.now = NOON - timedelta(minutes=1)
    await desk.tell()
    assert await desk.told(olena) == []
    desk.clock.now = NOON
    await asyncio.gather(*(desk.tell() for _ in range(4)))
    desk.clock.later(timedelta(minutes=30))
    await desk.tell()
    (mail,) = await desk.mails.mails(olena.email)
    assert mail["subject"] == "Your morning: 1 yours, 0 late, 1 unclaimed"
    assert await desk.told(idle) == []
    desk.clock.now = NOON + timedelta(days=1)
    await desk.tell()
    assert len(await desk.mails.mails(olena.email)) == 2


async def test_while_nobody_takes_mails_nothing_is_lost_and_nothing_is_told_twice(desk: Desk) -> None:
    olena = await desk.colleague("olena")
    await desk.opens(olena)
    way = desk.telling.mail
    desk.telling.mail = EmailAdapter("smtp://127.0.0.1:9", sender="casino@example.com")
    try:
        await desk.tell()
    finally:
        desk.telling.mail = way
    assert await desk.told(olena) == []
    desk.clock.later(timedelta(minutes=1))
    await desk.tell()
    await desk.tell()
    assert await desk.told(olena) == ["For you"]


async def test_a_pass_that_dies_between_claiming_and_telling_is_made_up_for(desk: Desk) -> None:
    olena = await desk.colleague("olena")
    await desk.opens(olena)
    await desk.telling.look_at_tasks()
    async with desk.built.database.transaction() as connection:
        assert len(await claim_notices(connection, desk.clock.now, 10)) == 1
    await desk.tell()
    assert await desk.told(olena) == []
    desk.clock.later(CLAIMED_FOR)
    await desk.tell()
    assert await desk.told(olena) == ["For you"]


async def test_others_hear_once_what_nobody_took_and_what_is_late(desk: Desk) -> None:
    values = {"id": f"wh_{desk.brand}", "brand": desk.brand, "url": "https://x.example", "types": ["task.*"]}
    async with desk.built.database.transaction() as connection:
        await connection.execute(webhook_subscriptions.insert().values(**values, state="active", secrets=[]))
    desk.built.database.outbox = type(desk.built.database.outbox)()
    await desk.opens()
    for _ in range(5):
        desk.clock.later(DUE / 2)
        await desk.tell()
    async with desk.built.database.reading() as connection:
        heard = select(outgoing_events.c.type).where(outgoing_events.c.brand == desk.brand)
        types = [*(await connection.execute(heard.order_by(outgoing_events.c.seq))).scalars()]
    # Passed up to another team it may lie there too.
    passed_up = ["task.escalated", "task.unclaimed", "task.breached"]
    assert types == ["task.opened", "task.reminded", "task.unclaimed", *passed_up]


async def test_whoever_left_is_told_nothing(desk: Desk) -> None:
    olena = await desk.colleague("olena")
    await desk.opens(olena)
    await desk.telling.look_at_tasks()
    await execute(desk.built.database, "UPDATE people SET active = false WHERE id = :id", id=olena.id)
    await desk.tell()
    assert await desk.told(olena) == []


async def test_where_the_team_has_nobody_who_leads_is_told_and_who_registers_people_after_them(desk: Desk) -> None:
    admin = await desk.colleague("admin", team="office", role="admin")
    await desk.opens()
    desk.clock.later(DUE / 4)
    await desk.tell()
    assert await desk.told(admin) == ["Nobody has it yet"]
    (mail,) = await desk.mails.mails(admin.email)
    assert "Nobody of this team could be told" in str(mail["text"])
    head = await desk.colleague("head", team="office", role="head")
    desk.clock.later(DUE * 3 / 4)
    await desk.tell()
    assert await desk.told(head) == ["Passed up to you"]
    for _ in range(2):
        desk.clock.later(DUE)
        await desk.tell()
    assert sorted(await desk.told(head)) == ["Its time is over", "Nobody has it yet", "Passed up to you"]
    assert len(await desk.told(admin)) == 1


async def test_where_the_team_has_somebody_they_alone_are_told(desk: Desk) -> None:
    head, olena = await desk.colleague("head", team="office", role="head"), await desk.colleague("olena")
    await desk.opens()
    desk.clock.later(DUE / 4)
    await desk.tell()
    assert (await desk.told(olena), await desk.told(head)) == (["Nobody has it yet"], [])
    (mail,) = await desk.mails.mails(olena.email)
    assert "could be told" not in str(mail["text"])


async def test_a_team_that_is_away_altogether_has_who_leads_told_and_themselves_where_nobody_leads(desk: Desk) -> None:
    olena, now = await desk.colleague("olena"), desk.clock.now
    async with desk.built.database.transaction() as connection:
        await add_absence(connection, desk.brand, olena.id, now, now + timedelta(days=1), stand_in=None, by="test")
    await desk.opens()
    desk.clock.later(DUE / 4)
    await desk.tell()
    assert await desk.told(olena) == ["Nobody has it yet"]
    head = await desk.colleague("head", team="office", role="head")
    await desk.opens()
    desk.clock.later(DUE / 4)
    await desk.tell()
    assert (await desk.told(olena), await desk.told(head)) == (["Nobody has it yet"], ["Nobody has it yet"])


async def test_what_is_in_the_hands_of_somebody_who_has_left_is_told_their_team(desk: Desk) -> None:
    olena, ivan = await desk.colleague("olena"), await desk.colleague("ivan")
    await desk.opens(olena)
    async with desk.built.database.transaction() as connection:
        await change_person(connection, olena.id, desk.clock.now, active=False)
    desk.clock.later(DUE / 2)
    await desk.tell()
    assert (await desk.told(olena), await desk.told(ivan)) == ([], ["Half of its time is over"])


async def test_where_there_is_nobody_at_all_the_log_says_so(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    task_id = await desk.opens()
    desk.clock.later(DUE / 4)
    with caplog.at_level(logging.WARNING):
        await desk.tell()
    (said,) = [record.getMessage() for record in caplog.records if task_id in record.getMessage()]
    assert "is unclaimed" in said
    assert "`journeys people add`" in said

"""Finds out what people have to be told of tasks, and tells them by mail: what the promise of `ask` rests on.

Each pass looks at the tasks whose moment has come, writes for each occasion who is to be told (in the transaction that
remembers it), and hands over the mails that are due. Any number of passes may run at once, and one may die anywhere:
what it had claimed is told by another, under the same Message-ID.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import tasks
from activities.actors import engine_in
from activities.clock import Clock
from activities.database import Database
from activities.notices import MAIL_KEY, Notice, NoticeState, claim_notices, settle_notice, write_notices
from activities.people import Person, find_person, holders, who_may_work
from activities.providers.adapter import Adapter, ChannelUnavailable, OutgoingMessage, Rejected
from activities.settings import Settings
from activities.task_rows import TaskRequest, TaskRow
from activities.work_profiles import WorkProfile, away_now, digest_readers, inbox_numbers, profiles_of
from content.notice_texts import notice_text
from content.readable_names import words
from workflows.background.telling_people import TELL_PEOPLE, Told
from workflows.local_time import zone
from workflows.task_notices import (
    PRESSING,
    USUALLY_TOLD,
    Occasion,
    OccasionName,
    TaskClock,
    after_quiet,
    digest_day,
    move_due,
    next_look,
    occasions,
)
from workflows.task_routing import OutOfOffice, present

logger = logging.getLogger(__name__)

#: Tasks looked at in one transaction, mails claimed at once, and mails under way at a time.
TASKS_AT_ONCE: Final = 50
MAILS_AT_ONCE: Final = 100
CONNECTIONS: Final = 5

TOLD = Counter("journeys_notices_total", "Notices to people who work here, by what came of them.", ["outcome"])


class TellingPeople:
    """The activity that tells people. `mail` takes what is told."""

    def __init__(self, database: Database, mail: Adapter, settings: Settings, clock: Clock) -> None:
        self.database = database
        self.mail = mail
        self.settings = settings
        self.clock = clock

    @activity.defn(name=TELL_PEOPLE)
    async def tell(self) -> Told:
        """Tell what there is to tell now; how much there was."""
        looked = 0
        while found := await self.look_at_tasks():
            looked += found
            activity.heartbeat()
        digests = await self.write_digests()
        sent = 0
        while handed := await self.send_due():
            sent += handed
            activity.heartbeat()
        return Told(tasks=looked, digests=digests, mails=sent)

    async def look_at_tasks(self) -> int:
        """Move and tell of up to `TASKS_AT_ONCE` tasks whose moment has come; how many there were."""
        now = self.clock()
        async with self.database.transaction() as connection:
            due = await tasks.lock_to_tell(connection, now, TASKS_AT_ONCE)
            for task in due:
                await self._look_at(connection, task, now)
        return len(due)

    async def _look_at(self, connection: AsyncConnection, task: TaskRow, now: datetime) -> None:
        moved = await _moved(connection, task, now)
        clock = _clock_of(moved)
        found = occasions(clock, moved.told, now)
        written: list[Notice] = []
        if found:
            away = await away_now(connection, moved.brand, now)
            for one in found:
                written += await _notices_of(connection, moved, one, away, now)
        await write_notices(connection, written)
        await tasks.note_told(connection, moved, found, next_look(clock, now), now)

    async def write_digests(self) -> int:
        """Write the digests of those whose morning it is; how many people read one."""
        now = self.clock()
        async with self.database.transaction() as connection:
            due = [
                Notice(f"digest {brand} {person.id} {day}", brand, person.id, None, "digest", now, now)
                for brand, person, digest_at in await digest_readers(connection)
                if (day := digest_day(now, person.zone, digest_at)) is not None
            ]
            await write_notices(connection, due)
        return len(due)

    async def send_due(self) -> int:
        """Hand over mails that are due; how many were claimed."""
        async with self.database.transaction() as connection:
            claimed = await claim_notices(connection, self.clock(), MAILS_AT_ONCE)
        gate = asyncio.Semaphore(CONNECTIONS)

        async def one(notice: Notice) -> None:
            async with gate:
                await self._send(notice)

        await asyncio.gather(*(one(notice) for notice in claimed))
        return len(claimed)

    async def _send(self, notice: Notice) -> None:
        now = self.clock()
        state: NoticeState
        error: str | None = None
        async with self.database.reading() as connection:
            message = await self._message(connection, notice, now)
        if message is None:
            state = "moot"
        else:
            try:
                taken = await self.mail.deliver(message, now)
                state, error = ("failed", taken.reason) if isinstance(taken, Rejected) else ("sent", None)
            except ChannelUnavailable as away:
                state, error = "pending", str(away)
        TOLD.labels("again" if state == "pending" else state).inc()
        async with self.database.transaction() as connection:
            await settle_notice(connection, notice, state, self.clock(), error)

    async def _message(self, connection: AsyncConnection, notice: Notice, now: datetime) -> OutgoingMessage | None:
        """The mail of a notice; None where there is nothing to tell any more."""
        person = await find_person(connection, notice.brand, notice.person_id)
        if person is None or not person.active:
            return None
        told = await self._told(connection, notice, person, now)
        if told is None:
            return None
        text = notice_text(notice.occasion, person.locale, **told)
        return OutgoingMessage(
            key=f"{MAIL_KEY}{notice.id}".replace(" ", "/"),
            brand=notice.brand,
            brand_name=self.settings.brand_names.get(notice.brand, notice.brand),
            channel="email",
            message_class="service",
            to=person.email,
            title=text.title,
            body=text.body,
            language=text.language,
        )

    async def _told(
        self, connection: AsyncConnection, notice: Notice, person: Person, now: datetime
    ) -> Mapping[str, object] | None:
        console = f"{self.settings.console_origin}/console/{notice.brand}"
        if notice.task_id is None:
            numbers = await inbox_numbers(connection, notice.brand, person, now)
            return numbers | {"link": f"{console}/inbox"} if any(numbers.values()) else None
        task = await tasks.find(connection, notice.brand, notice.task_id)
        if task is None or task.state not in tasks.OPEN_STATES:
            return None
        away = await away_now(connection, task.brand, now)
        circles = await _circles(connection, task, notice.occasion, away, now)
        place = next((place for place, ids in enumerate(_ids(circles)) if person.id in ids), None)
        if place is None:
            return None
        due = task.due_at.astimezone(zone(person.zone))
        return {
            "task": words(task.form),
            "team": task.team,
            "due": f"{due:%Y-%m-%d %H:%M} ({person.zone})",
            "link": f"{console}/tasks/{task.id}",
            "instead": place > 0,
        }


async def _moved(connection: AsyncConnection, task: TaskRow, now: datetime) -> TaskRow:
    """A locked task after what is due to it, where no run does that."""
    request = TaskRequest(task.brand, task.id, engine_in(task.brand), now)
    match move_due(_clock_of(task), now):
        case "remind":
            return await tasks.write_change(connection, task, request, "reminded", reminded_at=now)
        case "escalate":
            # Who it is passed up to has as long as who had it.
            return await tasks.escalate(connection, task, request, now + (task.due_at - task.created_at))
    return task


def _clock_of(task: TaskRow) -> TaskClock:
    return TaskClock(
        created_at=task.created_at,
        due_at=task.due_at,
        assignee=task.assignee,
        reminded_at=task.reminded_at,
        escalated_at=task.escalated_at,
        escalate_to=task.escalate_to,
        of_run=task.run_id is not None,
    )


async def _notices_of(
    connection: AsyncConnection, task: TaskRow, occasion: Occasion, away: Mapping[str, OutOfOffice], now: datetime
) -> list[Notice]:
    """Who is to be told of an occasion, each after their quiet time: the first circle in which somebody wants it."""
    circles = await _circles(connection, task, occasion.name, away, now)
    for circle in circles:
        if written := await _notices_for(connection, circle, task, occasion, now):
            return written
    if occasion.name in PRESSING and not any(circles):
        logger.warning(
            "Nobody is told that task %s of team %s in %s is %s: nobody is registered who may answer it, leads or says "
            "who works there. Register people with `journeys people add`.",
            *(task.id, task.team, task.brand, occasion.name),
        )
    return []


async def _notices_for(
    connection: AsyncConnection, circle: Sequence[Person], task: TaskRow, occasion: Occasion, now: datetime
) -> list[Notice]:
    profiles = await profiles_of(connection, task.brand, [one.id for one in circle])
    written = []
    for person in circle:
        profile = profiles.get(person.id, WorkProfile())
        wanted = USUALLY_TOLD if profile.told_of is None else profile.told_of
        if occasion.name not in wanted:
            continue
        at = after_quiet(now, person.zone, profile.quiet_from, profile.quiet_until)
        notice = Notice(f"{task.id} {occasion.key} {person.id}", task.brand, person.id, task.id, occasion.name, at, now)
        written.append(notice)
    return written


async def _circles(
    connection: AsyncConnection,
    task: TaskRow,
    occasion: OccasionName,
    away: Mapping[str, OutOfOffice],
    now: datetime,
) -> Sequence[Sequence[Person]]:
    """Whose a task is, or who stands in for them; of one that is nobody's those of its team who are here.

    Who has left has no task any more. Behind them, of what presses, who is told where they are nobody: who leads, who
    says who works here, and at last those who are away.
    """
    theirs = None if task.assignee is None else await find_person(connection, task.brand, task.assignee)
    if theirs is not None and theirs.active:
        here = present(theirs.id, away)
        stands_in = None if here is None else await find_person(connection, task.brand, here)
        return [[stands_in if stands_in is not None and stands_in.active else theirs]]
    if occasion == "given":
        return []  # to a name that nobody is registered under
    able = await who_may_work(connection, task.brand, task.team, task.skill, now)
    team = [one for one in able if one.id not in away]
    if occasion not in PRESSING:
        return [team]
    leads = [await holders(connection, task.brand, "role", role, now) for role in ("head", "admin")]
    return [team, *([one for one in group if one.id not in away] for group in leads), able, *leads]


def _ids(circles: Sequence[Sequence[Person]]) -> Sequence[set[str]]:
    return [{one.id for one in circle} for circle in circles]

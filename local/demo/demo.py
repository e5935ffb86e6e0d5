"""`journeys demo`: the main job, end to end, on a stack of its own; and then the audit.

History goes in through the API, then players live: journeys start, messages and rewards go out, scripted people
answer tasks, one player self-excludes in the middle. At the end the same live events are fed once more, and what we
say is compared with what the providers say.
"""

import asyncio
import fcntl
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from temporalio.client import Client

from activities.database import Database
from activities.importing.event_sender import EventItem, Events, ImportStopped, Receipt, Unreadable, feed
from activities.settings import Settings
from local.demo.audit import Auditor, ExcludedPlayer, Identity
from local.demo.report import DemoReport, print_report
from local.demo.script import DemoError, Script, from_log, synthetic
from local.demo.scripted_manager import ANSWERS, SIGNS_AS, ScriptedPerson, TaskWorker
from local.demo.synthetic_casino import CloudEvent
from local.development_people import PEOPLE
from local.postgres import SHARED_HOME
from local.stack import Stack
from local.supervisor import Identity as Process
from local.supervisor import StackError, end_orphan
from workflows.events import ExclusionSet
from workflows.source.journey_loading import load

__all__ = ["DemoError", "run"]

#: How many runs may lag behind before the sender waits for them. Temporal's dev server is what it waits for.
LAG = 10
#: Seconds between two questions to the database.
LOOK_EVERY = 0.1
#: Seconds effects may stand still before the demo gives up.
STANDSTILL = 60.0
#: Seconds for effects to end after the last event, and for each run that was started.
QUIET_WITHIN, QUIET_WITHIN_A_RUN = 30.0, 0.25


async def run(folder: Path, *, log: Path | None, players: int, seed: int) -> int:
    """Play the demo in `folder`, which is made anew; the exit code is 1 if anything was lost or doubled."""
    say = Console(stderr=True)
    # A log that cannot be played is told before anything is emptied or started.
    now = datetime.now(UTC)
    script = from_log(log, now) if log is not None else synthetic(seed, now, players)
    _prepare(folder)
    try:
        # The sweep stands still during the import here, so nobody has to wait for the rest of a past.
        settings = {"IMPORT_SETTLES_AFTER": "PT0S"}
        async with Stack(folder, extra=settings, say=lambda line: say.print(line, style="dim")) as stack:
            report = await _play(stack, script, say)
    except (StackError, ImportStopped) as error:
        raise DemoError(str(error)) from error
    print_report(report)
    return 0 if report.clean else 1


async def _play(stack: Stack, script: Script, say: Console) -> DemoReport:
    """The demo on a running stack, and its audit."""
    environment = stack.environment()
    database = Database(Settings(database_url=environment["DATABASE_URL"]))
    auditor = Auditor(database, await Client.connect(environment["TEMPORAL_ADDRESS"]), stack.folder)

    def client(role: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {stack.keys[role]}"}
        if (name := SIGNS_AS.get(role)) is not None:
            headers["X-Actor"] = next(person.email for person in PEOPLE if person.sub == name)
        return httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=30)

    try:
        async with httpx.AsyncClient() as http, client("admin") as admin, AsyncExitStack() as desks:
            events = Events(http, stack.api_url, stack.keys["backend"])
            people = [
                ScriptedPerson(role, await desks.enter_async_context(client(role)), answers)
                for role, answers in ANSWERS.items()
            ]
            manager = TaskWorker(people)
            return await Demo(stack, script, events, admin, manager, auditor, say).play()
    finally:
        await database.close()


@dataclass
class Demo:
    """One demo on a running stack, and what it has sent and heard so far."""

    stack: Stack
    script: Script
    events: Events
    admin: httpx.AsyncClient
    manager: TaskWorker
    auditor: Auditor
    say: Console
    #: Every event the API said it has.
    acknowledged: set[Identity] = field(default_factory=set)
    receipts: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    #: Live events as they were sent, and when.
    sent: list[EventItem] = field(default_factory=list)
    posted: dict[Identity, datetime] = field(default_factory=dict)
    excluded: dict[str, ExcludedPlayer] = field(default_factory=dict)
    #: When the backlog was read last, by the loop's clock.
    backlog_read_at: float = 0.0

    async def play(self) -> DemoReport:
        """History, live, stillness, the same again, and the audit."""
        history_took = await self._import_history()
        imported = datetime.now(UTC)
        working = asyncio.create_task(self.manager.work())
        try:
            await self._go_live()
            ended = datetime.now(UTC)
            unfinished = await self._wait_until_quiet("Waiting for the last effects")
            before = await self.auditor.intake_figures()
            live = sum(self.receipts.values()) - len(self.script.history)
            await self._feed_again()
            unfinished = await self._wait_until_quiet("Looking once more") or unfinished
            after = await self.auditor.intake_figures()
        finally:
            working.cancel()
            [end] = await asyncio.gather(working, return_exceptions=True)
        if isinstance(end, Exception):
            self.refused.append(f"The manager gave up: {end!r}")
        contacts: list[str] = []
        excluded: list[str] = []
        for one in self.excluded.values():
            since, under_way = await self.auditor.contacts_after(one)
            contacts += since
            excluded.append(_exclusion_line(one, since, under_way))
        return DemoReport(
            title=self.script.title,
            deposits=self.script.deposits,
            history_events=len(self.script.history),
            live_events=live,
            duplicates=self.receipts["duplicate"],
            runs=await self.auditor.runs(),
            journeys=self._journeys(),
            figures=dict(await self.auditor.figures()),
            reactions=await self.auditor.reactions(self.posted),
            checks=await self.auditor.checks(self.acknowledged, self.manager.completed),
            changed=[f"Feeding again changed {name}." for name in before if before[name] != after[name]],
            contacts=contacts,
            excluded=excluded,
            unfinished=unfinished,
            refused=[*self.refused, *self.manager.faults],
            history_took=history_took,
            live_took=ended - imported,
        )

    # ---- the acts ------------------------------------------------------------------------------

    async def _import_history(self) -> timedelta:
        # The sweep must not see half a past, in which everybody seems to have been away for long.
        await self.stack.stop("dispatcher")
        began = datetime.now(UTC)
        with self._progress("History", len(self.script.history)) as step:
            await feed(map(_item, self.script.history), self.events, "history", self._recording(step))
        took = datetime.now(UTC) - began
        self.stack.start("dispatcher")
        await self.stack.ready("dispatcher")
        return took

    async def _go_live(self) -> None:
        coming = self.script.live
        by_hand = False
        with self._progress("Live", len(coming)) as step:
            for number, event in enumerate(coming):
                await self._keep_pace()
                now = datetime.now(UTC)
                item = _item({**event, "time": now.isoformat().replace("+00:00", "Z")})
                self.sent.append(item)
                self.posted[event["source"], event["id"]] = now
                [receipt] = await self.events.post([item], "live")
                self._recording(step)(item, receipt)
                if event["type"] == ExclusionSet.wire_type:
                    self.excluded.setdefault(item.subject, ExcludedPlayer(item.subject, datetime.now(UTC)))
                if not by_hand and 2 * number >= len(coming):
                    by_hand = await self._exclude_somebody(coming[number + 1 :])

    async def _keep_pace(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self.backlog_read_at < LOOK_EVERY:
            return
        until = loop.time() + STANDSTILL
        while await self.auditor.backlog() > LAG:
            if loop.time() > until:
                raise DemoError(
                    f"Effects have stood still for {STANDSTILL:.0f} s; see the logs in {self.stack.folder}."
                )
            await asyncio.sleep(LOOK_EVERY / 2)
        self.backlog_read_at = loop.time()

    async def _exclude_somebody(self, coming: list[CloudEvent]) -> bool:
        """Let a player with a run under way self-exclude, of whom most is still to come; False if there is none."""
        answer = await self.admin.get("/v1/runs", params={"state": "active", "arm": "treated", "page_size": 200})
        future = Counter(event["subject"] for event in coming)
        leaving = {event["subject"] for event in coming if event["type"] == ExclusionSet.wire_type}
        with_runs = {run["player_id"] for run in answer.raise_for_status().json()["items"]}
        players = with_runs - self.excluded.keys() - leaving
        if not players:
            return False
        player_id = min(players, key=lambda player: (-future[player], player))
        exclusion = {"kind": "self_exclusion", "scope": "brand"}
        (await self.admin.post(f"/v1/players/{player_id}/exclusion", json=exclusion)).raise_for_status()
        self.excluded[player_id] = ExcludedPlayer(player_id, datetime.now(UTC))
        return True

    async def _feed_again(self) -> None:
        with self._progress("The same again", len(self.sent)) as step:
            await feed(self.sent, self.events, "live", self._recording(step))

    async def _wait_until_quiet(self, title: str) -> dict[str, int]:
        """Wait until only timers are left; what was still being done when time ran out."""
        loop = asyncio.get_running_loop()
        until = loop.time() + QUIET_WITHIN + QUIET_WITHIN_A_RUN * sum((await self.auditor.runs()).values())
        with self.say.status(title) as status:
            while left := await self.auditor.unfinished():
                status.update(f"{title}: {', '.join(f'{count} {name}' for name, count in left.items())}")
                if loop.time() > until:
                    return left
                await asyncio.sleep(LOOK_EVERY)
        return {}

    # ---- bookkeeping ---------------------------------------------------------------------------

    def _recording(self, step: Callable[[], None]) -> Callable[[EventItem | Unreadable, Receipt], None]:
        def record(item: EventItem | Unreadable, receipt: Receipt) -> None:
            self.receipts[receipt.status] += 1
            step()
            if receipt.status == "rejected" or isinstance(item, Unreadable):
                self.refused.append(f"The API refused an event: {receipt.reason}")
            else:
                self.acknowledged.add((item.row["source"], item.row["id"]))

        return record

    @contextmanager
    def _progress(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        columns = (TextColumn(f"{title:15}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.say) as progress:
            task = progress.add_task("", total=total)
            yield lambda: progress.advance(task)

    def _journeys(self) -> list[str]:
        return list(load(Settings(database_url=self.stack.environment()["DATABASE_URL"]).packages).journeys)


def _exclusion_line(one: ExcludedPlayer, since: list[str], under_way: int) -> str:
    quiet = f"{len(since)} things since then, see below" if since else "nothing let through since, every run stopped"
    late = f" ({under_way} already on its way)" if under_way else ""
    return f"{one.player_id} at {one.acknowledged_at:%H:%M:%S} UTC: {quiet}{late}"


def _item(event: CloudEvent) -> EventItem:
    return EventItem(orjson.dumps(event), event["subject"], row=event)


def _prepare(folder: Path) -> None:
    """Empty the folder of an earlier demo, and end what that demo may have left running."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in folder.iterdir()}
    if names - {"lock"} and "stack.json" not in names:
        raise DemoError(f"{folder} holds something that is not a demo's; name an empty folder with --folder.")
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"A demo already runs in {folder}; wait for it, or name another folder.") from None
        processes = folder / "processes.json"
        for identity in json.loads(processes.read_text()).values() if processes.exists() else ():
            end_orphan(Process(**identity))
        for entry in folder.iterdir():
            if entry.is_symlink():
                # Postgres moves to where its account may enter, and leaves a link.
                if entry.resolve().is_relative_to(SHARED_HOME):
                    shutil.rmtree(entry.resolve(), ignore_errors=True)
                entry.unlink()
            elif entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

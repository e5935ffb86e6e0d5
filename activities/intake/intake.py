"""Ingests events: store each once, advance the player, write what must be delivered, in one transaction.

Everything that changes a player's state goes through `Intake.locked`, so that the player's row
lock orders it: events, ticks of the sweep, answers to tasks, entries by hand, ends of runs.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database, DatabaseUnreachable
from activities.event_loop_turns import Precedence, in_turns
from activities.identity_digests import UNKEYED, IdentityDigests
from activities.intake import device_owners, stray_refusals
from activities.intake.admission import AdmissionQueue, AdmissionTimeout
from activities.intake.backpressure import LATER, Pressure, protects
from activities.intake.decision_announcements import of_decisions, of_facts
from activities.intake.decision_writes import DecisionRows, as_json
from activities.intake.deposit_checks import open_deposit_checks
from activities.intake.erased_players import ErasedPast, PlayersErased
from activities.intake.event_store import Identity, store_events
from activities.intake.exclusion_minimum import EarlyEnds, EndsTooEarly, SelfExclusionMinimum
from activities.intake.failed_events import apart, concerns_one_player, keep
from activities.intake.group_exclusions import protect_group, store_copies
from activities.intake.joined_contests import join_contests
from activities.intake.locked_elsewhere import (
    DEADLOCK,
    LOCK_TIMEOUT,
    AccountsNotLocked,
    LockedElsewhere,
    PlayersLocked,
    players_of,
    players_wanted,
    sqlstate,
)
from activities.intake.locked_players import LockedPlayers
from activities.intake.old_buckets import remember_buckets
from activities.intake.receipts import Receipt
from activities.intake.rule_failure_reports import report
from activities.intake.run_catch_up import missed_events
from activities.intake.suppressions import suppress_again
from activities.journey_controls import ClosedJourneys
from activities.outgoing.outbox import announce
from activities.player_rows import ADVANCE, ADVANCE_PLAYERS, CREATE_PLAYERS, LOCK_PLAYERS
from activities.processes import Processes
from activities.run_delivery import deliveries
from activities.shadows import RunningShadows
from activities.tasks import cancel_by_hand
from activities.tracing import note_events
from workflows.events import Event, PlayerMerged
from workflows.loyalty.mission_states import MISSION_NUMBERS
from workflows.player_state.brand_groups import Account, BrandGroups
from workflows.player_state.decisions import ReviewDue
from workflows.player_state.merging import accounts_needed, is_shared, merge, share, share_review
from workflows.player_state.projection import ABOUT_PERSON
from workflows.player_state.state import Mode, PlayerState
from workflows.rules.index import RuleIndex
from workflows.task_kinds import CONTACT_KINDS

# An import brings a player's past in pieces: until the rest has come, nobody is called absent.
HISTORY_SETTLING = timedelta(hours=1)
# Events ingested at a time. Twice as many are no faster, and batches of the same players then wait in Postgres.
MAX_EVENTS, MAX_HISTORY_EVENTS = 1_000, 500
#: Events applied to players at a time, of those: a larger batch has the players to itself.
MAX_APPLIED = 250
#: When a batch that was not admitted is sent back; a sender of history has time.
ADMISSION_TIMEOUT, HISTORY_ADMISSION_TIMEOUT = timedelta(seconds=2), timedelta(seconds=8)
#: The same for what protects, and how long a batch that only holds such events waits to be taken as a whole.
PROTECTION_ADMISSION_TIMEOUT, MIXED_ADMISSION_TIMEOUT = timedelta(seconds=6), timedelta(seconds=0.25)
#: How long a batch waits for players whose rows somebody holds.
HELD_TIMEOUT = timedelta(seconds=2)
# Rows are locked in one order, so a deadlock is a surprise; it undoes one of the two, which may try again.
MAX_ATTEMPTS = 3
Facts = Sequence[tuple[str, Event]]
ALONE: Final = BrandGroups()
ANY_LENGTH: Final = SelfExclusionMinimum()
#: Batches that protect go one at a time from this many events on, so that small ones find a connection beside them.
LARGE_BATCH = 50
# So many players a process remembers to have rows; about 30 MB.
MAX_KNOWN_PLAYERS = 200_000


@dataclass(frozen=True)
class _Batch:
    """What all events of a call have in common."""

    brand: str
    now: datetime
    mode: Mode
    urgent_only: bool
    first_counts: Collection[Identity]
    key_id: str | None


class Intake:
    """Ingests events for one set of journeys; with `pressure`, only what Temporal can keep up with."""

    def __init__(
        self,
        database: Database,
        rules: RuleIndex,
        settling: timedelta = HISTORY_SETTLING,
        pressure: Pressure | None = None,
        *,
        self_exclusion_minimum: SelfExclusionMinimum = ANY_LENGTH,
        protection: Database | None = None,
        groups: BrandGroups = ALONE,
        digests: IdentityDigests = UNKEYED,
        processes: Processes | None = None,
    ) -> None:
        self.database = database
        #: Who else reads the rows that are written here; who does not know writes them as everybody reads them.
        self.processes = processes
        self.groups = groups
        self.digests = digests
        #: Where connections for what protects are found.
        self.protection = protection or database
        self.rules = rules
        self.closed = ClosedJourneys()
        self.shadows = RunningShadows()
        self.settling = settling
        self.pressure = pressure
        #: How long a self-exclusion lasts before anything may end it.
        self.self_exclusion_minimum = self_exclusion_minimum
        self.admission, self.history_admission = AdmissionQueue(MAX_EVENTS), AdmissionQueue(MAX_HISTORY_EVENTS)
        self.protection_admission = AdmissionQueue(1)
        self.applying = AdmissionQueue(MAX_APPLIED)
        self.precedence = Precedence()
        self.admission_timeout, self.history_admission_timeout = ADMISSION_TIMEOUT, HISTORY_ADMISSION_TIMEOUT
        #: Players whose rows somebody holds. Only who must not wait for them with a connection in hand looks there.
        self.held = LockedElsewhere(protection) if protection is not None else None
        #: Players whose rows are known to be committed, so that nobody tries to make them again.
        self._known_players: set[tuple[str, str]] = set()

    async def ingest(
        self,
        brand: str,
        events: Sequence[tuple[str, Event]],
        now: datetime,
        *,
        mode: Mode = "live",
        urgent_only: bool = False,
        first_counts: Collection[Identity] = (),
        key_id: str | None = None,
    ) -> list[Receipt]:
        """Ingest `(player id, event)` pairs of one brand; one receipt each, in their order. `key_id` posted them.

        When it returns, every accepted event is committed together with all it caused. When it
        raises, nothing of the batch is kept and the caller may send it again. A player who cannot be advanced costs
        nobody else: an event of theirs is `Kept` and has caused nothing, or is `later` where it protects.

        An identity that is known with another player, type or data is a `Conflict` and no duplicate; of those in
        `first_counts` the data is not compared. What protects the player is acted upon in spite of a conflict. What
        would end a self-exclusion before its minimum is refused as `TooEarly`.

        While deliveries pile up, while more is sent than can be ingested, and with `urgent_only`, what does not
        protect the player is `later`: not kept, to be sent again. What protects has a line and connections of its own,
        and takes the rest of its batch along when that goes at once. History causes no deliveries and is never `later`;
        it has a line of its own too. `AdmissionTimeout` is raised when either of these two does not move.

        `PlayersLocked` is raised when somebody holds the row of one of the players. What the batch says of the others
        is kept, and sent again is a duplicate.
        """
        batch = _Batch(brand, now, mode, urgent_only, first_counts, key_id)
        if self.held is None:
            return await self._ingest(batch, events)
        if not self.held.among(brand, (player_id for player_id, _ in events)):
            with suppress(PlayersLocked):
                return await self._ingest(batch, events)
        return await self._ingest_around(self.held, batch, events)

    async def _ingest_around(
        self, held: LockedElsewhere, batch: _Batch, events: Sequence[tuple[str, Event]]
    ) -> list[Receipt]:
        """Ingest a batch of which some players are held: the others at once, and these when they are free."""
        deadline = asyncio.get_running_loop().time() + HELD_TIMEOUT.total_seconds()
        receipts: dict[int, Receipt] = {}
        while left := [one for one in range(len(events)) if one not in receipts]:
            waiting = held.among(batch.brand, players_of(events))
            ready = [one for one in left if waiting.isdisjoint(players_of([events[one]]))]
            if not ready:
                await held.change(deadline)
                continue
            try:
                taken = await self._ingest(batch, [events[one] for one in ready])
            except PlayersLocked:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            else:
                receipts.update(zip(ready, taken, strict=True))
        return [receipts[one] for one in range(len(events))]

    async def _ingest(self, batch: _Batch, events: Sequence[tuple[str, Event]]) -> list[Receipt]:
        mode = batch.mode
        urgent = [(player_id, event) for player_id, event in events if protects(event)]
        if len(urgent) == len(events):
            return await self._protect(batch, events)
        if mode == "history":
            async with self.history_admission.admitted(len(events), self.history_admission_timeout, batch.brand):
                return await self._store_and_apply(self.database, batch, events)
        if not batch.urgent_only and (self.pressure is None or not await self.pressure.is_high(batch.brand)):
            try:
                timeout = MIXED_ADMISSION_TIMEOUT if urgent else self.admission_timeout
                async with self.admission.admitted(len(events), timeout, batch.brand):
                    await self.precedence.give_way()
                    return await self._store_and_apply(self.database, batch, events)
            except AdmissionTimeout:
                pass  # the sender waits instead
            except DatabaseUnreachable:
                if not urgent:
                    raise
        LATER.inc(len(events) - len(urgent))
        receipts = iter(await self._protect(batch, urgent) if urgent else ())
        return [next(receipts) if protects(event) else "later" for _, event in events]

    async def _protect(self, batch: _Batch, events: Sequence[tuple[str, Event]]) -> list[Receipt]:
        if len(events) < LARGE_BATCH:
            with self.precedence.protecting():
                return await self._store_and_apply(self.protection, batch, events)
        async with self.protection_admission.admitted(1, PROTECTION_ADMISSION_TIMEOUT):
            return await self._store_and_apply(self.protection, batch, events)

    async def _store_and_apply(
        self, database: Database, batch: _Batch, events: Sequence[tuple[str, Event]]
    ) -> list[Receipt]:
        take = partial(self._store_and_apply_together, database, batch)
        try:
            return await take(events)
        except Exception as error:
            if not concerns_one_player(error):
                raise
        # One player's row or rules must not cost the others their events.
        history = batch.mode == "history"
        return await apart(events, take, partial(keep, database, batch.brand, batch.now, batch.key_id, history=history))

    async def _store_and_apply_together(
        self, database: Database, batch: _Batch, events: Sequence[tuple[str, Event]]
    ) -> list[Receipt]:
        accounts: dict[Account, str] = self.groups.accounts_of(batch.brand, events)
        past, early, attempts = ErasedPast(), EarlyEnds(self.self_exclusion_minimum), 0
        while True:
            attempts += 1
            try:
                return await self._store_and_apply_locking(accounts, past, early, database, batch, events)
            except PlayersErased as found:
                past.players |= found.players
            except EndsTooEarly as found:
                early.refusals |= found.refusals
            except AccountsNotLocked as needed:
                # Rows are locked in the order of their ids, so what is needed besides is locked from the beginning.
                accounts |= needed.accounts
            except PlayersLocked:
                if self.held is not None:
                    behind = [
                        (one, player_id) for one, player_id in accounts.items() if self.held.among(one[0], [one[1]])
                    ]
                    self.held.suspect_behind(batch.brand, behind)
                raise
            except OperationalError as error:
                state = sqlstate(error)
                if state == LOCK_TIMEOUT and self.held is not None:
                    self.held.suspect(batch.brand, players_of(events))
                    raise PlayersLocked from None
                if state != DEADLOCK or attempts >= MAX_ATTEMPTS:
                    raise

    async def _store_and_apply_locking(
        self,
        accounts: dict[Account, str],
        past: ErasedPast,
        early: EarlyEnds,
        database: Database,
        batch: _Batch,
        events: Facts,
    ) -> list[Receipt]:
        brand, now, mode, events = batch.brand, batch.now, batch.mode, past.bare(events)
        ids = players_wanted(brand, events, accounts)[brand]
        # Left after the commit: until then nobody else gets far with the same players.
        async with AsyncExitStack() as turn, database.transaction() as connection:
            if self.held is not None and self.held.among(brand, ids):
                raise PlayersLocked  # since it went for a connection
            refused = past.refusals(events) | early.refusals
            left = [position for position in range(len(events)) if position not in refused]
            taken = [events[position] for position in left] if refused else events
            past_too, first, key = mode == "history", batch.first_counts, batch.key_id
            stored = await store_events(connection, brand, taken, history=past_too, first_counts=first, key_id=key)
            new = stored.new
            if new:
                await turn.enter_async_context(self._applying(database, events))
                await store_copies(connection, self.groups, brand, new, history=mode == "history")
                async with self._locked_together(connection, players_wanted(brand, new, accounts), now) as together:
                    players, states = together[brand], {one: locked.states for one, locked in together.items()}
                    alone = {(brand, one): by for one, by in accounts_needed(new, players.states).items()}
                    if missing := alone | self.groups.accounts_needed(brand, new, states):
                        raise AccountsNotLocked(missing)
                    past.look(new, players.states)
                    accepted = [one for one, told in zip(left, stored.receipts, strict=True) if told == "accepted"]
                    early.look(brand, events, accepted, players.states, now)
                    await self._apply_all(connection, batch, new, together)
        if len(self._known_players) > MAX_KNOWN_PLAYERS:
            self._known_players.clear()
        self._known_players.update((brand, player_id) for player_id, _ in new)
        note_events(brand, [event for _, event in new])
        receipts = iter(stored.receipts)
        return [refused[one] if one in refused else next(receipts) for one in range(len(events))]

    async def _apply_all(
        self, connection: AsyncConnection, batch: _Batch, new: Facts, together: Mapping[str, LockedPlayers]
    ) -> None:
        """Advance the players of a batch by what is new of it, and write what follows from it besides."""
        brand, now, mode, players = batch.brand, batch.now, batch.mode, together[batch.brand]
        await suppress_again(connection, self.digests, brand, new, players, now, mode)
        players.not_before = now + self.settling if mode == "history" else None
        async for player_id, event in in_turns(new):
            await remember_buckets(connection, brand, players, player_id, event, now)
            self._apply(players, player_id, event, now, mode)
            protect_group(self.groups, brand, player_id, event, together, now, mode)
        await join_contests(connection, brand, new, players.states, now)
        held = await stray_refusals.due(connection, self.digests, brand, players.profiles, now)
        gone = await device_owners.let_go(connection, brand, players)
        await self.tell_all(connection, players, [*held, *gone], now, mode=mode)
        await open_deposit_checks(connection, brand, new, players, self.self_exclusion_minimum.policies, now, mode)
        announce(connection, *of_facts(brand, [*new, *held], now, mode))

    def _applying(self, database: Database, events: Sequence[tuple[str, Event]]) -> AbstractAsyncContextManager[None]:
        """A turn at players' rows: batches that share players would only wait for each other there, row in hand."""
        protecting = database is self.protection and database is not self.database
        return nullcontext() if protecting else self.applying.admitted(len(events), None)

    def _apply(self, players: LockedPlayers, player_id: str, event: Event, now: datetime, mode: Mode) -> None:
        """Advance a player by one new event, and the person's other accounts by what protects them."""
        states = players.states
        if isinstance(event, PlayerMerged):
            for one, decision in merge(event, states, players.rules, now, players.failures, mode=mode):
                players.record(one, [decision])
        player_id = states[player_id].counts_for(event)
        state = states[player_id]
        if isinstance(event, ABOUT_PERSON):
            profile = state.personal_words(event, state.word_of(event, now, live=mode == "live"))
            players.profiles.setdefault(player_id, {}).update(profile)
        decisions = state.advance(event, players.rules, now, players.failures, mode=mode)
        players.record(player_id, decisions)
        if state.accounts and is_shared(event):
            for other in state.accounts:
                players.record(other, share(event, state, states[other], now, mode=mode))
        if state.accounts and any(isinstance(one, ReviewDue) for one in decisions):
            if missing := {(state.brand, other): player_id for other in state.accounts if other not in states}:
                raise AccountsNotLocked(missing)
            for other in state.accounts:
                players.record(other, share_review(state, states[other], now))

    async def tell(
        self,
        connection: AsyncConnection,
        players: LockedPlayers,
        player_id: str,
        event: Event,
        now: datetime,
        key_id: str | None = None,
    ) -> bool:
        """Ingest one event of a player who is locked here, in the caller's transaction; False for a duplicate.

        Raises `AccountsNotLocked` where the event reaches accounts that the caller has not locked.
        """
        return await self.tell_all(connection, players, [(player_id, event)], now, key_id) > 0

    async def tell_all(
        self,
        connection: AsyncConnection,
        players: LockedPlayers,
        told: Sequence[tuple[str, Event]],
        now: datetime,
        key_id: str | None = None,
        *,
        mode: Mode = "live",
    ) -> int:
        """The same of events of several players of one brand; how many of them are new."""
        if not told:
            return 0
        brand = players.states[told[0][0]].brand
        stored = await store_events(connection, brand, told, history=mode == "history", key_id=key_id)
        if missing := accounts_needed(stored.new, players.states):
            raise AccountsNotLocked({(brand, one): by for one, by in missing.items()})
        for player_id, event in stored.new:
            self._apply(players, player_id, event, now, mode)
        return len(stored.new)

    @asynccontextmanager
    async def _locked_together(
        self, connection: AsyncConnection, wanted: Mapping[str, Collection[str]], now: datetime
    ) -> AsyncIterator[dict[str, LockedPlayers]]:
        """Lock players of several brands: brand by brand in the order of their names, as everybody does."""
        async with AsyncExitStack() as stack:
            yield {
                brand: await stack.enter_async_context(self.locked(connection, brand, wanted[brand], now, create=True))
                for brand in sorted(wanted)
            }

    @asynccontextmanager
    async def locked(
        self,
        connection: AsyncConnection,
        brand: str,
        player_ids: Iterable[str],
        now: datetime,
        *,
        create: bool = False,
    ) -> AsyncIterator[LockedPlayers]:
        """Lock players in id order, yield their states, then write states and decisions back.

        Must run inside a transaction. Unknown players are left out unless `create`. Everybody
        locks in the same order, so two batches never wait for each other in a circle. Raises `PlayersLocked` for a row
        that somebody holds, where that is looked for.
        """
        ids = sorted(set(player_ids))
        if self.held is not None and self.held.among(brand, ids):
            raise PlayersLocked
        if create and (unseen := [player_id for player_id in ids if (brand, player_id) not in self._known_players]):
            await connection.execute(CREATE_PLAYERS, {"brand": brand, "ids": unseen})
        rows = await self._lock(connection, brand, ids)
        if create and len(rows) < len(ids):
            # Somebody took a row away that was there.
            await connection.execute(CREATE_PLAYERS, {"brand": brand, "ids": ids})
            rows = await self._lock(connection, brand, ids)
        states = {row.id: PlayerState.from_text(brand, row.id, row.state) async for row in in_turns(rows)}
        rules = self.rules.closing(await self.closed.of(connection, brand))
        if self.pressure is None or not self.pressure.is_crowded:
            rules = rules.shadowing(await self.shadows.of(connection, brand))
        protected = frozenset(one for one, state in states.items() if state.protected(now))
        players = LockedPlayers(states, rules, protected=protected)
        try:
            await self._catch_up(connection, brand, players, now)
            yield players
        finally:
            report(players.failures)
        await self._write(connection, brand, players, now)

    async def _catch_up(self, connection: AsyncConnection, brand: str, players: LockedPlayers, now: datetime) -> None:
        """Let runs hear what came to processes that knew less than this one; almost always there is nothing."""
        for player_id, state in players.states.items():
            for run_id, behind in state.runs_behind(self.rules).items():
                events = await missed_events(connection, brand, player_id, run_id, behind)
                players.record(player_id, state.catch_up(run_id, events, self.rules, now, players.failures))

    async def _lock(self, connection: AsyncConnection, brand: str, ids: Sequence[str]) -> Sequence[Row[Any]]:
        try:
            return (await connection.execute(LOCK_PLAYERS, {"brand": brand, "ids": ids})).all()
        except OperationalError as error:
            if self.held is None or sqlstate(error) != LOCK_TIMEOUT:
                raise
            # Before the connection is free again, or the next in line would wait with it for the same row.
            self.held.suspect(brand, ids)
            raise PlayersLocked from None

    async def _write(self, connection: AsyncConnection, brand: str, players: LockedPlayers, now: datetime) -> None:
        states = players.states
        if not states:
            return
        numbers = self.processes is not None and MISSION_NUMBERS in self.processes.row_forms
        announce(connection, *of_decisions(brand, players.decisions))
        if begins := players.newly_protected(now):
            await cancel_by_hand(connection, brand, begins, CONTACT_KINDS, "The player is protected.", now)
        changed = [
            {
                "id": player_id,
                "state": state.stored(mission_numbers=numbers),
                "profile": players.profiles.get(player_id, {}),
                "moment": _later(state.next_moment, players.not_before),
            }
            async for player_id, state in in_turns(sorted(states.items()))
        ]
        advanced = {"brand": brand, "players": as_json(changed), "now": now}
        decided = DecisionRows(brand, players.decisions, players.facts, players.messages, players.held_out)
        statements = [*decided.by_statement()]
        if any(statement is deliveries.INSERT for statement, _ in statements):
            deliveries.wake_dispatchers(connection)
        if [statement for statement, _ in statements] == [deliveries.INSERT]:
            # Somebody waits for what wakes a run and does nothing else: it goes in one round trip.
            [(_, rows)] = statements
            await connection.execute(_UPDATE_AND_DELIVER, advanced | {"rows": as_json(rows)})
            return
        await connection.execute(ADVANCE_PLAYERS, advanced)
        for statement, rows in statements:
            await connection.execute(statement, {"brand": brand, "rows": as_json(rows)})


def _later(moment: datetime | None, not_before: datetime | None) -> datetime | None:
    return moment if moment is None or not_before is None else max(moment, not_before)


_UPDATE_AND_DELIVER = text(f"WITH advanced AS ({ADVANCE}) {deliveries.WRITE}")

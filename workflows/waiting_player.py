"""The verbs that wait: for an event, for a time, for a moment on the player's own clock."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack, cast, overload

from workflows.effects import REFRESH, Refresh
from workflows.events import Event
from workflows.known_player import KnownPlayer
from workflows.local_time import JITTER, next_local
from workflows.player_facts import PlayerFacts
from workflows.rules.moving_facts import MOVING
from workflows.rules.tied_to_run import about_grant, tied
from workflows.rules.where import Where
from workflows.run_journal import event_as_kept
from workflows.verb_results import Grant

#: A moment that hangs on facts of the player; None while they do not say.
MomentOf = Callable[[Any], datetime | None]
E = TypeVar("E", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)


class Taking(TypedDict, total=False):
    """Which of the events of its kinds `first` takes."""

    where: Where | None
    same: str | None
    of: Grant | None
    fresh: bool


class WaitingPlayer(KnownPlayer):
    """A player whose journey can wait. A journey gets a `Player`, which also can do something."""

    async def event(
        self,
        kind: type[E],
        *,
        within: timedelta,
        where: Where | None = None,
        same: str | None = None,
        of: Grant | None = None,
        fresh: bool = False,
    ) -> E | None:
        """Wait for an event of `kind`; None when none came `within` this time.

        `same="payment_id"` takes only an event that says there what the event that started the run says. `of=grant`
        takes only one about this reward, such as `RewardClaimed` or a round played with it; about one that was refused
        none comes, and the wait is over at once.

        An event that arrived since the run began and was not used yet counts, oldest first, and
        is used up by this wait. `fresh=True` looks only at what arrives from now on.

        A `where` that looks at the event alone is asked before the run is told of it, and what no wait takes wakes
        nobody. One that looks at something of its run, such as the event that started it, hears every event.
        """
        takes = about_grant(tied(where, same, self._run.input.trigger), of)
        event: E | None = await self._await(f"event:{kind.__name__}", (kind,), _time(within, of), takes, fresh=fresh)
        return event

    @overload
    async def first(self, a: type[E], /, *, within: timedelta, **how: Unpack[Taking]) -> E | None: ...
    @overload
    async def first(self, a: type[E], b: type[E2], /, *, within: timedelta, **how: Unpack[Taking]) -> E | E2 | None: ...
    @overload
    async def first(
        self, a: type[E], b: type[E2], c: type[E3], /, *, within: timedelta, **how: Unpack[Taking]
    ) -> E | E2 | E3 | None: ...
    @overload
    async def first(self, *kinds: type[Event], within: timedelta, **how: Unpack[Taking]) -> Event | None: ...
    async def first(
        self,
        *kinds: type[Event],
        within: timedelta,
        where: Where | None = None,
        same: str | None = None,
        of: Grant | None = None,
        fresh: bool = False,
    ) -> Event | None:
        """Wait for the first event of any of `kinds`; None when none came. Made for `match`.

        `where`, `same`, `of` and `fresh` are those of `event`, and are asked of every kind.
        """
        names = "|".join(kind.__name__ for kind in kinds)
        takes = about_grant(tied(where, same, self._run.input.trigger), of)
        event: Event | None = await self._await(f"first:{names}", kinds, _time(within, of), takes, fresh=fresh)
        return event

    async def sleep(self, duration: timedelta) -> None:
        """Wait for a time, whatever happens meanwhile; events are kept."""
        run = self._run
        step = run.step("sleep")
        if run.recall(step) is None:
            wait = run.begin(step, until=(run.now + duration).isoformat())
            await run.wait(step, never, run.end_of(wait, duration))
            run.keep(step, None)

    async def until(
        self,
        at: str | MomentOf,
        *,
        weekday: str | None = None,
        on: date | None = None,
        jitter: timedelta = JITTER,
    ) -> datetime:
        """Wait until the player's own clock shows `at` ("15:00"), next time or on that day; the moment it waited for.

        `until(lambda p: p.kyc_deadline and p.kyc_deadline - days(3))` waits for a moment that hangs on facts, and for
        another one when they change meanwhile. A moment that is past is now; while it is None the run waits on.

        It comes for many at once, so each run waits up to `jitter` longer, always as long; `minutes(0)` for the very
        minute. Where the player's zone is unknown the clock is UTC. A date in the past waits for nothing.
        """
        if not isinstance(at, str):
            return await self._until_fact(at)
        run = self._run
        step = run.step("until")
        known = run.recall(step, self.now.isoformat())
        if known is None:
            wait = run.begin(step, until=self._moment(run.now, at, weekday, on, jitter).isoformat())
            moment = run.end_of(wait, self._moment(wait.began, at, weekday, on, jitter) - wait.began)
            await run.wait(step, never, moment)
            run.record(step, "reached", moment=moment.isoformat())
            known = run.keep(step, moment.isoformat())
        return datetime.fromisoformat(str(known.outcome))

    async def _until_fact(self, moment_of: MomentOf) -> datetime:
        run = self._run
        step = run.step("until")
        known = run.recall(step, self.now.isoformat())
        if known is None:
            run.begin(step)
            while True:
                heard = run.inbox.arrived
                moment = self._as_of(moment_of, await run.effect(REFRESH, Refresh(**run.common(step))))
                changed = partial(self._heard_since, heard)
                if not await run.wait(step, changed, run.ends_at if moment is None else max(moment, run.now)):
                    break
            assert moment is not None, "a run that waits for nothing ends at its end"
            run.record(step, "reached", moment=moment.isoformat())
            known = run.keep(step, moment.isoformat())
        return datetime.fromisoformat(str(known.outcome))

    def _as_of(self, moment_of: MomentOf, facts: PlayerFacts) -> datetime | None:
        """The moment by these facts; what the journey knows of the player stays as old as it was."""
        run, known = self._run, self._run.facts
        run.facts = facts
        try:
            return moment_of(self)
        finally:
            run.facts = known

    def _heard_since(self, arrived: int) -> bool:
        return self._run.inbox.oldest(MOVING, None, arrived) is not None

    def _moment(self, now: datetime, at: str, weekday: str | None, on: date | None, jitter: timedelta) -> datetime:
        """When the player's clock shows `at` next, and this run has waited its share of `jitter`."""
        moment = next_local(now, self.timezone, at, weekday=weekday, on=on)
        return moment + self._run.delay(jitter) if moment > now else moment

    async def _await(
        self,
        name: str,
        kinds: tuple[type[Any], ...],
        within: timedelta,
        where: Where | None,
        *,
        fresh: bool,
    ) -> Any:
        run = self._run
        step = run.step(name)
        known = run.recall(step)
        if known is None:
            until = run.now + within
            wait = run.begin(step, until=until.isoformat(), after=run.inbox.arrived if fresh else 0)
            after = cast("int", wait.fixed["after"])
            came: Event | None = None
            if await run.wait(
                step, lambda: run.inbox.oldest(kinds, where, after) is not None, run.end_of(wait, within)
            ):
                came = run.inbox.oldest(kinds, where, after)
                assert came is not None
                run.inbox.use(came)
                run.record(step, type(came).__name__, event_id=came.event_id)
            else:
                run.record(step, "timed_out")
            run.keep(step, None if came is None else came.to_wire())
            return came
        return None if known.outcome is None else event_as_kept(kinds, known.outcome)


def _time(within: timedelta, of: Grant | None) -> timedelta:
    """How long a wait lasts: of a reward that was refused nothing will be told."""
    return timedelta(0) if of is not None and of.status == "refused" else within


def never() -> bool:
    """What an event cannot end: a wait for a time alone."""
    return False

"""`Player`: the verbs a journey is written in.

Every verb returns a value that says what happened. A verb raises nothing for an outcome that can
be expected: a refused message is `Suppressed`, a wait that ended is `None`. Only what cannot be meant, such as a
weekday that does not exist, is a `ValueError`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar, overload

from pydantic import JsonValue

from workflows.channels import Channel, first_turn
from workflows.effects import (
    GRANT,
    MARK,
    MATCH,
    MOVE_TASK,
    OPEN_TASK,
    REFRESH,
    SEND,
    START,
    Give,
    Mark,
    Match,
    MoveTask,
    OpenTask,
    Refresh,
    Send,
    StartJourney,
    TaskMove,
)
from workflows.events import Event
from workflows.forms import Form
from workflows.local_time import JITTER, next_local
from workflows.rewards import Reward
from workflows.rules.segments import Segment, require_segment
from workflows.rules.where import Where
from workflows.run import JourneyRun
from workflows.verbs import match_methods

__all__ = ["Grant", "Player", "RunStarted", "Sent", "Suppressed"]

E = TypeVar("E", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
F = TypeVar("F", bound=Form)

#: Between two questions to the gate about one message.
GATE_PAUSE = timedelta(seconds=10)


@dataclass(frozen=True)
class Sent:
    """The message was handed over on these channels."""

    channels: tuple[str, ...]


@dataclass(frozen=True)
class Suppressed:
    """The message went out on no channel; `reasons` names the rule that spoke on each."""

    reasons: dict[str, str]

    @property
    def reason(self) -> str:
        """The first channel's reason."""
        return next(iter(self.reasons.values()), "no_channel")


@dataclass(frozen=True)
class Grant:
    """What became of a reward. Only `confirmed` means that the player has it.

    `unknown` means that the bonus engine never answered; it is looked up again and again and stands
    in `GET /v1/grants?status=unknown` meanwhile, so a journey must not grant again.
    """

    status: str
    grant_id: str
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.status == "confirmed"


@dataclass(frozen=True)
class RunStarted:
    """The other journey's run, or why the player did not enter it."""

    run_id: str | None
    refused: str | None = None

    def __bool__(self) -> bool:
        return self.run_id is not None


class Player:
    """The player of one run: facts as of the last `refresh`, and everything a journey can do."""

    def __init__(self, run: JourneyRun) -> None:
        self._run = run

    # ---- facts -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The operator's id of the player."""
        return self._run.facts.player_id

    @property
    def language(self) -> str:
        """BCP 47 language tag, such as `en` or `uk`."""
        return self._run.facts.language

    @property
    def timezone(self) -> str | None:
        """IANA zone; None when the operator never sent one."""
        return self._run.facts.timezone

    @property
    def country(self) -> str | None:
        """ISO 3166 alpha-2 code."""
        return self._run.facts.country

    @property
    def currency(self) -> str:
        """ISO 4217 code of the player's wallet."""
        return self._run.facts.currency

    @property
    def tier(self) -> str | None:
        """Loyalty tier, as of the last `loyalty.tier_changed`."""
        return self._run.facts.tier

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes; None before the first round."""
        return self._run.facts.favourite_category

    @property
    def deposits(self) -> int:
        """How many deposits were approved so far."""
        return self._run.facts.deposits

    @property
    def mean_deposit_minor(self) -> int:
        """Mean approved deposit in minor units; 0 before the first."""
        facts = self._run.facts
        return facts.deposited_minor // facts.deposits if facts.deposits else 0

    @property
    def last_login(self) -> datetime | None:
        """When the player was last seen to log in."""
        return self._run.facts.last_login

    # ---- effects -----------------------------------------------------------------------------

    async def send(
        self,
        template: str,
        *,
        via: Sequence[Channel] | Channel = ("email",),
        fallback: Sequence[Channel] = (),
        by: timedelta | None = None,
        jitter: timedelta = JITTER,
        **variables: JsonValue,
    ) -> Sent | Suppressed:
        """Send a message on every channel of `via`; if none may go, on the first of `fallback`.

        Each channel passes the gate on its own: consent, caps, protection, an address. In quiet
        hours the run waits until they end, and up to `jitter` longer, and asks the gate again. What
        cannot go within `by` is `Suppressed("too_late")`; unless given, marketing and surveys have
        12 hours, service messages three days, and what protects a player is never too late.
        Variables are facts and amounts; names and addresses are filled in where the message is rendered.
        """
        if by is not None and by <= timedelta(0):
            raise ValueError(f"player.send({template!r}) needs a positive by=, such as by=hours(6).")
        run = self._run
        step = run.step(f"send:{template}")
        channels = [via] if isinstance(via, str) else list(via)
        turn, tried, asked_at = first_turn(channels, fallback), list[Channel](), run.now
        while True:
            message = Send(
                **run.common(step),
                template=template,
                via=channels,
                fallback=list(fallback),
                variables=dict(variables),
                turn=turn,
                tried=tried,
                asked_at=asked_at,
                by=None if by is None else asked_at + by,
                jitter=jitter,
            )
            result = await run.effect(SEND, message)
            if result.next_turn is not None:
                turn, tried = result.next_turn, message.had_turns
                continue
            if result.wait_until is None:
                break
            turn, tried = first_turn(channels, fallback), []
            run.record(step, "quiet_hours", until=result.wait_until.isoformat())
            # The gate's clock may be behind Temporal's: without a pause it would be asked hundreds of times.
            await run.wait(step, _never, max(result.wait_until, run.now + GATE_PAUSE))
        return Sent(tuple(result.sent)) if result.sent else Suppressed(result.suppressed)

    async def grant(self, reward: Reward) -> Grant:
        """Give a reward, exactly once, through the bonus engine.

        Test the result before telling the player about it: the gate or the engine may refuse.
        """
        run = self._run
        step = run.step(f"grant:{reward.kind}")
        result = await run.effect(GRANT, Give(**run.common(step), reward=reward))
        return Grant(result.status, result.grant_id, result.reason)

    async def ask(
        self,
        form: type[F],
        *,
        team: str,
        due: timedelta,
        skill: str | None = None,
        escalate_to: str | None = None,
        reason: str = "",
        forbidden: Sequence[str] = (),
        priority: int = 50,
    ) -> F | None:
        """Open a task for people and wait for the filled-in form.

        At half of `due` the task's history says that it was reminded of; at `due` the task moves to
        `escalate_to` for as long again. Neither notifies anybody: people see it in their list. None means
        that nobody answered in all that time and the task is closed: a journey must say what happens then.
        """
        run = self._run
        step = run.step(f"ask:{form.__name__}")
        opened = run.now
        task = await run.effect(
            OPEN_TASK,
            OpenTask(
                **run.common(step),
                form=form.__name__,
                question=(form.__doc__ or "").strip(),
                form_schema=form.model_json_schema(),
                team=team,
                skill=skill,
                reason=reason,
                forbidden=list(forbidden),
                priority=priority,
                due_at=opened + due,
                escalate_to=escalate_to,
                facts=run.facts,
            ),
        )
        for deadline, move in _task_moves(opened, due, escalate_to):
            if await run.wait(step, lambda: step in run.answers, deadline):
                break
            due_at = opened + 2 * due if move == "escalate" else None
            if await self._move_task(step, task.task_id, move, due_at):
                break
        answer = run.answers.pop(step, None)
        run.record(step, "nobody_answered" if answer is None else "answered")
        return None if answer is None else form.model_validate(answer)

    async def _move_task(self, step: str, task_id: str, move: TaskMove, due_at: datetime | None) -> bool:
        """Remind, escalate or expire a task; True when it was answered already."""
        run = self._run
        moved = await run.effect(MOVE_TASK, MoveTask(**run.common(step), task_id=task_id, move=move, due_at=due_at))
        # The answer may have been recorded while its delivery was still on the way.
        if moved.answer is not None:
            run.answers.setdefault(step, moved.answer)
        return moved.answer is not None

    async def start(self, journey: type[JourneyRun] | str) -> RunStarted:
        """Enter the player into another journey; its own entry rule and control arm apply."""
        run = self._run
        name = journey if isinstance(journey, str) else journey.definition.name
        step = run.step(f"start:{name}")
        result = await run.effect(START, StartJourney(**run.common(step), start=name))
        return RunStarted(result.new_run_id, result.refused)

    async def matches(self, segment: Segment) -> bool:
        """Whether the player is in a segment now, by everything the engine has heard until this moment."""
        run, name = self._run, require_segment(segment, "player.matches(...)").name
        step = run.step(f"matches:{name}")
        result = await run.effect(MATCH, Match(**run.common(step), segment=name))
        return result.matches

    async def mark(self, name: str, **detail: JsonValue) -> None:
        """Leave a marker in the run's story, to be counted in funnels."""
        run = self._run
        step = run.step(f"mark:{name}")
        await run.effect(MARK, Mark(**run.common(step), name=name, detail=dict(detail)))

    async def refresh(self) -> None:
        """Read the player's facts again; until then they are as old as the run's start."""
        run = self._run
        run.facts = await run.effect(REFRESH, Refresh(**run.common(run.step("refresh"))))

    # ---- waits -------------------------------------------------------------------------------

    async def event(
        self,
        kind: type[E],
        *,
        within: timedelta,
        where: Where | None = None,
        fresh: bool = False,
    ) -> E | None:
        """Wait for an event of `kind`; None when none came `within` this time.

        An event that arrived since the run began and was not used yet counts, oldest first, and
        is used up by this wait. `fresh=True` looks only at what arrives from now on.
        """
        event: E | None = await self._await(f"event:{kind.__name__}", (kind,), within, where, fresh=fresh)
        return event

    @overload
    async def first(self, a: type[E], /, *, within: timedelta, fresh: bool = ...) -> E | None: ...
    @overload
    async def first(self, a: type[E], b: type[E2], /, *, within: timedelta, fresh: bool = ...) -> E | E2 | None: ...
    @overload
    async def first(
        self, a: type[E], b: type[E2], c: type[E3], /, *, within: timedelta, fresh: bool = ...
    ) -> E | E2 | E3 | None: ...
    @overload
    async def first(self, *kinds: type[Event], within: timedelta, fresh: bool = ...) -> Event | None: ...
    async def first(self, *kinds: type[Event], within: timedelta, fresh: bool = False) -> Event | None:
        """Wait for the first event of any of `kinds`; None when none came. Made for `match`."""
        names = "|".join(kind.__name__ for kind in kinds)
        event: Event | None = await self._await(f"first:{names}", kinds, within, None, fresh=fresh)
        return event

    async def sleep(self, duration: timedelta) -> None:
        """Wait for a time, whatever happens meanwhile; events are kept."""
        run = self._run
        step = run.step("sleep")
        await run.wait(step, _never, run.now + duration)

    async def until(
        self, at: str, *, weekday: str | None = None, on: date | None = None, jitter: timedelta = JITTER
    ) -> datetime:
        """Wait until the player's own clock shows `at` ("15:00"), next time or on that day; the moment it waited for.

        It comes for many at once, so each run waits up to `jitter` longer, always as long; `minutes(0)` for the very
        minute. Where the player's zone is unknown the clock is UTC. A date in the past waits for nothing.
        """
        run = self._run
        step = run.step("until")
        moment = next_local(run.now, self.timezone, at, weekday=weekday, on=on)
        if moment > run.now:
            moment += run.delay(jitter)
        await run.wait(step, _never, moment)
        run.record(step, "reached", moment=moment.isoformat())
        return moment

    # ---- decisions ---------------------------------------------------------------------------

    def split(self, name: str, **shares: float) -> str:
        """Put the player into one of several parts, in proportion to their shares.

        The same player always falls into the same part of the same split of a journey, also when
        entering again. Changing the shares moves players between parts.
        """
        run = self._run
        total = sum(shares.values())
        if not shares or total <= 0 or min(shares.values()) < 0:
            raise ValueError(f"split({name!r}) needs parts with positive shares, such as a=50, b=50.")
        seed = f"{run.input.brand}:{run.input.journey}:{name}:{self.id}".encode()
        point = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") / 2**64 * total
        chosen = ""
        for part, share in shares.items():
            chosen = part
            point -= share
            if point < 0:
                break
        run.record(run.step(f"split:{name}"), chosen)
        return chosen

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
        after = run.arrived if fresh else 0
        deadline = run.now + within
        if not await run.wait(step, lambda: run.oldest(kinds, where, after) is not None, deadline):
            run.record(step, "timed_out")
            return None
        event = run.oldest(kinds, where, after)
        assert event is not None
        run.use(event)
        run.record(step, type(event).__name__, event_id=event.event_id)
        return event


match_methods(Player)


def _never() -> bool:
    return False


def _task_moves(opened: datetime, due: timedelta, escalate_to: str | None) -> list[tuple[datetime, TaskMove]]:
    """What happens to a task nobody answers, and when."""
    moves: list[tuple[datetime, TaskMove]] = [(opened + due / 2, "remind")]
    if escalate_to is None:
        return [*moves, (opened + due, "expire")]
    return [*moves, (opened + due, "escalate"), (opened + 2 * due, "expire")]

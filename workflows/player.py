"""`Player`: the verbs a journey is written in.

Every verb returns a value that says what happened. A verb raises nothing for an outcome that can
be expected: a refused message is `Suppressed`, a wait that ended is `None`. Only what cannot be meant, such as a
weekday that does not exist, is a `ValueError`.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypedDict, TypeVar, Unpack, cast, overload

from pydantic import JsonValue

from workflows.channels import Channel, first_turn
from workflows.effects import (
    GRANT,
    MARK,
    MATCH,
    MOVE_TASK,
    OPEN_TASK,
    PAUSE_PROMOTIONS,
    REFRESH,
    SEND,
    START,
    WEBHOOK,
    Done,
    Give,
    GiveResult,
    Mark,
    Match,
    Matched,
    MoveTask,
    OpenTask,
    PausedUntil,
    PausePromotions,
    Refresh,
    Send,
    SendResult,
    Started,
    StartJourney,
    TaskOpened,
    Webhook,
)
from workflows.events import Event
from workflows.forms import Form
from workflows.gate.reasons import BEYOND_BUDGETS
from workflows.grant_approval import GrantApproval
from workflows.local_time import JITTER, days, next_local
from workflows.loyalty_verbs import LoyaltyVerbs
from workflows.outgoing_events import MOST_DATA, own_type
from workflows.rewards import Reward
from workflows.rules.segments import Segment, require_segment
from workflows.rules.tied_to_run import tied
from workflows.rules.where import Where
from workflows.run import JourneyRun
from workflows.run_journal import MOVED_PAST, event_as_kept, read_as_kept
from workflows.run_protocol import KnownStep
from workflows.verb_results import Grant, RunStarted, Sent, Suppressed
from workflows.verb_table import match_methods

__all__ = ["Player"]

E = TypeVar("E", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
F = TypeVar("F", bound=Form)

#: Between two questions to the gate about one message.
GATE_PAUSE = timedelta(seconds=10)


class Taking(TypedDict, total=False):
    """Which of the events of its kinds `first` takes."""

    where: Where | None
    same: str | None
    fresh: bool


class Player(LoyaltyVerbs):
    """The player of one run: facts as of the last `refresh`, and everything a journey can do."""

    # ---- effects -----------------------------------------------------------------------------

    async def send(
        self,
        template: str,
        *,
        via: Sequence[Channel] | Channel = ("email",),
        fallback: Sequence[Channel] = (),
        by: timedelta | None = None,
        jitter: timedelta = JITTER,
        offer: Grant | None = None,
        **variables: JsonValue,
    ) -> Sent | Suppressed:
        """Send a message on every channel of `via`; if none may go, on the first of `fallback`.

        Each channel passes the gate on its own: consent, caps, protection, an address. In quiet
        hours the run waits until they end, and up to `jitter` longer, and asks the gate again. What
        cannot go within `by` is `Suppressed("too_late")`; unless given, marketing and surveys have
        12 hours, service messages three days, and what protects a player is never too late.
        Variables are facts and amounts; names and addresses are filled in where the message is rendered. With `offer`,
        a grant, the text says its value, terms and end in the player's language, as `offer`, `terms` and `offer_until`.
        """
        if offer is not None and not offer:
            raise ValueError(f"player.send({template!r}) offers what was not given; ask the grant first: if grant:")
        if by is not None and by <= timedelta(0):
            raise ValueError(f"player.send({template!r}) needs a positive by=, such as by=hours(6).")
        run = self._run
        step = run.step(f"send:{template}")
        channels = [via] if isinstance(via, str) else list(via)
        message = Send(
            **run.common(step),
            template=template,
            via=channels,
            fallback=list(fallback),
            variables=dict(variables),
            jitter=jitter,
            offer=None if offer is None else offer.grant_id,
        )
        passed_over = SendResult(suppressed=dict.fromkeys(channels, MOVED_PAST))
        known = run.recall(step, passed_over)
        if known is None:
            result = await self._pass_gate(message, by)
            run.keep(step, result.model_dump(mode="json"))
        else:
            result = SendResult.model_validate(known.outcome)
        return Sent(tuple(result.sent)) if result.sent else Suppressed(result.suppressed)

    async def _pass_gate(self, message: Send, by: timedelta | None) -> SendResult:
        """Hand a message over, channel by channel; ask the gate again when quiet hours are over."""
        run, step = self._run, message.step
        asking = run.begin(step, asked_at=run.now.isoformat())
        asked_at = datetime.fromisoformat(str(asking.fixed["asked_at"]))
        latest = None if by is None else asked_at + by
        turn, tried = first_turn(message.via, message.fallback), list[Channel]()
        while True:
            if "until" in asking.fixed:
                await run.wait(step, _never, datetime.fromisoformat(str(asking.fixed["until"])))
                del asking.fixed["until"]
            now = {"story": run.story, "turn": turn, "tried": tried, "asked_at": asked_at, "by": latest}
            asked = message.model_copy(update=now)
            result = await run.effect(SEND, asked)
            if result.next_turn is not None:
                turn, tried = result.next_turn, asked.had_turns
                continue
            if result.wait_until is None:
                return result
            turn, tried = first_turn(message.via, message.fallback), []
            run.record(step, "quiet_hours", until=result.wait_until.isoformat())
            # The gate's clock may be behind Temporal's: without a pause it would be asked hundreds of times.
            asking.fixed["until"] = max(result.wait_until, run.now + GATE_PAUSE).isoformat()

    async def grant(self, reward: Reward) -> Grant:
        """Give a reward, exactly once, through the bonus engine.

        Test the result before telling the player about it: the gate or the engine may refuse. Where it would exceed a
        budget and the journey names a team with `approval=`, that is asked, for a day; what it lets pass is a grant of
        its own.
        """
        run = self._run
        step = run.step(f"grant:{reward.kind}")
        passed_over = GiveResult(status="refused", grant_id="", reason=MOVED_PAST)
        result = await run.once(GRANT, Give(**run.common(step), reward=reward), passed_over)
        team = run.played.approval
        beyond = BEYOND_BUDGETS.get(result.reason or "")
        if team is not None and beyond is not None:
            why = f"{reward.kind} would exceed what may be given: {beyond}."
            answer = await self.ask(GrantApproval, team=team, due=days(1), reason=why)
            if answer is not None and answer.give:
                give = Give(**run.common(run.step(f"approved:{reward.kind}")), reward=reward, approved=True)
                result = await run.once(GRANT, give, passed_over)
        return Grant(result.status, result.grant_id, result.reason)

    async def pause_promotions(self, hours: int, why: str) -> datetime:
        """Sell and give the player nothing for so many hours from now on, in any journey; until when that is.

        It only ever makes a pause longer and ends by itself. Service messages, help and tasks go on, and so does this
        run. `why` is kept with the pause: figures and reasons, no names.
        """
        run = self._run
        pause = PausePromotions(**run.common(run.step("pause_promotions")), hours=hours, why=why)
        return (await run.once(PAUSE_PROMOTIONS, pause, PausedUntil(until=run.clock))).until

    async def ask(
        self,
        form: type[F],
        *,
        team: str,
        due: timedelta,
        skill: str | None = None,
        not_by: Sequence[type[Form]] = (),
        approvals: int = 1,
        escalate_to: str | None = None,
        reason: str = "",
        forbidden: Sequence[str] = (),
        priority: int = 50,
    ) -> F | None:
        """Open a task for people and wait for the filled-in form.

        It is answered by people of `team`, with `skill` if one is named; never by who answered one of the forms in
        `not_by` earlier in this run; and with `approvals=2` it counts when two of them have given the same answer.
        It opens with the player's host, if they may have it. At half of `due` it is reminded of; at `due` it moves to
        `escalate_to` for as long again; whom it concerns is told of each (docs/people.md). None means that
        nobody answered in all that time and the task is closed: a journey must say what happens then.
        """
        run = self._run
        step = run.step(f"ask:{form.__name__}")
        known = run.recall(step)
        if known is None:
            opening = OpenTask(
                **run.common(step),
                form=form.__name__,
                question=(form.__doc__ or "").strip(),
                form_schema=form.model_json_schema(),
                team=team,
                skill=skill,
                not_by=[earlier.__name__ for earlier in not_by],
                approvals=approvals,
                reason=reason,
                forbidden=list(forbidden),
                priority=priority,
                opened_at=run.now,
                due_at=run.now + due,
                escalate_to=escalate_to,
                facts=run.facts,
            )
            answer = await self._answer(step, await self._task(step, opening))
            run.record(step, "nobody_answered" if answer is None else "answered")
            known = run.keep(step, answer)
        return read_as_kept(form, known.outcome) if isinstance(known.outcome, dict) else None

    async def _task(self, step: str, opening: OpenTask) -> KnownStep:
        """The task that a step has opened, with the times it was opened with; opened now unless it was."""
        run = self._run
        begun = run.journal.entries.get(step)
        if begun is not None:
            return begun
        task = await run.effect(OPEN_TASK, opening)
        # An older release opened it and answered no times: they are what the code says.
        times = TaskOpened.of(opening) if task.opened_at is None else task
        return run.begin(step, **times.model_dump(mode="json"))

    async def _answer(self, step: str, task: KnownStep) -> dict[str, JsonValue] | None:
        """Wait for the answer to a task, moving it on when its times come."""
        run, times = self._run, TaskOpened.model_validate(task.fixed)
        moved = cast("int", task.fixed.get("moved", 0))
        for number, (moment, move, due_at) in enumerate(times.moves[moved:], start=moved + 1):
            if await run.wait(step, lambda: step in run.answers, moment):
                break
            moving = MoveTask(**run.common(step), task_id=times.task_id, move=move, due_at=due_at)
            result = await run.effect(MOVE_TASK, moving)
            # The answer may have been recorded while its delivery was still on the way.
            if result.answer is not None:
                run.answers.setdefault(step, result.answer)
                break
            task.fixed["moved"] = number
        return run.answers.pop(step, None)

    async def start(self, journey: type[JourneyRun] | str) -> RunStarted:
        """Enter the player into another journey; its own entry rule and control arm apply."""
        run = self._run
        name = journey if isinstance(journey, str) else journey.definition.name
        step = run.step(f"start:{name}")
        passed_over = Started(refused=MOVED_PAST)
        result = await run.once(START, StartJourney(**run.common(step), start=name), passed_over)
        return RunStarted(result.new_run_id, result.refused)

    async def matches(self, segment: Segment) -> bool:
        """Whether the player is in a segment now, by everything the engine has heard until this moment."""
        run, name = self._run, require_segment(segment, "player.matches(...)").name
        step = run.step(f"matches:{name}")
        result = await run.once(MATCH, Match(**run.common(step), segment=name), Matched(matches=False))
        return result.matches

    async def mark(self, name: str, **detail: JsonValue) -> None:
        """Leave a marker in the run's story, to be counted in funnels."""
        run = self._run
        step = run.step(f"mark:{name}")
        await run.once(MARK, Mark(**run.common(step), name=name, detail=dict(detail)), Done())

    async def webhook(self, name: str, **given: JsonValue) -> None:
        """Tell other systems something: whoever subscribed to `journey.<name>` hears it once it is committed.

        The gate is not asked, for the player hears nothing of it: give ids and figures, and nothing that is to be sent.
        Raises ValueError for more than a receiver takes.
        """
        run, kind = self._run, own_type(name)
        if len(json.dumps(given)) > MOST_DATA:
            raise ValueError(f"player.webhook({name!r}) may say {MOST_DATA:,} characters of JSON; say less.")
        step = run.step(f"webhook:{name}")
        told = Webhook(**run.common(step), name=kind.partition(".")[2], given=dict(given))
        await run.once(WEBHOOK, told, Done())

    async def refresh(self) -> None:
        """Read the player's facts again; until then they are as old as the run's start."""
        run = self._run
        run.facts = await run.once(REFRESH, Refresh(**run.common(run.step("refresh"))), run.facts)

    # ---- waits -------------------------------------------------------------------------------

    async def event(
        self,
        kind: type[E],
        *,
        within: timedelta,
        where: Where | None = None,
        same: str | None = None,
        fresh: bool = False,
    ) -> E | None:
        """Wait for an event of `kind`; None when none came `within` this time.

        `same="payment_id"` takes only an event that says there what the event that started the run says.

        An event that arrived since the run began and was not used yet counts, oldest first, and
        is used up by this wait. `fresh=True` looks only at what arrives from now on.

        A `where` that looks at the event alone is asked before the run is told of it, and what no wait takes wakes
        nobody. One that looks at something of its run, such as the event that started it, hears every event.
        """
        takes = tied(where, same, self._run.input.trigger)
        event: E | None = await self._await(f"event:{kind.__name__}", (kind,), within, takes, fresh=fresh)
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
        fresh: bool = False,
    ) -> Event | None:
        """Wait for the first event of any of `kinds`; None when none came. Made for `match`.

        `where`, `same` and `fresh` are those of `event`, and are asked of every kind.
        """
        names = "|".join(kind.__name__ for kind in kinds)
        takes = tied(where, same, self._run.input.trigger)
        event: Event | None = await self._await(f"first:{names}", kinds, within, takes, fresh=fresh)
        return event

    async def sleep(self, duration: timedelta) -> None:
        """Wait for a time, whatever happens meanwhile; events are kept."""
        run = self._run
        step = run.step("sleep")
        if run.recall(step) is None:
            wait = run.begin(step, until=(run.now + duration).isoformat())
            await run.wait(step, _never, run.end_of(wait, duration))
            run.keep(step, None)

    async def until(
        self, at: str, *, weekday: str | None = None, on: date | None = None, jitter: timedelta = JITTER
    ) -> datetime:
        """Wait until the player's own clock shows `at` ("15:00"), next time or on that day; the moment it waited for.

        It comes for many at once, so each run waits up to `jitter` longer, always as long; `minutes(0)` for the very
        minute. Where the player's zone is unknown the clock is UTC. A date in the past waits for nothing.
        """
        run = self._run
        step = run.step("until")
        known = run.recall(step, self.now.isoformat())
        if known is None:
            wait = run.begin(step, until=self._moment(run.now, at, weekday, on, jitter).isoformat())
            moment = run.end_of(wait, self._moment(wait.began, at, weekday, on, jitter) - wait.began)
            await run.wait(step, _never, moment)
            run.record(step, "reached", moment=moment.isoformat())
            known = run.keep(step, moment.isoformat())
        return datetime.fromisoformat(str(known.outcome))

    def _moment(self, now: datetime, at: str, weekday: str | None, on: date | None, jitter: timedelta) -> datetime:
        """When the player's clock shows `at` next, and this run has waited its share of `jitter`."""
        moment = next_local(now, self.timezone, at, weekday=weekday, on=on)
        return moment + self._run.delay(jitter) if moment > now else moment

    # ---- decisions ---------------------------------------------------------------------------

    def split(self, name: str, **shares: float) -> str:
        """Put the player into one of several parts, in proportion to their shares.

        The same player always falls into the same part of the same split of a journey, also when
        entering again. Other shares move players between parts who come to it then, and none who was there before.
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
        step = run.step(f"split:{name}")
        known = run.recall(step, chosen, said=chosen)
        if known is None:
            run.record(step, chosen)
            known = run.keep(step, chosen)
        return str(known.outcome)

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


match_methods(Player)


def _never() -> bool:
    return False

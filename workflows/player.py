"""`Player`: the verbs a journey is written in.

Every verb returns a value that says what happened. A verb raises nothing for an outcome that can
be expected: a refused message is `Suppressed`, a wait that ended is `None`. Only what cannot be meant, such as a
weekday that does not exist, is a `ValueError`.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast

from pydantic import JsonValue

from workflows.channels import IN_APP, Channel, first_turn
from workflows.effects import (
    CHOOSE,
    GRANT,
    MARK,
    MATCH,
    MOVE_TASK,
    OPEN_TASK,
    PAUSE_PROMOTIONS,
    REFRESH,
    REVOKE,
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
    Question,
    Refresh,
    Send,
    SendResult,
    Started,
    StartJourney,
    TaskOpened,
    Webhook,
)
from workflows.events import FeedbackAnswered
from workflows.forms import Form
from workflows.gate.reasons import BEYOND_BUDGETS
from workflows.grant_approval import GrantApproval
from workflows.local_time import JITTER, days
from workflows.loyalty_verbs import LoyaltyVerbs
from workflows.outgoing_events import MOST_DATA, own_type
from workflows.revocation import Revoke, RevokeResult
from workflows.rewards import Reward, sizing
from workflows.rewards.sizing import Fitted, Limit
from workflows.rules.segments import Segment, require_segment
from workflows.run import JourneyRun
from workflows.run_journal import MOVED_PAST, read_as_kept
from workflows.run_protocol import KnownStep
from workflows.send_choices import BestChannel, BestHour, Choose, Chosen
from workflows.verb_results import Answer, Grant, NoAnswer, Revocation, RunStarted, Sent, Suppressed
from workflows.verb_table import match_methods
from workflows.waiting_player import WaitingPlayer, never

__all__ = ["Player"]

F = TypeVar("F", bound=Form)

#: Between two questions to the gate about one message.
GATE_PAUSE = timedelta(seconds=10)


class Player(LoyaltyVerbs, WaitingPlayer):
    """The player of one run: facts as of the last `refresh`, and everything a journey can do."""

    # ---- effects -----------------------------------------------------------------------------

    async def send(
        self,
        template: str,
        *,
        via: Sequence[Channel] | Channel | BestChannel = ("email",),
        fallback: Sequence[Channel] = (),
        at: BestHour | None = None,
        by: timedelta | None = None,
        jitter: timedelta = JITTER,
        offer: Grant | None = None,
        **variables: JsonValue,
    ) -> Sent | Suppressed:
        """Send a message on every channel of `via`; if none may go, on the first of `fallback`.

        `via=best_channel("email", "push")` takes the one that reaches the player best, `at=best_hour("18:00")` waits
        for the hour at which they usually are here; `by` counts from then on. How it was chosen is kept with the
        message.

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
        channels, instead, chosen = await self._choose(template, via, fallback, at)
        message = Send(
            **run.common(step),
            template=template,
            via=channels,
            fallback=instead,
            variables=dict(variables),
            jitter=jitter,
            offer=None if offer is None else offer.grant_id,
            choice=chosen,
        )
        passed_over = SendResult(suppressed=dict.fromkeys(channels, MOVED_PAST))
        known = run.recall(step, passed_over)
        if known is None:
            result = await self._pass_gate(message, by)
            run.keep(step, result.model_dump(mode="json"))
        else:
            result = SendResult.model_validate(known.outcome)
        return Sent(tuple(result.sent)) if result.sent else Suppressed(result.suppressed)

    async def _choose(
        self,
        template: str,
        via: Sequence[Channel] | Channel | BestChannel,
        fallback: Sequence[Channel],
        at: BestHour | None,
    ) -> tuple[list[Channel], list[Channel], Chosen | None]:
        """The channels of a message, those to fall back on, and how they or its hour were chosen, where they were.

        It is an effect of its own. The channels that were not chosen come before others to fall back on.
        """
        named: list[Channel] = [via] if isinstance(via, str) else list(via)
        best = isinstance(via, BestChannel)
        if at is None and not best:
            return named, list(fallback), None
        run = self._run
        asking = Choose(
            **run.common(run.step(f"choose:{template}")),
            template=template,
            channels=named if best else [],
            otherwise=None if at is None else at.otherwise,
        )
        chosen = await run.once(CHOOSE, asking, Chosen())
        if not best:
            return named, list(fallback), chosen
        first = named[0] if chosen.channel is None else chosen.channel.chosen
        instead = [*(one for one in named if one != first), *fallback]
        return [one for one in named if one == first], instead, chosen

    async def _pass_gate(self, message: Send, by: timedelta | None) -> SendResult:
        """Hand a message over, channel by channel; ask the gate again when quiet hours are over."""
        run, step = self._run, message.step
        hour = None if message.choice is None else message.choice.at
        if hour is not None and hour > run.now:
            # It is asked for when its hour comes: before that nothing makes it late.
            until = (hour + run.delay(message.jitter)).isoformat()
            asking = run.begin(step, asked_at=until, until=until)
        else:
            asking = run.begin(step, asked_at=run.now.isoformat())
        asked_at = datetime.fromisoformat(str(asking.fixed["asked_at"]))
        latest = None if by is None else asked_at + by
        turn, tried = first_turn(message.via, message.fallback), list[Channel]()
        while True:
            if "until" in asking.fixed:
                await run.wait(step, never, datetime.fromisoformat(str(asking.fixed["until"])))
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

    async def survey(
        self,
        template: str,
        *,
        within: timedelta,
        about: str | None = None,
        via: Sequence[Channel] | Channel = IN_APP,
        fallback: Sequence[Channel] = (),
        by: timedelta | None = None,
        **variables: JsonValue,
    ) -> Answer | NoAnswer:
        """Ask one question and wait for its answer: a thumb, yes or no, 0 to 10, or one of several.

        What is asked, and how it is answered, stands in the template. The message carries a link of its own to answer
        by, and the answer comes `within` this time after it went out, or not at all; one that comes later still is a
        `FeedbackAnswered` like any other. `about` is what it is about, such as "free_spins", and `player.liked` knows
        it afterwards. Surveys are messages: consent, caps and quiet hours hold; and nobody is asked who has lost or
        complained within 72 hours. Whatever follows for the player must be the same for every answer.
        """
        run = self._run
        step = run.step(f"survey:{template}")
        known = run.recall(step)
        if known is None:
            asked = Send(
                **run.common(step),
                template=template,
                via=[via] if isinstance(via, str) else list(via),
                fallback=list(fallback),
                variables=dict(variables),
                survey=Question(about=about),
            )
            known = run.keep(step, await self._ask_player(asked, within, by))
        return Answer.read(known.outcome)

    async def _ask_player(self, asked: Send, within: timedelta, by: timedelta | None) -> dict[str, JsonValue]:
        """Put a question to the player and wait: what they answered, or why nobody did."""
        run, step = self._run, asked.step
        asking = run.begin(step, asked_at=run.now.isoformat())
        if "sent" not in asking.fixed:
            result = await self._pass_gate(asked, by)
            if not result.sent:
                return {"reasons": dict(result.suppressed)}
            asking.fixed |= {"sent": [*result.sent], "until": (run.now + within).isoformat()}

        def mine(answer: FeedbackAnswered) -> bool:
            return answer.question_id == asked.key

        until = datetime.fromisoformat(str(asking.fixed["until"]))
        if not await run.wait(step, lambda: run.inbox.oldest((FeedbackAnswered,), mine, 0) is not None, until):
            run.record(step, "timed_out")
            return {}
        answer = cast("FeedbackAnswered", run.inbox.oldest((FeedbackAnswered,), mine, 0))
        run.inbox.use(answer)
        run.record(step, "answered", event_id=answer.event_id)
        return {"kind": answer.kind, "score": answer.score, "choice": answer.choice}

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
        return Grant(result.status, result.grant_id, result.reason, result.provider_ref)

    async def revoke(self, grant: Grant) -> Revocation:
        """Take a reward back that the player has not taken yet; one that was refused is gone already.

        False where the player has used it: what was told about it (`reward.claimed` and further) is believed, and of
        the rest the bonus engine is asked. A reward whose outcome is `unknown` is forbidden to the engine for good.
        """
        run = self._run
        step = run.step("revoke")
        passed_over = RevokeResult(status="kept", reason=MOVED_PAST)
        result = await run.once(REVOKE, Revoke(**run.common(step), grant_id=grant.grant_id), passed_over)
        return Revocation(result.status, result.reason)

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
        """Enter the player into another journey; its own entry rule applies, and the control arm of either."""
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

    def amount(self, declared: Limit) -> int | None:
        """What was declared for the player's currency, and tier where it is by tier, in minor units; None for no offer.

        `amounts(EUR=500, GBP=400)` is never converted: who has another currency, or none that we know, gets none, and
        the story says why.
        """
        return self._size("amount", sizing.declared(declared, self._run.facts.wallet, self.tier))

    def fit(
        self, least: float, most: float, *, of: int, floor: Limit | None = None, ceiling: Limit | None = None
    ) -> int | None:
        """A round amount between `least` and `most` percent of a sum, in minor units; None for no offer.

        `of` is a sum of the player's own money, such as `player.mean_deposit_minor`. It is never more than the band and
        the ceiling and never less than the floor, which are declared by currency and may be by tier. Where nothing
        round is within them, or the currency is not known, there is no offer, and the story says why. Nor is there one
        made to fit a player who objected to being profiled.
        """
        if not 0 < least <= most:
            raise ValueError(f"player.fit({least}, {most}) needs two percentages, the smaller one first.")
        facts = self._run.facts
        if facts.objects_to_profiling:
            return self._size("fit", Fitted(None, "objects_to_profiling"))
        return self._size("fit", sizing.fitted((least, most), of, facts.wallet, self.tier, floor, ceiling))

    def _size(self, name: str, fitted: Fitted) -> int | None:
        run = self._run
        step = run.step(name)
        known = run.recall(step, fitted.minor, said=fitted.why)
        if known is None:
            run.record(step, fitted.why, minor=fitted.minor)
            known = run.keep(step, fitted.minor)
        return known.outcome if isinstance(known.outcome, int) else None


match_methods(Player)

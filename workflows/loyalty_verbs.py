"""The verbs of `Player` that loyalty settles itself: `award`, `multiply`, `spin`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import JsonValue, TypeAdapter

from workflows.effects import (
    AWARD,
    CLOSE_SPIN,
    OFFER_SPIN,
    Award,
    AwardResult,
    CloseSpin,
    OfferSpin,
    SpinGiven,
)
from workflows.known_player import KnownPlayer
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.wheels import Wheel
from workflows.rewards import Reward
from workflows.rewards.loyalty import multiplier
from workflows.run_journal import MOVED_PAST
from workflows.verb_results import Awarded, Multiplied, NotAwarded, Spun, Unplayed

_REWARD: Final[TypeAdapter[Reward | None]] = TypeAdapter(Reward | None)


class LoyaltyVerbs(KnownPlayer):
    """What a journey gives without the bonus engine."""

    async def award(self, reward: Reward, *, into: PointCurrency | str | None = None) -> Awarded | NotAwarded:
        """Give points, tickets, a mission or a tier, exactly once: they are the player's in the moment this returns.

        No bonus engine is asked, and the gate is, as for any reward. Points need `into`: a currency, or the name of one
        that another module of the deployment may declare. Before the gate is asked, what nobody declares is
        `NotAwarded("not_declared")`, and a mission that the player is through with `NotAwarded("mission_completed")`.
        Test the result before telling the player about it.
        """
        if not reward.settled_here or reward.boost is not None:
            raise ValueError(f"player.award(...) gives points and the like; use player.grant for a {reward.kind}.")
        if reward.awarded_points and into is None:
            raise ValueError("player.award(...) gives points into a currency; say into=house_points.")
        run = self._run
        award = Award(**run.common(run.step(f"award:{reward.kind}")), reward=reward, **_named(into))
        result = await run.once(AWARD, award, AwardResult(status="withheld", reason=MOVED_PAST))
        return Awarded() if result.status == "awarded" else NotAwarded(result.reason or "")

    async def multiply(
        self, into: PointCurrency | str, *, by: float, during: timedelta, games: Sequence[str] = ()
    ) -> Multiplied | NotAwarded:
        """Let the player's points count `by` times for what happens from now on for so long, at most five times.

        Of windows that overlap the highest counts. An event counts by its own time, also when it comes late. `into` is
        a currency or its name, as for `award`.
        """
        run = self._run
        reward = multiplier(by, during, games=games)
        of = _named(into)
        award = Award(**run.common(run.step(f"multiply:{of['currency']}")), reward=reward, **of)
        result = await run.once(AWARD, award, AwardResult(status="withheld", reason=MOVED_PAST))
        if result.since is None or result.until is None:
            return NotAwarded(result.reason or "")
        return Multiplied(result.since, result.until)

    async def give_spin(self, wheel: Wheel | str, *, within: timedelta) -> Awarded | NotAwarded:
        """Give the player one spin of a wheel, to be made within this time, and wait for nothing: tell them of it then.

        `wheel` is a wheel or its name, as for `award`. What the player spins is theirs, and this run does not hear of
        it: `spin` waits.
        """
        run = self._run
        of = _of(wheel)
        step = run.step(f"give_spin:{of['wheel']}")
        offer = OfferSpin(**run.common(step), **of, until=run.now + within)
        result = await run.once(OFFER_SPIN, offer, SpinGiven(reason=MOVED_PAST))
        return Awarded() if result.reason is None else NotAwarded(result.reason)

    async def spin(self, wheel: Wheel | str, *, within: timedelta) -> Spun | Unplayed | NotAwarded:
        """Give the player one spin of a wheel and wait for them to make it; what it gave is theirs when this returns.

        A spin of money is paid by the bonus engine. Who does not spin in time has it no more. `wheel` is a wheel or its
        name, as for `award`.
        """
        run = self._run
        step = run.step(f"spin:{_of(wheel)['wheel']}")
        known = run.recall(step)
        if known is None:
            known = run.keep(step, await self._offer_spin(step, wheel, within))
        came = known.outcome if isinstance(known.outcome, dict) else {}
        if "reason" in came:
            return NotAwarded(str(came["reason"]))
        return Spun(_REWARD.validate_python(came["prize"]), str(came["spin_id"])) if came else Unplayed()

    async def _offer_spin(self, step: str, wheel: Wheel | str, within: timedelta) -> dict[str, JsonValue] | None:
        """What a step comes to that gives a spin: what was spun, why it was withheld, or None."""
        run = self._run
        begun = run.journal.entries.get(step)
        if begun is None:
            until = run.now + within
            offered = await run.effect(OFFER_SPIN, OfferSpin(**run.common(step), **_of(wheel), until=until))
            if offered.reason is not None:
                return {"reason": offered.reason}
            begun = run.begin(step, until=until.isoformat())
        if not await run.wait(step, lambda: step in run.answers, datetime.fromisoformat(str(begun.fixed["until"]))):
            closed = await run.effect(CLOSE_SPIN, CloseSpin(**run.common(step)))
            if closed.spun is not None:
                run.answers.setdefault(step, closed.spun)
        spun = run.answers.pop(step, None)
        run.record(step, "unplayed" if spun is None else "spun")
        return spun


def _named(into: PointCurrency | str | None) -> dict[str, Any]:
    """What an award says of its points; how long those of a name last is what the deployment declares."""
    if into is None:
        return {}
    if isinstance(into, str):
        return {"currency": into, "by_name": True}
    return {"currency": into.name, "expires": into.expires}


def _of(wheel: Wheel | str) -> dict[str, Any]:
    """What an effect says of its wheel."""
    return {"wheel": wheel, "by_name": True} if isinstance(wheel, str) else {"wheel": wheel.name}

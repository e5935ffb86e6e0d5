"""What a shadow would have done beside what the live runs did: the same players, step by step, in one brand."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts
from workflows.player_state.shadow_runs import LOST_AFTER
from workflows.rewards import Reward
from workflows.shadows import SHADOW_STOPPED

Side = Literal["live", "shadow"]
#: What a run that goes on has ended as, one whose shadow Temporal has lost, and one that is forgotten.
UNDER_WAY, LOST, FORGOTTEN = "under way", "lost", "forgotten"
#: Steps that are shown; more there are only where a journey goes round and round.
MOST_STEPS: Final = 500

_REWARD: Final[TypeAdapter[Reward]] = TypeAdapter(Reward)


class StepComparison(BaseModel):
    """What one step came to, by outcome, in how many runs: `{"sent": 398, "suppressed: daily_cap": 14}`."""

    step: str = Field(examples=["send:push-nudge#1"])
    live: dict[str, int] = Field(default_factory=dict)
    shadow: dict[str, int] = Field(default_factory=dict)


class CostSum(BaseModel):
    """What rewards may cost, in minor units, as `journeys rehearse` reckons it."""

    grants: int = 0
    most: int = Field(0, description="Of those that have a ceiling.")
    expected: int = Field(0, description="Of those whose cost can be reckoned; matches of deposits count as nothing.")
    unlimited: int = Field(0, description="How many have no ceiling.")


class CostComparison(BaseModel):
    """What the rewards of both sides may cost in one currency."""

    currency: str = Field(examples=["EUR"])
    live: CostSum = Field(default_factory=CostSum)
    shadow: CostSum = Field(default_factory=CostSum)


class EndPair(BaseModel):
    """In how many runs the live one ended so and its shadow so."""

    live: str = Field(examples=["completed"])
    shadow: str = Field(examples=["exit_on:payment.withdrawal_requested"])
    runs: int
    example: str = Field(description="The id of one such live run.")


class ShadowComparison(BaseModel):
    """The live runs that have a shadow, and their shadows."""

    runs: int = Field(description="Live runs with a shadow beside them.")
    under_way: int = Field(description="Shadow runs that go on.")
    steps: list[StepComparison] = Field(description="In the order in which runs come to them.")
    costs: list[CostComparison]
    ends: list[EndPair] = Field(description="Those that end differently first, the most frequent first.")


async def compare(connection: AsyncConnection, shadow_id: int, now: datetime) -> ShadowComparison:
    """Compare a shadow with the live runs beside it, as both stand now."""
    ends = await _ends(connection, shadow_id, now)
    return ShadowComparison(
        runs=sum(one.runs for one in ends),
        under_way=sum(one.runs for one in ends if one.shadow == UNDER_WAY),
        steps=await _steps(connection, shadow_id),
        costs=await _costs(connection, shadow_id, now),
        ends=sorted(ends, key=lambda one: (one.live == one.shadow, -one.runs, one.live, one.shadow)),
    )


async def _ends(connection: AsyncConnection, shadow_id: int, now: datetime) -> list[EndPair]:
    given = {
        "shadow": shadow_id,
        "lost_before": now - LOST_AFTER,
        "under_way": UNDER_WAY,
        "lost": LOST,
        "forgotten": FORGOTTEN,
        "stopped": SHADOW_STOPPED,
    }
    rows = await connection.execute(_ENDS, given)
    return [EndPair(live=row.live, shadow=row.shadow, runs=row.runs, example=row.example) for row in rows]


async def _steps(connection: AsyncConnection, shadow_id: int) -> list[StepComparison]:
    compared: dict[str, StepComparison] = {}
    for row in await connection.execute(_STEPS, {"shadow": shadow_id}):
        if row.step not in compared and len(compared) >= MOST_STEPS:
            continue
        one = compared.setdefault(row.step, StepComparison(step=row.step))
        counts = one.live if row.side == "live" else one.shadow
        counts[row.outcome if row.reason is None else f"{row.outcome}: {row.reason}"] = row.runs
    return [*compared.values()]


class _GrantCount(NamedTuple):
    side: Side
    reward: JsonObject
    currency: str | None
    grants: int


async def _costs(connection: AsyncConnection, shadow_id: int, now: datetime) -> list[CostComparison]:
    rows = [_GrantCount(*row) for row in await connection.execute(_GRANTS, {"shadow": shadow_id})]
    unsaid = str(PlayerFacts.model_fields["currency"].default)
    by_currency: defaultdict[str, list[_GrantCount]] = defaultdict(list)
    for row in rows:
        by_currency[row.currency or unsaid].append(row)
    return [
        CostComparison(currency=currency, live=_sum(counted, "live", now), shadow=_sum(counted, "shadow", now))
        for currency, counted in sorted(by_currency.items())
    ]


def _sum(counted: Sequence[_GrantCount], side: Side, now: datetime) -> CostSum:
    total = CostSum()
    for row in counted:
        if row.side == side:
            cost = _REWARD.validate_python(row.reward).cost(now, ((), ()))
            total.grants += row.grants
            total.most += row.grants * (cost.most or 0)
            total.expected += row.grants * (cost.expected or 0)
            total.unlimited += row.grants if cost.most is None else 0
    return total


_ENDS = text(
    """
    SELECT CASE WHEN r.id IS NULL THEN :forgotten WHEN r.state = 'active' THEN :under_way
                ELSE coalesce(r.outcome, 'ended') END AS live,
           CASE WHEN s.ended_at IS NOT NULL THEN coalesce(s.outcome, 'ended')
                WHEN w.stopped_at IS NOT NULL THEN :stopped
                WHEN s.ends_at < :lost_before THEN :lost ELSE :under_way END AS shadow,
           count(*) AS runs, min(s.beside) AS example
    FROM shadow_runs s JOIN shadows w ON w.id = s.shadow_id LEFT JOIN runs r ON r.id = s.beside
    WHERE s.shadow_id = :shadow
    GROUP BY 1, 2
    """
)
# A run's steps are ordered by how long before its last possible moment they are over, which is one length for all.
_STEPS = text(
    """
    WITH told AS (
        SELECT 'live' AS side, t.step, t.outcome, t.detail, t.at - s.ends_at AS before_end
        FROM shadow_runs s JOIN steps t ON t.run_id = s.beside WHERE s.shadow_id = :shadow
        UNION ALL
        SELECT 'shadow', t.step, t.outcome, t.detail, t.at - s.ends_at
        FROM shadow_runs s JOIN shadow_steps t ON t.run_id = s.id WHERE s.shadow_id = :shadow
    ), said AS (
        SELECT side, step, outcome, before_end,
               CASE WHEN outcome = 'suppressed'
                    THEN (SELECT string_agg(DISTINCT value, ', ' ORDER BY value)
                          FROM jsonb_each_text(detail->'channels'))
                    WHEN outcome = 'refused' THEN coalesce(detail->>'reason', detail->>'refused') END AS reason
        FROM told
        WHERE step <> 'end' AND outcome NOT IN ('waiting', 'held', 'reached')
    )
    SELECT side, step, outcome, reason, count(*) AS runs, avg(avg(before_end)) OVER (PARTITION BY step) AS place
    FROM said GROUP BY side, step, outcome, reason ORDER BY place, step, side, runs DESC, outcome, reason
    """
)
_GRANTS = text(
    """
    WITH given AS (
        SELECT 'live' AS side, s.brand, s.player_id, g.reward
        FROM shadow_runs s JOIN grants g ON g.run_id = s.beside
        WHERE s.shadow_id = :shadow AND g.brand = s.brand AND g.player_id = s.player_id AND g.status = 'confirmed'
        UNION ALL
        SELECT 'shadow', s.brand, s.player_id, t.detail->'reward'
        FROM shadow_runs s JOIN shadow_steps t ON t.run_id = s.id
        WHERE s.shadow_id = :shadow AND t.line = 0 AND t.outcome = 'confirmed' AND t.step LIKE 'grant:%'
    )
    SELECT side, reward, p.state->'facts'->>'currency' AS currency, count(*)
    FROM given LEFT JOIN players p ON p.brand = given.brand AND p.id = given.player_id
    GROUP BY side, reward, currency
    """
)

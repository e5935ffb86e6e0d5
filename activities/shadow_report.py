"""What a shadow would have done beside what the live runs did: the same players, step by step, in one brand."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from workflows.events import DepositApproved
from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts
from workflows.player_state.shadow_runs import LOST_AFTER
from workflows.rewards import Reward
from workflows.rewards.base import Deposits
from workflows.rewards.kinds import DEPOSIT_KINDS
from workflows.shadows import SHADOW_STOPPED

Side = Literal["live", "shadow"]
#: What a run that goes on has ended as, one whose shadow Temporal has lost, and one that is forgotten.
UNDER_WAY, LOST, FORGOTTEN = "under way", "lost", "forgotten"
#: Runs that are compared, about: of more a sample.
MOST_COMPARED: Final = 5_000
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
    expected: int = Field(0, description="Of those that can be reckoned; a match by the deposit that came.")
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
    compared: int = Field(
        description=f"Runs that steps, costs and ends are of: all, or of more than {MOST_COMPARED:,} about so many, "
        "always the same ones."
    )
    steps: list[StepComparison] = Field(description="In the order in which runs come to them.")
    steps_left: int = Field(0, description=f"How many steps came after the {MOST_STEPS} that are told here.")
    costs: list[CostComparison]
    ends: list[EndPair] = Field(description="Those that end differently first, the most frequent first.")


async def compare(connection: AsyncConnection, shadow_id: int, now: datetime) -> ShadowComparison:
    """Compare a shadow with the live runs beside it, as both stand now."""
    counted = (await connection.execute(_COUNT, {"shadow": shadow_id, "lost_before": now - LOST_AFTER})).one()
    share = 1.0 if counted.runs <= MOST_COMPARED else MOST_COMPARED / counted.runs
    compared = [*(await connection.execute(_SAMPLE, {"shadow": shadow_id, "share": share})).scalars()]
    ends = await _ends(connection, compared, now)
    steps, left = await _steps(connection, compared)
    return ShadowComparison(
        runs=counted.runs,
        under_way=counted.under_way,
        compared=len(compared),
        steps=steps,
        steps_left=left,
        costs=await _costs(connection, compared, now),
        ends=sorted(ends, key=lambda one: (one.live == one.shadow, -one.runs, one.live, one.shadow)),
    )


async def _ends(connection: AsyncConnection, compared: Sequence[str], now: datetime) -> list[EndPair]:
    given = {
        "runs": compared,
        "lost_before": now - LOST_AFTER,
        "under_way": UNDER_WAY,
        "lost": LOST,
        "forgotten": FORGOTTEN,
        "stopped": SHADOW_STOPPED,
    }
    rows = await connection.execute(_ENDS, given)
    return [EndPair(live=row.live, shadow=row.shadow, runs=row.runs, example=row.example) for row in rows]


async def _steps(connection: AsyncConnection, runs: Sequence[str]) -> tuple[list[StepComparison], int]:
    compared: dict[str, StepComparison] = {}
    left = set[str]()
    for row in await connection.execute(_STEPS, {"runs": runs}):
        if row.step not in compared and len(compared) >= MOST_STEPS:
            left.add(row.step)
            continue
        one = compared.setdefault(row.step, StepComparison(step=row.step))
        counts = one.live if row.side == "live" else one.shadow
        counts[row.outcome if row.reason is None else f"{row.outcome}: {row.reason}"] = row.runs
    return [*compared.values()], len(left)


class _GrantCount(NamedTuple):
    side: Side
    reward: JsonObject
    currency: str | None
    grants: int
    #: Of a reward for a deposit: whose it is and since when. All others are counted together.
    player_id: str | None
    at: datetime | None


async def _costs(connection: AsyncConnection, runs: Sequence[str], now: datetime) -> list[CostComparison]:
    given = {"runs": runs, "kinds": [*DEPOSIT_KINDS]}
    rows = [_GrantCount(*row) for row in await connection.execute(_GRANTS, given)]
    deposits = await _deposits(connection, runs, rows)
    unsaid = str(PlayerFacts.model_fields["currency"].default)
    by_currency: defaultdict[str, list[_GrantCount]] = defaultdict(list)
    for row in rows:
        by_currency[row.currency or unsaid].append(row)
    return [
        CostComparison(
            currency=currency,
            live=_sum(counted, "live", deposits, now),
            shadow=_sum(counted, "shadow", deposits, now),
        )
        for currency, counted in sorted(by_currency.items())
    ]


async def _deposits(
    connection: AsyncConnection, runs: Sequence[str], rows: Sequence[_GrantCount]
) -> dict[str, Deposits]:
    """By player: the approved deposits since the first reward for one, up to now."""
    since = {row.player_id: row.at for row in rows if row.player_id is not None and row.at is not None}
    if not since:
        return {}
    given = {"runs": runs, "players": [*since], "since": min(since.values()), "type": DepositApproved.type}
    found: defaultdict[str, tuple[list[datetime], list[int]]] = defaultdict(lambda: ([], []))
    for player_id, at, amount in await connection.execute(_DEPOSITS, given):
        times, amounts = found[player_id]
        times.append(at)
        amounts.append(amount)
    return dict(found)


def _sum(counted: Sequence[_GrantCount], side: Side, deposits: Mapping[str, Deposits], now: datetime) -> CostSum:
    total = CostSum()
    for row in counted:
        if row.side == side:
            mine = deposits.get(row.player_id or "", ((), ()))
            cost = _REWARD.validate_python(row.reward).cost(row.at or now, mine)
            total.grants += row.grants
            total.most += row.grants * (cost.most or 0)
            total.expected += row.grants * (cost.expected or 0)
            total.unlimited += row.grants if cost.most is None else 0
    return total


# Always the same runs, whoever asks and whenever.
_SAMPLE = text(
    """
    SELECT id FROM shadow_runs
    WHERE shadow_id = :shadow AND (hashtext(id)::bigint + 2147483648) / 4294967296.0::float8 < CAST(:share AS float8)
    """
)
_COUNT = text(
    """
    SELECT count(*) AS runs,
           count(*) FILTER (
               WHERE s.ended_at IS NULL AND w.stopped_at IS NULL AND s.ends_at >= :lost_before) AS under_way
    FROM shadow_runs s JOIN shadows w ON w.id = s.shadow_id WHERE s.shadow_id = :shadow
    """
)
_RUNS: Final = bindparam("runs", type_=ARRAY(Text))
_ENDS = text(
    """
    SELECT CASE WHEN r.id IS NULL THEN :forgotten WHEN r.state = 'active' THEN :under_way
                ELSE coalesce(r.outcome, 'ended') END AS live,
           CASE WHEN s.ended_at IS NOT NULL THEN coalesce(s.outcome, 'ended')
                WHEN w.stopped_at IS NOT NULL THEN :stopped
                WHEN s.ends_at < :lost_before THEN :lost ELSE :under_way END AS shadow,
           count(*) AS runs, min(s.beside) AS example
    FROM shadow_runs s JOIN shadows w ON w.id = s.shadow_id LEFT JOIN runs r ON r.id = s.beside
    WHERE s.id = ANY(:runs)
    GROUP BY 1, 2
    """
).bindparams(_RUNS)
# A run's steps are ordered by how long before its last possible moment they are over, which is one length for all.
_STEPS = text(
    """
    WITH told AS (
        SELECT 'live' AS side, t.step, t.outcome, t.detail, t.at - s.ends_at AS before_end
        FROM shadow_runs s JOIN steps t ON t.run_id = s.beside WHERE s.id = ANY(:runs)
        UNION ALL
        SELECT 'shadow', t.step, t.outcome, t.detail, t.at - s.ends_at
        FROM shadow_runs s JOIN shadow_steps t ON t.run_id = s.id WHERE s.id = ANY(:runs)
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
).bindparams(_RUNS)
_GRANTS = text(
    """
    WITH given AS (
        SELECT 'live' AS side, s.brand, s.player_id, g.reward, coalesce(g.resolved_at, g.created_at) AS at
        FROM shadow_runs s JOIN grants g ON g.run_id = s.beside
        WHERE s.id = ANY(:runs) AND g.brand = s.brand AND g.player_id = s.player_id AND g.status = 'confirmed'
        UNION ALL
        SELECT 'shadow', s.brand, s.player_id, t.detail->'reward', t.at
        FROM shadow_runs s JOIN shadow_steps t ON t.run_id = s.id
        WHERE s.id = ANY(:runs) AND t.line = 0 AND t.outcome = 'confirmed' AND t.step LIKE 'grant:%'
    )
    SELECT side, reward, p.state->'facts'->>'currency' AS currency, count(*),
           CASE WHEN reward->>'kind' = ANY(:kinds) THEN given.player_id END AS player,
           CASE WHEN reward->>'kind' = ANY(:kinds) THEN given.at END AS since
    FROM given LEFT JOIN players p ON p.brand = given.brand AND p.id = given.player_id
    GROUP BY side, reward, currency, player, since
    """
).bindparams(_RUNS, bindparam("kinds", type_=ARRAY(Text)))
_DEPOSITS = text(
    """
    SELECT e.player_id, e.occurred_at, CAST(e.data->>'amount_minor' AS bigint)
    FROM events e
    WHERE e.brand = (SELECT s.brand FROM shadow_runs s WHERE s.id = ANY(:runs) LIMIT 1)
      AND e.player_id = ANY(:players) AND e.type = :type AND e.occurred_at >= :since
    ORDER BY e.occurred_at, e.seq
    """
).bindparams(_RUNS, bindparam("players", type_=ARRAY(Text)))

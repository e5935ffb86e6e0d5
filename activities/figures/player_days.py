"""The table `player_days`: what each player did on each day, folded from events in one statement a batch.

Only this module writes it. A day is one of UTC. What was received after figures of a day were taken counts as known on
the day after, so figures that were taken come out the same again.
"""

from datetime import date
from typing import Final

from sqlalchemy import Date, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from workflows.rewards.lives import REWARD_ENDS


def _sum(field: str, *types: str, sign: str = "", where: str = "") -> str:
    kinds = ", ".join(f"'{one}'" for one in types)
    also = f" AND {where}" if where else ""
    return f"{sign}coalesce(sum(CAST(data ->> '{field}' AS bigint)) FILTER (WHERE type IN ({kinds}){also}), 0)"


def _count(*types: str) -> str:
    kinds = ", ".join(f"'{one}'" for one in types)
    return f"count(*) FILTER (WHERE type IN ({kinds}))"


_OF_DEPOSIT: Final = "coalesce(data ->> 'of', 'deposit') = 'deposit'"
#: Each column, and what of the events of a player, a day and a currency it is.
COLUMNS: Final = {
    "registered": _count("player.registered"),
    "logins": _count("session.login"),
    "deposits": _count("payment.deposit_approved"),
    "rounds": f"{_count('game.round_completed')} - {_count('game.round_voided')}",
    "bets": _count("sport.bet_placed"),
    "reward_ends": _count(*REWARD_ENDS),
    "harm_signals": _count("compliance.harm_signal"),
    "deposited": _sum("amount_minor", "payment.deposit_approved"),
    "fees": _sum("fee_minor", "payment.deposit_approved"),
    "reversed": _sum("amount_minor", "payment.reversed", where=_OF_DEPOSIT),
    "withdrawn": f"{_sum('amount_minor', 'payment.withdrawal_completed')} "
    f"- {_sum('amount_minor', 'payment.reversed', where=f'NOT {_OF_DEPOSIT}')}",
    "staked": f"{_sum('stake_minor', 'game.round_completed')} - {_sum('stake_minor', 'game.round_voided')}",
    "won": f"{_sum('win_minor', 'game.round_completed')} - {_sum('win_minor', 'game.round_voided')}",
    "bet_staked": _sum("stake_minor", "sport.bet_placed", where="data ->> 'freebet_grant_id' IS NULL"),
    "bet_paid": _sum("payout_minor", "sport.bet_settled"),
    "bonus_cost": _sum("cost_minor", *REWARD_ENDS),
}
_NPS: Final = (
    "(array_agg(CAST(data ->> 'score' AS integer) ORDER BY occurred_at DESC, seq DESC)"
    " FILTER (WHERE type = 'feedback.answered' AND data ->> 'kind' = 'nps'))[1]"
)
#: Types that count.
TYPES: Final = (
    *("player.registered", "session.login", "payment.deposit_approved", "payment.reversed"),
    *("payment.withdrawal_completed", "game.round_completed", "game.round_voided", "sport.bet_placed"),
    *("sport.bet_settled", "compliance.harm_signal", "feedback.answered", *REWARD_ENDS),
)
_FOLD: Final = text(
    f"""
    INSERT INTO player_days (brand, player_id, day, currency, known_on, {", ".join(COLUMNS)}, nps)
    SELECT brand, player_id, day, currency, known_on, {", ".join(COLUMNS.values())}, {_NPS}
    FROM (
        SELECT brand, player_id, type, data, occurred_at, seq, coalesce(data ->> 'currency', '') AS currency,
               CAST(CASE WHEN type = 'game.round_voided' THEN CAST(data ->> 'played_at' AS timestamptz)
                         ELSE occurred_at END AT TIME ZONE 'UTC' AS date) AS day,
               greatest(CAST(received_at AT TIME ZONE 'UTC' AS date), :open) AS known_on
        FROM events WHERE seq > :after AND seq <= :until AND type = ANY(:types)
    ) AS told
    GROUP BY brand, player_id, day, currency, known_on ORDER BY brand, player_id, day, currency, known_on
    ON CONFLICT (brand, player_id, day, currency, known_on) DO UPDATE SET
        {", ".join(f"{column} = player_days.{column} + excluded.{column}" for column in COLUMNS)},
        nps = coalesce(excluded.nps, player_days.nps)
    """  # noqa: S608 - our own words
).bindparams(bindparam("types", [*TYPES], type_=ARRAY(Text)), bindparam("open", type_=Date))


async def fold_events(connection: AsyncConnection, after: int, until: int, first_open: date | None) -> int:
    """Add the events with numbers above `after` up to `until`; how many days of players they touched.

    Must run in the transaction that moves the cursor. `first_open` is the first day that nothing was taken of yet.
    """
    given = {"after": after, "until": until, "open": first_open or date.min}
    return (await connection.execute(_FOLD, given)).rowcount


#: Forgets up to `:limit` days of players from before `:before`.
FORGET: Final = text(
    """
    DELETE FROM player_days WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM player_days WHERE day < CAST(:before AS date) LIMIT :limit))
    """
)

"""What the bonus engine told of grants in events, one row a grant; `rewards.py` alone writes the table."""

from typing import Final

from workflows.rewards.lives import REWARD_ENDS

_ENDS: Final = ", ".join(f"'{end}'" for end in REWARD_ENDS)


def lives(which: str) -> str:
    """How grants `g` change by events `e` about grants `w`, of which `which` says which: what an `UPDATE` sets.

    What came first stays, of costs the highest, and hearing an event again changes nothing. Answers with those that
    were told of, and by how much they cost more than before.
    """
    return f"""
    SET claimed_at = least(g.claimed_at, t.claimed), activated_at = least(g.activated_at, t.activated),
        expires_at = coalesce(t.expires, g.expires_at), ended_at = least(g.ended_at, t.ended),
        ended_as = coalesce(g.ended_as, t.ended_as), cost_minor = greatest(g.cost_minor, t.cost),
        cost_currency = coalesce(g.cost_currency, t.currency)
    FROM ({_told(which)}) t JOIN grants was ON was.id = t.id
    WHERE g.id = t.id
    RETURNING g.run_id, g.step, t.at, was.claimed_at IS NULL AND g.claimed_at IS NOT NULL AS is_claimed,
        coalesce(g.cost_minor, 0) - coalesce(was.cost_minor, 0) AS cost, g.cost_currency AS currency
    """


def _told(which: str) -> str:
    """Of these events: of each moment the first, of costs the highest."""
    return f"""
    SELECT w.id, min(e.occurred_at) FILTER (WHERE e.type = 'reward.claimed') AS claimed,
           min(e.occurred_at) FILTER (WHERE e.type = 'reward.activated') AS activated,
           max(CAST(e.data ->> 'expires_at' AS timestamptz)) AS expires,
           min(e.occurred_at) FILTER (WHERE e.type IN ({_ENDS})) AS ended,
           (array_agg(substr(e.type, 8) ORDER BY e.occurred_at, e.seq) FILTER (WHERE e.type IN ({_ENDS})))[1]
           AS ended_as, max(CAST(e.data ->> 'cost_minor' AS bigint)) FILTER (WHERE e.type IN ({_ENDS})) AS cost,
           max(coalesce(e.data ->> 'currency', '')) AS currency, max(e.occurred_at) AS at
    FROM events e JOIN grants w ON w.brand = e.brand AND w.player_id = e.player_id
     AND e.data ->> 'grant_id' IN (w.id, w.provider_ref)
    WHERE {which} AND e.type LIKE 'reward.%'
    GROUP BY w.id
    """  # noqa: S608 - our own words

"""What the bonus engine told of grants in events, one row a grant; `rewards.py` alone writes the table."""

from typing import Final

from workflows.rewards.lives import REWARD_ENDS

_ENDS: Final = ", ".join(f"'{end}'" for end in REWARD_ENDS)
#: Of the events with numbers from `:after` to `:until`: of each moment the first, of costs the highest.
TOLD: Final = f"""
    SELECT w.id, min(e.occurred_at) FILTER (WHERE e.type = 'reward.claimed') AS claimed,
           min(e.occurred_at) FILTER (WHERE e.type = 'reward.activated') AS activated,
           max(CAST(e.data ->> 'expires_at' AS timestamptz)) AS expires,
           min(e.occurred_at) FILTER (WHERE e.type IN ({_ENDS})) AS ended,
           (array_agg(substr(e.type, 8) ORDER BY e.occurred_at, e.seq) FILTER (WHERE e.type IN ({_ENDS})))[1]
           AS ended_as, max(CAST(e.data ->> 'cost_minor' AS bigint)) FILTER (WHERE e.type IN ({_ENDS})) AS cost,
           max(coalesce(e.data ->> 'currency', '')) AS currency, max(e.occurred_at) AS at
    FROM events e JOIN grants w ON w.brand = e.brand AND w.player_id = e.player_id
     AND e.data ->> 'grant_id' IN (w.id, w.provider_ref)
    WHERE e.seq > :after AND e.seq <= :until AND e.type LIKE 'reward.%'
    GROUP BY w.id
"""  # noqa: S608 - our own words

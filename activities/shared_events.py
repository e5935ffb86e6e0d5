"""Which events have an index of their own, in the words of SQL: those other accounts share, and those scores read."""

from typing import Final

#: A few of a player's many events, so that the index on them costs the others nothing but the look. A query is given it
#: where this stands in it word for word; `merging.is_shared` says which of these count.
SHARED_EVENTS: Final = (
    "(type IN ('compliance.exclusion_set', 'compliance.harm_signal', 'consent.changed', 'message.received', "
    "'player.merged', 'player.status_changed')"
    " OR type = 'message.status' AND data ->> 'status' IN ('complained', 'unsubscribed'))"
)

#: What scores are told by, and what was told of them: read player by player, of all players of a brand.
SCORED_EVENTS: Final = "type IN ('payment.deposit_approved', 'score.changed')"

"""The questions that figures answer, each as one statement over what is counted.

All take `:brand`, the days `:since` and `:until` of a period, and `:as_of`: the last day whose word counts.
"""

from typing import Final

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

#: Net gaming revenue of a day, in minor units.
NGR: Final = "staked - won + bet_staked - bet_paid - bonus_cost - fees - reversed"
_CAME: Final = "logins + rounds + bets + deposits > 0"
_KNOWN: Final = "d.brand = :brand AND d.known_on <= :as_of"
_IN_PERIOD: Final = f"{_KNOWN} AND d.day >= :since AND d.day < :until"
# A row a moment of UTC: days are days of it.
_MOMENT: Final = "(CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'"

#: Sums of a period, for everybody and by the segments players were in when it began.
SUMS: Final = text(
    f"""
    WITH days AS (
        SELECT d.player_id, d.currency, sum(d.registered) AS registered, sum(d.deposited) AS deposited,
               sum({NGR}) AS ngr, sum(d.harm_signals) AS harm_signals, sum(d.rounds) AS rounds, sum(d.bets) AS bets,
               sum(d.reward_ends) AS reward_ends, bool_or({_CAME}) AS came
        FROM player_days d WHERE {_IN_PERIOD} GROUP BY d.player_id, d.currency
    ), parts AS (
        SELECT '' AS split_by, '' AS part, days.* FROM days
        UNION ALL
        SELECT 'segment', m.segment, days.* FROM days
        JOIN memberships m ON m.brand = :brand AND m.player_id = days.player_id
         AND m.entered_at < {_MOMENT} AND (m.left_at IS NULL OR m.left_at >= {_MOMENT})
    )
    SELECT split_by, part, currency, sum(registered) AS registered, sum(deposited) AS deposited, sum(ngr) AS ngr,
           sum(harm_signals) AS harm_signals, sum(rounds) AS rounds, sum(bets) AS bets,
           sum(reward_ends) AS reward_ends
    FROM parts GROUP BY split_by, part, currency ORDER BY split_by, part, currency
    """  # noqa: S608 - our own words
)
#: Players who came in a period, on how many days, and how many came in the 30 days until its end.
VISITS: Final = text(
    f"""
    WITH days AS (
        SELECT d.player_id, d.day FROM player_days d
        WHERE {_KNOWN} AND d.day >= CAST(:until AS date) - 30 AND d.day < :until
        GROUP BY d.player_id, d.day HAVING bool_or({_CAME})
    )
    SELECT count(DISTINCT player_id) FILTER (WHERE day >= :since) AS players,
           count(*) FILTER (WHERE day >= :since) AS days, count(DISTINCT player_id) AS monthly
    FROM days
    """  # noqa: S608 - our own words
)
#: Who deposited in the 30 days before `:since`, and who of them did not in the 30 from then on.
CHURN: Final = text(
    f"""
    WITH days AS (
        SELECT d.player_id, bool_or(d.day < :since) AS before, bool_or(d.day >= :since) AS after
        FROM player_days d
        WHERE {_KNOWN} AND d.deposits > 0
          AND d.day >= CAST(:since AS date) - 30 AND d.day < CAST(:since AS date) + 30
        GROUP BY d.player_id
    ), parts AS (
        SELECT '' AS split_by, '' AS part, NOT after AS gone FROM days WHERE before
        UNION ALL
        SELECT 'segment', m.segment, NOT after FROM days
        JOIN memberships m ON m.brand = :brand AND m.player_id = days.player_id
         AND m.entered_at < {_MOMENT} AND (m.left_at IS NULL OR m.left_at >= {_MOMENT})
        WHERE before
    )
    SELECT split_by, part, count(*) AS players, count(*) FILTER (WHERE gone) AS hits
    FROM parts GROUP BY split_by, part ORDER BY split_by, part
    """  # noqa: S608 - our own words
)
_REGISTERED: Final = f"""
    SELECT d.player_id, min(d.day) AS day FROM player_days d WHERE {_IN_PERIOD} AND d.registered > 0
    GROUP BY d.player_id
"""  # noqa: S608 - our own words
#: Of who registered in a period: who came `:later` days after that.
RETENTION: Final = text(
    f"""
    WITH cohort AS ({_REGISTERED})
    SELECT count(*) AS players, count(*) FILTER (WHERE EXISTS (
        SELECT FROM player_days d WHERE {_KNOWN} AND d.player_id = c.player_id AND d.day = c.day + :later AND {_CAME}
    )) AS hits
    FROM cohort c
    """  # noqa: S608 - our own words
)
_FIRST_DEPOSITS: Final = f"""
    SELECT d.player_id, min(d.day) AS day, min(d.deposits) FILTER (WHERE d.day = first.day) AS deposits
    FROM player_days d JOIN (
        SELECT d.player_id, min(d.day) AS day FROM player_days d
        WHERE {_KNOWN} AND d.deposits > 0 AND d.player_id IN (
            SELECT d.player_id FROM player_days d WHERE {_IN_PERIOD} AND d.deposits > 0)
        GROUP BY d.player_id
    ) first ON first.player_id = d.player_id
    WHERE {_KNOWN} AND d.deposits > 0 AND first.day >= :since AND first.day < :until
    GROUP BY d.player_id
"""  # noqa: S608 - our own words
FIRST_DEPOSITORS: Final = text(f"SELECT count(*) AS players FROM ({_FIRST_DEPOSITS}) AS cohort")  # noqa: S608 - our own words
#: Of who deposited for the first time in a period: who did again on that day or within `:later` days.
REPEAT_DEPOSITS: Final = text(
    f"""
    WITH cohort AS ({_FIRST_DEPOSITS})
    SELECT count(*) AS players, count(*) FILTER (WHERE (
        SELECT sum(d.deposits) FROM player_days d
        WHERE {_KNOWN} AND d.player_id = c.player_id AND d.day >= c.day AND d.day <= c.day + :later
    ) > 1) AS hits
    FROM cohort c
    """  # noqa: S608 - our own words
)
#: What who registered in a period brought in so many days from then on, by currency.
COHORT_MONEY: Final = text(
    f"""
    WITH cohort AS ({_REGISTERED}), money AS (
        SELECT c.player_id, d.currency, sum(d.deposited) AS deposited, sum({NGR}) AS ngr,
               sum(d.rounds + d.bets) AS games, sum(d.reward_ends) AS reward_ends
        FROM cohort c JOIN player_days d
          ON {_KNOWN} AND d.player_id = c.player_id AND d.day >= c.day AND d.day < c.day + :later
        GROUP BY c.player_id, d.currency
    )
    SELECT currency, (SELECT count(*) FROM cohort) AS players, sum(deposited) AS deposited, sum(ngr) AS ngr,
           sum(CAST(deposited AS float8) ^ 2) AS deposited_squares, sum(CAST(ngr AS float8) ^ 2) AS ngr_squares,
           sum(games) AS games, sum(reward_ends) AS reward_ends
    FROM money GROUP BY currency ORDER BY currency
    """  # noqa: S608 - our own words
)
#: The newest answer of each player in the 90 days until the period's end.
NPS: Final = text(
    f"""
    WITH newest AS (
        SELECT DISTINCT ON (d.player_id) d.nps FROM player_days d
        WHERE {_KNOWN} AND d.nps IS NOT NULL AND d.day >= CAST(:until AS date) - 90 AND d.day < :until
        ORDER BY d.player_id, d.day DESC, d.known_on DESC
    )
    SELECT count(*) AS answers, count(*) FILTER (WHERE nps >= 9) AS promoters,
           count(*) FILTER (WHERE nps <= 6) AS detractors
    FROM newest
    """  # noqa: S608 - our own words
)
#: Of rewards granted in a period: how many are over, and how many of these were taken; by kind and by journey.
REDEMPTION: Final = text(
    """
    WITH given AS (
        SELECT kind, journey, claimed_at IS NOT NULL OR activated_at IS NOT NULL AS taken,
               expires_at IS NOT NULL AND expires_at + interval '48 hours' < CAST(:as_of AS date) + 1 AS over,
               expires_at IS NULL AS unknown
        FROM grants WHERE brand = :brand AND status = 'confirmed'
          AND created_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND created_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
    ), parts AS (
        SELECT '' AS split_by, '' AS part, given.* FROM given
        UNION ALL SELECT 'kind', kind, given.* FROM given
        UNION ALL SELECT 'journey', journey, given.* FROM given
    )
    SELECT split_by, part, count(*) AS given, count(*) FILTER (WHERE over) AS over,
           count(*) FILTER (WHERE over AND taken) AS taken, count(*) FILTER (WHERE unknown) AS unknown
    FROM parts GROUP BY split_by, part ORDER BY split_by, part
    """
)
#: Rewards that were granted in a period.
GRANTED: Final = text(
    """
    SELECT count(*) AS grants FROM grants WHERE brand = :brand AND status = 'confirmed'
      AND created_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
      AND created_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
    """
)
#: Contacts of a period, one a step, and those that sell nothing; by journey.
CONTACTS: Final = text(
    """
    WITH contacts AS (
        SELECT journey, run_id, step, bool_or(message_class = 'marketing' AND template = ANY(:selling)) AS sells
        FROM messages WHERE brand = :brand AND handed_over_at IS NOT NULL
          AND created_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND created_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
        GROUP BY journey, run_id, step
    )
    SELECT CASE WHEN GROUPING(journey) = 1 THEN '' ELSE 'journey' END AS split_by, coalesce(journey, '') AS part,
           count(*) AS contacts, count(*) FILTER (WHERE NOT sells) AS plain
    FROM contacts GROUP BY GROUPING SETS ((), (journey)) ORDER BY 1, 2
    """
).bindparams(bindparam("selling", type_=ARRAY(Text)))
#: How long it took from what let players in, of a sample of a period's runs, to the first word or reward.
RECOGNITION: Final = text(
    """
    WITH begun AS (
        SELECT id, trigger FROM runs
        WHERE brand = :brand AND arm = 'treated' AND trigger ->> 'type' LIKE '%.%'
          AND entered_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND entered_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
        ORDER BY hashtext(id) LIMIT :sample
    ), waited AS (
        SELECT extract(epoch FROM least(
            (SELECT min(handed_over_at) FROM messages m WHERE m.run_id = b.id),
            (SELECT min(resolved_at) FROM grants g WHERE g.brand = :brand AND g.player_id = e.player_id
              AND g.run_id = b.id AND g.status = 'confirmed')) - e.occurred_at) AS seconds
        FROM begun b
        JOIN event_ids i
          ON i.identity = event_identity(CAST(:brand AS text), b.trigger ->> 'source', b.trigger ->> 'id')
        JOIN events e ON e.seq = i.seq AND e.received_at = i.received_at AND NOT e.history
    )
    SELECT count(seconds) AS runs, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds) AS parts
    FROM waited WHERE seconds IS NOT NULL
    """
)
#: Tasks that people answered in a period and how long they were at it, 60 minutes at most; by who answered.
TASK_TIME: Final = text(
    """
    WITH answered AS (
        SELECT t.answered_by, t.form = ANY(:with_players) AS with_players, t.closed_at <= t.due_at AS in_time,
               least(60.0, greatest(0.0, extract(epoch FROM t.closed_at - c.at) / 60)) AS minutes
        FROM tasks t LEFT JOIN LATERAL (
            SELECT max(h.at) AS at FROM task_history h
            WHERE h.task_id = t.id AND h.action = 'claimed' AND h.at <= t.closed_at
        ) c ON true
        WHERE t.brand = :brand AND t.state = 'completed'
          AND t.closed_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND t.closed_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
    )
    SELECT CASE WHEN GROUPING(answered_by) = 1 THEN '' ELSE 'manager' END AS split_by,
           coalesce(answered_by, '') AS part, count(*) AS tasks, count(minutes) AS timed,
           coalesce(sum(minutes), 0) AS minutes, coalesce(sum(minutes) FILTER (WHERE with_players), 0) AS with_players
    FROM answered GROUP BY GROUPING SETS ((), (answered_by)) ORDER BY 1, 2
    """
).bindparams(bindparam("with_players", type_=ARRAY(Text)))
#: Tasks that were due in a period, and those that were answered by then; by who answered.
DUE_TASKS: Final = text(
    """
    WITH due AS (
        SELECT coalesce(answered_by, assignee) AS who, state = 'completed' AND closed_at <= due_at AS in_time
        FROM tasks WHERE brand = :brand AND state <> 'cancelled'
          AND due_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND due_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
    )
    SELECT CASE WHEN GROUPING(who) = 1 THEN '' ELSE 'manager' END AS split_by, coalesce(who, '') AS part,
           count(*) AS due, count(*) FILTER (WHERE in_time) AS in_time
    FROM due GROUP BY GROUPING SETS ((), (who)) HAVING GROUPING(who) = 1 OR who IS NOT NULL ORDER BY 1, 2
    """
)
#: Who looks after how many players at a period's end, of how many anything is noted, and greetings that were due
#: in it and did not reach them in time.
PORTFOLIOS: Final = text(
    """
    WITH hosted AS (
        SELECT h.person_id, h.player_id,
               EXISTS (SELECT FROM player_notes n WHERE n.brand = h.brand AND n.player_id = h.player_id) AS known
        FROM player_hosts h WHERE h.brand = :brand
          AND h.since < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
          AND (h.until IS NULL OR h.until >= (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC')
    ), greetings AS (
        SELECT h.person_id, count(*) AS due,
               count(*) FILTER (WHERE NOT (t.state = 'completed' AND t.closed_at <= t.due_at)) AS missed
        FROM tasks t JOIN hosted h ON h.player_id = t.player_id
        WHERE t.brand = :brand AND t.form = ANY(:greetings) AND t.state <> 'cancelled'
          AND t.due_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND t.due_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
        GROUP BY h.person_id
    )
    SELECT p.email AS address, count(*) AS players, count(*) FILTER (WHERE h.known) AS known,
           coalesce(max(g.due), 0) AS greetings, coalesce(max(g.missed), 0) AS missed
    FROM hosted h JOIN people p ON p.id = h.person_id LEFT JOIN greetings g ON g.person_id = h.person_id
    GROUP BY p.id, p.email ORDER BY p.email
    """
).bindparams(bindparam("greetings", type_=ARRAY(Text)))
#: First entries of players into a journey in a period, by arm, with what each brought in 30 days by currency.
# Who was sent on by another journey has that one's arm too: its control group would weigh more in this one's.
FIRST_ENTRIES: Final = text(
    f"""
    WITH entries AS (
        SELECT DISTINCT ON (r.player_id) r.player_id, r.arm, r.id, r.entered_at, r.goal_at, r.trigger, r.segments
        FROM runs r WHERE r.brand = :brand AND r.journey = :journey AND coalesce(r.outcome, '') NOT LIKE 'refused:%'
          AND r.entered_at >= (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC'
          AND r.entered_at < (CAST(:until AS date))::timestamp AT TIME ZONE 'UTC'
          AND NOT EXISTS (SELECT FROM runs b WHERE b.brand = r.brand AND b.player_id = r.player_id
                          AND b.journey = r.journey
                          AND b.entered_at < (CAST(:since AS date))::timestamp AT TIME ZONE 'UTC')
        ORDER BY r.player_id, r.entered_at, r.id
    )
    SELECT e.player_id, e.arm, e.entered_at, e.segments,
           coalesce(nullif(p.state -> 'facts' ->> 'jurisdiction', ''), p.state -> 'facts' ->> 'country')
           AS jurisdiction, p.state -> 'accounts' AS accounts,
           e.goal_at IS NOT NULL AND e.goal_at < e.entered_at + interval '30 days' AS reached,
           money.ngr, coalesce(money.games, 0) AS games, coalesce(money.reward_ends, 0) AS reward_ends,
           (SELECT count(*) FROM grants g WHERE g.brand = :brand AND g.player_id = e.player_id
             AND g.status = 'confirmed' AND g.created_at >= e.entered_at
             AND g.created_at < e.entered_at + interval '30 days') AS granted,
           (SELECT coalesce(sum(g.cost_minor), 0) FROM grants g
            WHERE g.brand = :brand AND g.player_id = e.player_id AND g.run_id = e.id) AS bonus_cost,
           (SELECT array_agg(DISTINCT coalesce(g.cost_currency, '')) FROM grants g
            WHERE g.brand = :brand AND g.player_id = e.player_id AND g.run_id = e.id AND g.cost_minor <> 0)
           AS cost_currencies,
           (SELECT array_agg(DISTINCT g.kind) FROM grants g WHERE g.brand = :brand AND g.player_id = e.player_id
             AND g.run_id = e.id AND g.status = 'confirmed') AS kinds
    FROM entries e LEFT JOIN players p ON p.brand = :brand AND p.id = e.player_id
    LEFT JOIN LATERAL (
        SELECT jsonb_object_agg(currency, ngr) AS ngr, sum(games) AS games, sum(reward_ends) AS reward_ends FROM (
            SELECT d.currency, sum({NGR}) AS ngr, sum(d.rounds + d.bets) AS games, sum(d.reward_ends) AS reward_ends
            FROM player_days d
            WHERE {_KNOWN} AND d.player_id = e.player_id AND d.day >= CAST(e.entered_at AT TIME ZONE 'UTC' AS date)
              AND d.day < CAST(e.entered_at AT TIME ZONE 'UTC' AS date) + 30
            GROUP BY d.currency) AS sums) AS money ON true
    WHERE e.trigger ->> 'type' IS DISTINCT FROM 'run' ORDER BY e.player_id
    """  # noqa: S608 - our own words
)

"""The tables of what is counted. `activities.tables` has them too."""

from sqlalchemy import BigInteger, Column, Date, Float, Identity, Index, Integer, Table, Text, text

from activities.table_columns import instant, metadata, now_by_default, texts

# How far each follower has counted. `as_of`: everything committed before then is counted. `closed`: the last day of
# which figures were taken, so that nothing counts as known on it any more.
followers = Table(
    "followers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, server_default=text("0")),
    Column("beside", BigInteger, nullable=False, server_default=text("0")),
    instant("as_of"),
    Column("closed", Date),
)

# What a player did on a day of UTC, by what was known of it when: a later word is a row of its own, so that a figure of
# the past comes out the same again. Amounts are minor units; currency '' is that of the player's account.
player_days = Table(
    "player_days",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "player_id")),
    Column("day", Date, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("known_on", Date, primary_key=True),
    *(
        Column(name, Integer, nullable=False, server_default=text("0"))
        for name in ("registered", "logins", "deposits", "rounds", "bets", "reward_ends", "harm_signals")
    ),
    *(
        Column(name, BigInteger, nullable=False, server_default=text("0"))
        for name in ("deposited", "fees", "reversed", "withdrawn", "staked", "won", "bet_staked", "bet_paid")
    ),
    Column("bonus_cost", BigInteger, nullable=False, server_default=text("0")),
    # The newest answer to "would you recommend us", 0 to 10.
    Column("nps", Integer),
    Index("ix_player_days_day", "brand", "day"),
)

# What happens to runs, in an order: entered, refused, moved from a release and to one, goal, ended. `runs` says how it
# is, this what is yet to be counted.
run_changes = Table(
    "run_changes",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    *texts("brand", "run_id", "kind"),
    Column("version", Integer, nullable=False),
    instant("at", nullable=False),
    now_by_default("noted_at"),
)

# Where the runs under way stand, as far as it is counted.
run_places = Table(
    "run_places",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("step", Text, nullable=False),
)

# Journeys in numbers: what happened on a day of UTC, for everybody (`split_by` is '') and for each segment that players
# were in when they entered, and each part of a split they came to.
journey_days = Table(
    "journey_days",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "journey")),
    Column("day", Date, primary_key=True),
    Column("version", Integer, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("arm", "split_by", "part", "step", "what", "reason")),
    Column("currency", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False, server_default=text("0")),
)

# How many runs under way stand at each step; '' is before the first one.
journey_places = Table(
    "journey_places",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "journey")),
    Column("version", Integer, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("arm", "step")),
    Column("runs", BigInteger, nullable=False),
)

# Figures as they were taken, of a period that begins on `starts`, with what was known at the end of `as_of`. Without a
# value `reason` says why there is none.
figures = Table(
    "figures",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name", "period")),
    Column("starts", Date, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("split_by", "part", "currency")),
    Column("as_of", Date, primary_key=True),
    *(Column(name, Float) for name in ("value", "low", "high")),
    Column("n", BigInteger, nullable=False),
    Column("of", BigInteger),
    Column("immature", BigInteger, nullable=False, server_default=text("0")),
    Column("reason", Text),
    now_by_default("taken_at"),
    Index("ix_figures_newest", "brand", "as_of", "period"),
)

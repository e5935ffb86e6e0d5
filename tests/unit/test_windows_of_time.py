"""Night, caps and cool-offs together: in every zone, at every hour of a leap year, with clocks that are an hour off."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import pytest

from tests.support.gate import DAY, FREE, HOUSE, TICK, message
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import Contact, GrantFacts
from workflows.gate.policy import Policy, strictest

HOUR: Final = timedelta(hours=1)
COOL_OFF: Final = 7 * DAY
POLICY: Final = strictest([HOUSE, Policy(name="x", cooling_off=COOL_OFF)])
POINTS: Final = GrantFacts(kind="points", journey_product="casino", value=0)
ZONES: Final = sorted(available_timezones())
LEAP_YEAR: Final = [datetime(2028, 1, 1, tzinfo=UTC) + number * HOUR for number in range(366 * 24)]
#: How long ago the player got messages, and by which rule the next one is refused by day.
GOT: Final[Sequence[tuple[Sequence[timedelta], str | None]]] = [
    ([], None),
    ([DAY], None),
    ([DAY - TICK], "daily-cap"),
    ([timedelta(0)], "daily-cap"),
    # By a clock that was an hour ahead.
    ([-HOUR], "daily-cap"),
    ([2 * DAY, 3 * DAY, 4 * DAY, 7 * DAY], None),
    ([2 * DAY, 3 * DAY, 4 * DAY, 7 * DAY - TICK], "weekly-cap"),
    ([2 * DAY, 3 * DAY, 4 * DAY, 7 * DAY - HOUR], "weekly-cap"),
]
#: How long ago an exclusion has ended, and whether the player is left alone for it.
ENDED: Final[Sequence[tuple[timedelta | None, bool]]] = [
    (None, False),
    (None, False),
    (None, False),
    (COOL_OFF, False),
    (COOL_OFF - TICK, True),
    (COOL_OFF - HOUR, True),
    (timedelta(0), True),
    (-HOUR, True),
]


def judge(names: Iterable[str], hours: Sequence[datetime], seed: int) -> dict[str, int]:
    """Ask the gate in each of these zones at each of these hours about one of the cases; how often it said what."""
    chance, said = Random(seed), dict[str, int]()
    for name in names:
        zone, facts = ZoneInfo(name), replace(FREE, timezone=name)
        for now in hours:
            (got, cap), (ended, waits) = chance.choice(GOT), chance.choice(ENDED)
            one = replace(
                facts,
                contacts=[Contact(now - ago, "email", f"r/s#{number}") for number, ago in enumerate(got)],
                ended_exclusions=() if ended is None else (now - ended,),
            )
            decision = may_send(one, message(), POLICY, now)
            is_day = 8 <= now.astimezone(zone).hour < 22
            rule = None if isinstance(decision, Allowed) else decision.rule
            assert rule == ("cooling-off" if waits else cap if is_day else "quiet-hours"), (name, now, got, ended)
            assert isinstance(decision, Wait) == (rule == "quiet-hours"), (name, now)
            said[str(rule)] = said.get(str(rule), 0) + 1
            if not chance.randrange(8):
                granted = may_grant(one, POINTS, POLICY, now)
                assert isinstance(granted, Refusal) is waits, (name, now, ended)
    return said


def test_night_caps_and_cool_offs_hold_to_the_moment_in_some_zones() -> None:
    names = ["UTC", "Europe/Kyiv", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Antarctica/Troll"]
    said = judge(names, LEAP_YEAR[::7], seed=1)
    assert said.keys() == {"None", "quiet-hours", "daily-cap", "weekly-cap", "cooling-off"}
    assert min(said.values()) > 200


@pytest.mark.slow  # five million hours
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(12))
def test_night_caps_and_cool_offs_hold_in_every_zone_at_every_hour_of_a_leap_year(part: int) -> None:
    names = ZONES[part::12]
    for number, name in enumerate(names):
        judge([name], LEAP_YEAR, seed=part * 1_000 + number)
        logging.getLogger(__name__).info("%s: %d of %d zones of this part", name, number + 1, len(names))

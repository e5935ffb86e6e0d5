"""What the demo plays: a past, and the live events that follow it, from a real log or from the synthetic casino."""

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from content.row_mapping import RowIds
from local.demo.player_profiles import person
from local.demo.synthetic_casino import METHODS, CloudEvent, casino, cloud_event
from workflows.events import DepositApproved, PlayerRegistered

LOG_SOURCE = "/casino-log"
#: In a log that spans it, what happened before this is history.
SPLIT = datetime(2020, 2, 1, tzinfo=UTC)
#: In any other, what happened earlier than so long before its end.
LAST_MONTH = timedelta(days=30)
#: In one that is shorter than that, this much of its time.
PAST = 0.75
COLUMNS = ("player_id", "ts_utc", "amount_usd")


class DemoError(Exception):
    """The demo cannot be played; the message says what to do."""


@dataclass(frozen=True)
class Script:
    """The events of a demo, in order. A live event's time is only a place; it gets the moment it is sent."""

    title: str
    history: list[CloudEvent]
    live: list[CloudEvent]

    @property
    def deposits(self) -> dict[str, int]:
        """Approved deposits in each part."""
        return {
            part: sum(event["type"] == DepositApproved.wire_type for event in events)
            for part, events in (("history", self.history), ("live", self.live))
        }


def synthetic(seed: int, now: datetime, players: int) -> Script:
    """The synthetic casino: one newcomer for every three players with a past."""
    made = casino(seed, now, players=players, newcomers=max(10, players // 3))
    return Script(f"a synthetic casino of {players} players, seed {seed}", made.history, made.live)


def from_log(path: Path, now: datetime) -> Script:
    """A real log of deposits, its split shifted to `now`, each player registered just before the first deposit.

    The split is 2020-02-01 where the log spans it, else the midnight a month before its last deposit.
    Only the deposits are real: language, consent and addresses are made up from the player's id. Raises DemoError.
    """
    if not path.is_file():
        raise DemoError(f"There is no log at {path}; name a CSV with {', '.join(COLUMNS[:-1])} and {COLUMNS[-1]}.")
    history: list[CloudEvent] = []
    live: list[CloudEvent] = []
    known: set[str] = set()
    deposits = sorted(_deposits(path), key=lambda one: one[1].occurred_at)
    split = _split(path, [deposit.occurred_at for _, deposit in deposits])
    for player_id, deposit in deposits:
        part = history if deposit.occurred_at < split else live
        at = deposit.occurred_at + (now - split)
        if player_id not in known:
            known.add(player_id)
            part.append(cloud_event(player_id, _registration(player_id, at - timedelta(seconds=1))))
        part.append(cloud_event(player_id, deposit.model_copy(update={"occurred_at": at})))
    return Script(f"the deposits of {path.name}, live from {split:%Y-%m-%d} on", history, live)


def _split(path: Path, times: list[datetime]) -> datetime:
    """Where the past ends, so that there are deposits before and from then on; `times` are in order."""
    if not times or times[0] == times[-1]:
        raise DemoError(f"{path} needs deposits at two different times at least: a past, and what happens live.")
    first, last = times[0], times[-1]
    if first < SPLIT <= last:
        return SPLIT
    month = (last - LAST_MONTH).replace(hour=0, minute=0, second=0, microsecond=0)
    return month if first < month else first + (last - first) * PAST


def _deposits(path: Path) -> Iterator[tuple[str, DepositApproved]]:
    try:
        file = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise DemoError(f"{path} cannot be read: {error.strerror}.") from None
    ids = RowIds()
    with file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DemoError(f"{path} has no column {missing[0]}; a log needs {', '.join(COLUMNS)}.")
        for row in reader:
            try:
                yield _deposit(row, ids.of(row, DepositApproved.type))
            except (ValueError, TypeError, InvalidOperation) as error:
                raise DemoError(f"{path}, line {reader.line_num}, is not a deposit: {error}") from None


def _deposit(row: dict[str, str], event_id: str) -> tuple[str, DepositApproved]:
    player_id, at = row["player_id"], datetime.fromisoformat(row["ts_utc"])
    at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    deposit = DepositApproved(
        event_id=event_id,
        event_source=LOG_SOURCE,
        occurred_at=at,
        payment_id=event_id,
        amount_minor=round(Decimal(row["amount_usd"]) * 100),
        currency="USD",
        method=METHODS[zlib.crc32(player_id.encode()) % len(METHODS)],
        provider="casino-log",
    )
    return player_id, deposit


def _registration(player_id: str, at: datetime) -> PlayerRegistered:
    who = person(player_id)
    return PlayerRegistered(
        event_id=f"{player_id}-registered",
        event_source=LOG_SOURCE,
        occurred_at=at,
        username=who.username,
        email=who.email,
        phone=who.phone,
        first_name=who.first_name,
        birth_date=who.birth_date,
        country=who.country,
        language=who.language,
        timezone=who.timezone,
        currency="USD",
        opted_in=who.opted_in,
    )

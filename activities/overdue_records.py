"""Which records have had their time, by the jurisdiction of their player: a part of the statements that forget them.

Each table's module has the statement; what all of them ask stands here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.countries import in_iso
from workflows.record_keeping import RecordClass, RecordPeriod, period_of_records

#: In place of a jurisdiction: every one that has no word of its own.
EVERYWHERE: Final = "*"
#: A player's jurisdiction, as their row has it.
_PLACE: Final = "coalesce(p.state -> 'facts' ->> 'jurisdiction', p.state -> 'facts' ->> 'country')"


#: What comes by itself, long after a player has gone.
_BY_ITSELF: Final = "'{derived.%,loyalty.%,reward.%,score.%,task.%,message.status}'"


def _heard(player: str) -> str:
    """When something was heard of a player's row, by what they did; where the row has none of it, its last change."""
    return f"""
        coalesce((SELECT max(CAST(told.at AS timestamptz)) FROM jsonb_each_text({player}.state -> 'last')
                  AS told (type, at) WHERE NOT told.type LIKE ANY ({_BY_ITSELF})), {player}.updated_at)
    """  # noqa: S608 - our own words


def overdue(table: str, at: str) -> str:
    """FROM and WHERE of the rows `r` of a table that are over at `:due`, as `as_due` writes it; `at` is their moment.

    Of an unknown player, and of one whose jurisdiction nobody knows, the place is null. Who was merged away is heard of
    as long as the account that stayed.
    """
    return f"""
        FROM {table} r
        LEFT JOIN players p ON p.brand = r.brand AND p.id = r.player_id
        LEFT JOIN players s ON s.brand = p.brand AND s.id = p.state ->> 'merged_into'
        JOIN json_to_recordset(CAST(:due AS json)) AS d (place text, before timestamptz, unheard timestamptz)
          ON d.place IS NOT DISTINCT FROM {_PLACE}
        WHERE r.{at} < d.before AND r.{at} < d.unheard
          AND greatest(r.{at}, {_heard("p")}, {_heard("s")}) < d.unheard
    """


class DuePlace(NamedTuple):
    """From when on records of players of a place are kept: their own moment, and the last that was heard of them."""

    #: As players' rows have it; None for who has none.
    place: str | None
    jurisdiction: str | None
    period: RecordPeriod

    def at(self, now: datetime) -> dict[str, str | None]:
        """As the statements read it; only of what is not kept for ever."""
        assert self.period.wish is not None
        before, unheard = now - self.period.wish, now - self.period.duty
        return {"place": self.place, "before": before.isoformat(), "unheard": unheard.isoformat()}


def as_due(places: Iterable[DuePlace], now: datetime) -> str:
    """The parameter `:due`."""
    return orjson.dumps([one.at(now) for one in places]).decode()


async def due_places(
    connection: AsyncConnection,
    record_class: RecordClass,
    records: timedelta | None,
    most: Mapping[str, Mapping[RecordClass, timedelta]],
    day: date,
) -> list[DuePlace]:
    """The places of players whose records of a class are not kept for ever.

    `records` is how long every record is kept, `most` by jurisdiction and class. Reads the place of every player, and
    nothing where everything is kept for ever.
    """
    if records is None and not any(record_class in one for one in most.values()):
        return []
    places: Sequence[str | None] = [None, *(await connection.execute(_PLACES)).scalars()]
    found = []
    for place in places:
        jurisdiction = None if place is None else in_iso(place)
        wishes = [records, *wishes_of(record_class, jurisdiction, most)]
        period = period_of_records(record_class, jurisdiction, wishes, day)
        if period.wish is not None:
            found.append(DuePlace(place, jurisdiction, period))
    return found


def wishes_of(
    record_class: RecordClass, jurisdiction: str | None, most: Mapping[str, Mapping[RecordClass, timedelta]]
) -> list[timedelta | None]:
    """What a deployment says of a class: for the region, its country, and everybody."""
    names = [EVERYWHERE]
    if jurisdiction is not None:
        names += [jurisdiction, jurisdiction.partition("-")[0]]
    return [most[name].get(record_class) for name in dict.fromkeys(names) if name in most]


_PLACES: Final = text(f"SELECT DISTINCT {_PLACE} AS place FROM players p WHERE {_PLACE} IS NOT NULL")  # noqa: S608 - our own words

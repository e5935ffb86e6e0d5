"""How long records must be kept: what laws say, from a day on, by jurisdiction and class of data.

Nothing is forgotten here. The longest duty that applies wins over every wish to keep less, and of wishes the shortest
counts. A law whose period no source in reach says is not here: it then is for `RETAIN_RECORDS` and `RETAIN_MOST`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

from workflows.gate.policies.gdpr import COUNTRIES
from workflows.gate.policy import within

#: `money`: payments and rewards. `protection`: exclusions, consents, who the player is, and what people answered.
RecordClass = Literal["money", "protection"]
RECORD_CLASSES: Final[tuple[RecordClass, ...]] = get_args(RecordClass)
#: Types of events of a class, as LIKE reads them.
EVENTS_OF: Final[Mapping[RecordClass, tuple[str, ...]]] = MappingProxyType(
    {"money": ("payment.%",), "protection": ("compliance.%", "consent.%", "player.%")}
)
#: Five years, as long as any five are.
FIVE_YEARS: Final = timedelta(days=1_827)


@dataclass(frozen=True, slots=True)
class LegalDuty:
    """What a law says from a day on; the next of its name takes its place.

    `least` counts from the end of the business relationship: from the last that was heard of the player.
    """

    name: str
    since: date
    jurisdiction: str
    least: Mapping[RecordClass, timedelta]
    source: str


#: Directive (EU) 2015/849 had to be law in every member state by 26 June 2017 (art. 67). It keeps transactions,
#: and what due diligence found of who the customer is: that is among `protection`, so all of this class stays as long.
#: Great Britain has the same period in regulations of its own.
DUTIES: Final = (
    *(
        LegalDuty(
            f"AML-{country}",
            date(2017, 6, 26),
            country,
            MappingProxyType({"money": FIVE_YEARS, "protection": FIVE_YEARS}),
            "Directive (EU) 2015/849, art. 40" if country != "GB" else "Money Laundering Regulations 2017, reg. 40",
        )
        for country in COUNTRIES
    ),
)


@dataclass(frozen=True, slots=True)
class RecordPeriod:
    """How long records of a class are kept, by who asks for it. `wish` of None is for ever."""

    wish: timedelta | None
    duty: timedelta
    sources: tuple[str, ...] = ()


def period_of_records(
    record_class: RecordClass,
    jurisdiction: str | None,
    wishes: Iterable[timedelta | None],
    day: date,
    duties: Iterable[LegalDuty] = DUTIES,
) -> RecordPeriod:
    """How long records of a class of players of a jurisdiction are kept on a day.

    Of whom nobody knows the jurisdiction every law might be theirs. A duty counts from the last that was heard of the
    player, a wish from the record itself; a record goes when both are over.
    """
    known = [wish for wish in wishes if wish is not None]
    owed = [one for one in _in_force(duties, day) if record_class in one.least and _concerns(one, jurisdiction)]
    longest = max((one.least[record_class] for one in owed), default=timedelta(0))
    sources = sorted({one.source for one in owed if one.least[record_class] == longest})
    return RecordPeriod(min(known, default=None), longest, tuple(sources))


def _in_force(duties: Iterable[LegalDuty], day: date) -> list[LegalDuty]:
    newest: dict[str, LegalDuty] = {}
    for one in duties:
        if one.since <= day and (one.name not in newest or newest[one.name].since < one.since):
            newest[one.name] = one
    return [*newest.values()]


def _concerns(duty: LegalDuty, jurisdiction: str | None) -> bool:
    if jurisdiction is None:
        return True
    return within(jurisdiction, duty.jurisdiction) or duty.jurisdiction.startswith(f"{jurisdiction}-")

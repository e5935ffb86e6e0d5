"""Who is not to be asked how they like it: a player who has just lost, or has just complained."""

from typing import Final, Literal

from workflows.events import Event, RoundCompleted, SupportCaseOpened
from workflows.local_time import DAY
from workflows.rules.measures import Held, Measure, Present, count, total, value

Soreness = Literal["none", "loss", "complaint"]
#: For how long, and up to a day longer: what is counted leaves in slices of a day.
SORE_FOR: Final = 3 * DAY


def _lost(played: RoundCompleted) -> int:
    return played.stake_minor - played.win_minor


def _complains(case: Event) -> bool:
    return isinstance(case, SupportCaseOpened) and case.topic == "complaint"


LOST: Final = total(RoundCompleted, _lost, last=SORE_FOR, name="lost_lately")
COMPLAINTS: Final = count(SupportCaseOpened, where=_complains, last=SORE_FOR, name="complained_lately")
#: Kept of every player where a journey asks a survey, and of nobody else.
SORE_MEASURES: Final[tuple[Measure, ...]] = (LOST, COMPLAINTS)


def soreness(series: dict[str, Held], present: Present) -> Soreness:
    """Why the player is not to be asked. In real money: what was won meanwhile is taken off what was lost."""
    if value(series.get(COMPLAINTS.series, {}), COMPLAINTS, present) > 0:
        return "complaint"
    return "loss" if value(series.get(LOST.series, {}), LOST, present) > 0 else "none"

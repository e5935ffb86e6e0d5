"""Who is not to be asked how they like it: a player who has just lost, or has just complained."""

from typing import Final, Literal

from workflows.events import BetPlaced, BetSettled, Event, RoundCompleted, RoundVoided, SupportCaseOpened
from workflows.local_time import DAY
from workflows.rules.measures import Held, Measure, Present, count, total
from workflows.rules.series import value

Soreness = Literal["none", "loss", "complaint"]
#: For how long, and up to a day longer: what is counted leaves in slices of a day.
SORE_FOR: Final = 3 * DAY


def _lost(played: RoundCompleted | RoundVoided) -> int:
    return played.stake_minor - played.win_minor


def _taken_back(voided: RoundVoided) -> int:
    """What a round had cost that counts here still; one of long ago takes nothing off what was lost since."""
    return _lost(voided) if voided.occurred_at - voided.played_at <= SORE_FOR else 0


def _staked(placed: BetPlaced) -> int:
    return placed.stake_minor if placed.freebet_grant_id is None else 0


def _complains(case: Event) -> bool:
    return isinstance(case, SupportCaseOpened) and case.topic == "complaint"


LOST: Final = total(RoundCompleted, _lost, last=SORE_FOR, name="lost_lately")
VOIDED: Final = total(RoundVoided, _taken_back, last=SORE_FOR, name="voided_lately")
STAKED: Final = total(BetPlaced, _staked, last=SORE_FOR, name="bet_lately")
PAID: Final = total(BetSettled, "payout_minor", last=SORE_FOR)
COMPLAINTS: Final = count(SupportCaseOpened, where=_complains, last=SORE_FOR, name="complained_lately")
#: Kept of every player where a journey asks a survey, and of nobody else.
SORE_MEASURES: Final[tuple[Measure, ...]] = (LOST, VOIDED, STAKED, PAID, COMPLAINTS)


def soreness(series: dict[str, Held], present: Present) -> Soreness:
    """Why the player is not to be asked. In real money: what was won meanwhile is taken off what was lost.

    A bet that is not settled yet counts as lost: nobody asks while the money is at stake.
    """

    def lately(measure: Measure) -> int:
        return value(series.get(measure.series, {}), measure, present)

    if lately(COMPLAINTS) > 0:
        return "complaint"
    lost = lately(LOST) - lately(VOIDED) + lately(STAKED) - lately(PAID)
    return "loss" if lost > 0 else "none"

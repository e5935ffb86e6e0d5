"""Signs of gambling harm as a player's row holds them: dated, weighed and fading by declared rules.

A sign is an indicator with a strength and a moment, told by event or derived by a marker. What all weigh together at a
moment is a pure function, `strength_of`, which the gate asks under the policy of that moment. Strong ones do not fade:
they hold until a trained person has judged (GB LCCP SR 3.4.3 requirements 10 and 11).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from workflows.events import HarmReviewed, HarmSignal, PromotionsPaused
from workflows.local_time import hours
from workflows.player_state.harm_markers import MarkerNotes
from workflows.player_state.ordering import Word
from workflows.player_state.sparse_storage import parts_of, sparse

STRENGTHS: Final = ("none", "weak", "medium", "strong")
#: What a sign weighs, and how heavy all of them must be together for that strength: three medium ones are strong.
WEIGHTS: Final[Mapping[str, int]] = MappingProxyType({"weak": 1, "medium": 3, "strong": 9})
#: Signs that a row holds; of more, the oldest that is not strong goes.
MOST_SIGNS: Final = 40
#: The indicators of what a reviewer found, and of signs that are strong together.
REVIEW, TOGETHER = "review", "together"


@dataclass(slots=True)
class HarmWatch:
    """What is known of one player's signs of harm, and of what was done about them."""

    #: By "indicator/strength": when it was last seen.
    signs: dict[str, datetime] = field(default_factory=dict)
    #: The newest review by a person.
    reviewed_at: datetime | None = None
    #: The task that a person is to judge by, while it is open.
    review: str | None = None
    #: Until then nothing is sold or given.
    paused_until: datetime | None = None
    notes: MarkerNotes = field(default_factory=MarkerNotes)

    def learn(self, event: HarmSignal | HarmReviewed | PromotionsPaused, word: Word) -> bool:
        """Learn a sign, a pause or a judgement; whether it was a judgement that stands in the place of all before."""
        match event:
            case HarmSignal():
                self.see(event.indicator, event.strength, word)
            case PromotionsPaused():
                self.pause_until(word.at + hours(event.hours))
            case HarmReviewed():
                return self.judge(event, word)
        return False

    def see(self, indicator: str, strength: str, word: Word) -> None:
        """Note a sign. It counts when it comes, whatever was judged before it; in history its own time orders it."""
        at, reviewed = word.at, self.reviewed_at
        if reviewed is not None and at <= reviewed:
            if not word.live:
                return
            at = reviewed + timedelta.resolution
        name = f"{indicator}/{strength}"
        self.signs[name] = max(at, self.signs.get(name, at))
        fading = [one for one in self.signs if not is_strong(one)]
        if len(self.signs) > MOST_SIGNS and fading:
            del self.signs[min(fading, key=lambda one: (self.signs[one], one))]

    def judge(self, event: HarmReviewed, word: Word) -> bool:
        """Let a person's judgement stand in the place of what was seen until then. False: a newer one stands."""
        if self.reviewed_at is not None and word.at <= self.reviewed_at:
            return False
        self.reviewed_at = word.at
        self.signs = {name: at for name, at in self.signs.items() if at > word.at}
        if event.to != "none":
            self.signs[f"{REVIEW}/{event.to}"] = word.at
        if event.task_id in {None, self.review}:
            self.review = None
        return True

    def pause_until(self, moment: datetime) -> None:
        """Pause promotions until then at least."""
        self.paused_until = max(moment, self.paused_until or moment)

    def take_over(self, other: "HarmWatch") -> None:
        """Know what is known of the same person at another account; what is lifted there stays here."""
        for name, at in other.signs.items():
            self.signs[name] = max(at, self.signs.get(name, at))
        if other.paused_until is not None:
            self.pause_until(other.paused_until)
        self.review = self.review or other.review

    def stored(self) -> dict[str, Any]:
        """What of it is not empty, in live values."""
        values = sparse(self, _WATCH)
        if "notes" in values:
            values["notes"] = sparse(self.notes, _NOTES)
        return values


_WATCH: Final = parts_of(HarmWatch)
_NOTES: Final = parts_of(MarkerNotes)


def is_strong(name: str) -> bool:
    """Whether a sign, by its name, is a strong one."""
    return name.endswith("/strong")


def strength_of(signs: Mapping[str, datetime], fades_after: Mapping[Any, timedelta], now: datetime) -> str:
    """How strong signs of harm are together at a moment: none, weak, medium or strong.

    A weak sign weighs 1, a medium one 3, a strong one 9; 3 together are medium, 9 strong. Of one indicator the heaviest
    counts. A medium sign weighs like a weak one in the second half of the time that `fades_after` gives its strength,
    and nothing when that is over, which is exactly at its end; a strength without a time, strong among them, does not
    fade.
    """
    weights: dict[str, int] = {}
    for name, at in signs.items():
        indicator, _, strength = name.rpartition("/")
        weights[indicator] = max(weights.get(indicator, 0), _weight(strength, at, fades_after.get(strength), now))
    together = sum(weights.values())
    return max((one for one, needed in WEIGHTS.items() if together >= needed), key=STRENGTHS.index, default="none")


def stronger(one: str, other: str) -> str:
    """The stronger of two; a strength that nobody knows is the strongest of all."""
    return max(one, other, key=lambda name: STRENGTHS.index(name) if name in STRENGTHS else len(STRENGTHS))


def _weight(strength: str, at: datetime, fades: timedelta | None, now: datetime) -> int:
    whole = WEIGHTS.get(strength, WEIGHTS["strong"])
    if fades is None or strength == "strong":
        return whole
    age = now - at
    if age >= fades:
        return 0
    return min(whole, WEIGHTS["weak"]) if age >= fades / 2 else whole

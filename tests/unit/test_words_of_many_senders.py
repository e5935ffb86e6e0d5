"""Many senders speak of one player at once, each with a clock of its own, late, again and out of order.

What is promised of each subject by itself in `test_word_order` holds of all of them together: no word on one subject
touches another, the last No that was received holds, and hearing it all once more changes nothing but for the safer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import NOON
from tests.support.told import SKEW, SUBJECTS, Told
from workflows import MessageStatus, days, minutes
from workflows.player_state.state import Mode

#: Subjects that are judged by themselves; of the two ways to end an account the one, and of exclusions their own.
ALONE: Final = ("consent", "closed", "exclusion", "email", "timezone", "birth_date")
#: Kept of a player, in which two lives may differ.
PARTS: Final = ("consents", "status", "status_since", "timed_status", "exclusions", "facts", "born", "bounces")


@dataclass(frozen=True)
class Spoken:
    """A word as one sender said it."""

    subject: str
    is_no: bool
    #: What its sender's clock said.
    claimed: datetime
    #: When it reached us.
    received: datetime
    #: A No to mail that comes from the mail provider: the player complained, or unsubscribed there.
    by_provider: str | None = None

    def reaches(self, told: Told, *, mode: Mode = "live") -> None:
        no, yes, _ = SUBJECTS[self.subject]
        if self.is_no and self.by_provider is not None and self.subject == "consent":
            told.hears(MessageStatus, self.claimed, mode=mode, channel="email", status=self.by_provider)
            return
        kind, data = no if self.is_no else yes
        told.hears(kind, self.claimed, mode=mode, **data)


def in_force(told: Told, subject: str) -> bool:
    """Whether the No holds, whatever else may protect the player too."""
    match subject:
        case "closed":
            return told.state.status == "closed"
        case "exclusion":
            return any(block.kind == "self_exclusion" for block in told.state.exclusions)
        case _:
            _, _, holds = SUBJECTS[subject]
            return holds(told)


@st.composite
def conversations(draw: st.DrawFn) -> list[Spoken]:
    """What reaches us, in the order in which it does: new words and old ones again, of up to four senders."""
    clocks = draw(st.lists(st.integers(-SKEW * 60, SKEW * 60), min_size=1, max_size=4))
    now, said = NOON, list[Spoken]()
    for _ in range(draw(st.integers(1, 16))):
        now += timedelta(seconds=draw(st.integers(0, 400)))
        if draw(st.booleans()) and said:
            old = draw(st.sampled_from(said))
            said.append(replace(old, received=now))
            continue
        late = timedelta(minutes=draw(st.sampled_from([0, 0, 0, 1, 7, 90])))
        skew = timedelta(seconds=draw(st.sampled_from(clocks)))
        provider = draw(st.sampled_from([None, None, "complained", "unsubscribed"]))
        said.append(Spoken(draw(st.sampled_from(ALONE)), draw(st.booleans()), now - late + skew, now, provider))
    return said


def life(words: Sequence[Spoken], *, mode: Mode = "live") -> Told:
    told = Told()
    told.registers(NOON - days(60))
    for word in words:
        told.now = max(told.now, word.received)
        word.reaches(told, mode=mode)
    return told


def kept(told: Told) -> Iterator[tuple[str, Any]]:
    for part in PARTS:
        value = getattr(told.state, part)
        # Blocks stand in the order in which they were set.
        yield part, sorted(value, key=str) if isinstance(value, list) else value
    yield "profile", told.profile


@given(conversations())
@settings(max_examples=examples(150, quick=40))
def test_no_word_on_one_subject_touches_another(words: list[Spoken]) -> None:
    together = life(words)
    for subject in ALONE:
        alone = life([word for word in words if word.subject == subject])
        assert in_force(together, subject) == in_force(alone, subject), subject


@given(conversations())
@settings(max_examples=examples(150, quick=40))
def test_the_last_no_of_whomever_holds_until_a_newer_yes_reaches_us(words: list[Spoken]) -> None:
    told = life([])
    last_no: dict[str, datetime] = {}
    first: dict[tuple[str, bool, datetime], datetime] = {}
    for word in words:
        told.now = word.received
        before = in_force(told, word.subject)
        word.reaches(told)
        order = min(word.claimed, first.setdefault((word.subject, word.is_no, word.claimed), word.received))
        if word.is_no:
            assert in_force(told, word.subject)
            last_no[word.subject] = order
        elif before and word.subject in last_no and order <= last_no[word.subject]:
            assert in_force(told, word.subject)


@given(conversations(), st.randoms(use_true_random=False))
@settings(max_examples=examples(100, quick=30))
def test_hearing_all_of_it_again_takes_no_no_back(words: list[Spoken], chance: Any) -> None:
    told = life(words)
    before = {subject: in_force(told, subject) for subject in ALONE}
    told.now += minutes(1)
    for word in chance.sample(words, len(words)):
        word.reaches(told)
    assert all(in_force(told, subject) for subject, holds in before.items() if holds)


@given(conversations(), st.randoms(use_true_random=False))
@settings(max_examples=examples(100, quick=30))
def test_importing_what_was_heard_live_changes_nothing(words: list[Spoken], chance: Any) -> None:
    told = life(words)
    before = dict(kept(told))
    told.now += minutes(1)
    for word in chance.sample(words, len(words)):
        word.reaches(told, mode="history")
    assert dict(kept(told)) == before


@given(conversations(), st.randoms(use_true_random=False))
@settings(max_examples=examples(100, quick=30))
def test_a_history_of_many_senders_says_the_same_in_whatever_order(words: list[Spoken], chance: Any) -> None:
    # A history is of the past: nothing in it lies ahead of the import.
    end = max(max(word.claimed, word.received) for word in words)
    past = [replace(word, received=end) for word in words]
    shuffled = chance.sample([*past, *past], 2 * len(past))
    assert dict(kept(life(past, mode="history"))) == dict(kept(life(shuffled, mode="history")))

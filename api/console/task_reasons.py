"""Why a task was opened, in the language of the page.

Journeys, and the engine where it asks by itself, write the reason in English, and it is kept as they wrote it. Here
each part of a reason of what is shipped is recognised by its shape and said anew. A reason with a part of no known
shape is shown as it was written: that of a journey of the house's own, or what somebody typed.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from api.console.event_texts import CODES, FIELDS
from api.console.kept_sentences import said_anew, shapes_of
from api.console.speech import Speech
from content.readable_names import words

_SPANS: Final = r"in the last four weeks, against (?P<before>\d+) of (?P<of_before>\d+) in the eight before\."
_DAYS: Final = "%(n)s of %(of)s days in the last four weeks, %(before)s of %(of_before)s in the eight before."
#: What is written, and what it is called in the catalogues; a hole is what its group holds.
SENTENCES: Final = {
    r"Silent for (?P<days>\d+) days, twice what is usual for this player\.": (
        "Silent for %(days)s, twice what is usual for this player."
    ),
    r"(?P<n>\d+) % likely not to come back: (?P<whys>.+)\.": "%(n)s %% likely not to come back: %(whys)s.",
    r"The code (?P<typed>.+) failed as (?P<code>\w+)\.": "The code %(typed)s failed: %(code)s.",
    r"A complaint of severity (?P<n>\d+)\.": "A complaint of severity %(n)s.",
    r"A payment of (?P<n>\d+) minor units was undone: (?P<undone>\w+)\.": (
        "A payment was undone: %(undone)s, %(n)s in minor units."
    ),
    r"Three deposits failed in a row, the last as (?P<failure>\w+)\.": (
        "Three deposits failed in a row; the last one: %(failure)s."
    ),
    r"Would recommend us with (?P<n>\d+) of 10\.": "Would recommend us with %(n)s of 10.",
    r"Signs of harm: (?P<signs>.+)\.": "Signs of harm: %(signs)s.",
    r"Strong signs of gambling harm: (?P<signs>.+)\.": "Strong signs of gambling harm: %(signs)s.",
    r"The player's day: (?P<occasion>\w+)\.": "The player's day: %(occasion)s.",
    r"Bought (?P<item>.+) in the shop for (?P<n>\d+) points\.": (
        "Bought in the shop: %(item)s; the price in points: %(n)s."
    ),
    r"Reached Gold with deposit number (?P<n>\d+)\.": "Reached Gold with deposit number %(n)s.",
    r"Affordability: (?P<judged>\w+)\.": "Affordability was judged: %(judged)s.",
    r"The game (?P<game>.+) broke during a win of (?P<n>\d+) minor units\.": (
        "The game %(game)s broke during a win; the win in minor units: %(n)s."
    ),
    r"A win of (?P<n>\d+) minor units\.": "A win; in minor units: %(n)s.",
    r"A withdrawal is late, day (?P<n>\d+)\.": "A withdrawal is late, day %(n)s.",
    # What is seen of a pattern, and what it changed to.
    rf"(?P<n>\d+) of (?P<of>\d+) days with (?P<event>\w+) were at the weekend {_SPANS}": (
        f"%(event)s, at the weekend: {_DAYS}"
    ),
    rf"(?P<n>\d+) of (?P<of>\d+) days with (?P<event>\w+) had (?P<choice>.+) {_SPANS}": (
        f"%(event)s, %(choice)s: {_DAYS}"
    ),
    r"The (?P<what>\w*) of (?P<event>\w+) was (?P<n>-?\d+) in the middle of the last four weeks, "
    r"against (?P<before>-?\d+) in the eight before\.": (
        "%(event)s, %(what)s: %(n)s in the middle of the last four weeks, %(before)s in that of the eight before."
    ),
    r"Now: (?P<choice>.+)\.": "Now: %(choice)s.",
    # What the engine asks by itself.
    r"(?P<one>\S+) and (?P<other>\S+) have the same (?P<alike>[^;]+); \S+ would live on as (?P<elder>\S+), "
    r"the elder account\.": (
        "%(one)s and %(other)s have in common: %(alike)s; the elder account, %(elder)s, would live on."
    ),
    r"(?P<n>\d+) deposits in (?P<days>\d+) days; (?P<of>\d+) are usual for this player\.": (
        "Deposits in %(days)s: %(n)s; %(of)s are usual for this player."
    ),
    r"A reward of (?P<journey>\w+) is in doubt: (?P<doubt>.+)\.": "A reward of %(journey)s is in doubt: %(doubt)s.",
    **{
        f"{same[:-1]}\\.": same
        for same in (
            "The complaint is still open after three days.",
            "Documents are missing for three days.",
            "Three losing days in a row.",
            "A week after a talk about safer play.",
            "A month after a talk about safer play.",
            "Became a VIP candidate.",
            "Welcome call to a new VIP.",
            "A week in the programme.",
            "Thirty days in the programme.",
            "No login for 45 days.",
            "A VIP has asked for their money.",
            "A withdrawal is days late and nobody told its end.",
            "More was paid in within thirty days than may go without a look at what the player can afford.",
        )
    },
}
_PARTS: Final = shapes_of(SENTENCES)
#: Signs of harm.
SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "spend_vs_norm": "deposits far more than usual",
        "deposit_velocity": "deposits ever faster",
        "stake_jump": "stakes far more than before",
        "chasing": "chases losses",
        "night_play": "plays at night",
        "long_session": "plays for very long",
        "cancelled_withdrawals": "takes withdrawals back",
        "failed_deposits": "deposits fail again and again",
        "limit_raised": "raises limits",
        "time_outs": "takes time-outs",
        "contact_wording": "worrying words in a message",
        "third_party_worry": "somebody else worries",
        "losing_days": "loses day after day",
        "review": "what a review found",
        "together": "several signs together",
    }
)
#: By the name of a hole: the words for the codes that may stand in it.
WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "code": CODES["reward.code_failed"][1],
        "failure": CODES["payment.deposit_failed"][1],
        "signs": SIGNS,
        "undone": {
            "rollback": "the cashier took it back",
            "chargeback": "the bank took it back",
            "refund": "it was refunded",
        },
        "judged": {"approve": "it is affordable", "more_documents": "further documents are needed"},
        "occasion": {
            "birthday": "birthday",
            "half_year": "half a year with us",
            "year": "a year with us",
            "deposits": "the tenth deposit",
            "visits": "the hundredth visit",
        },
        "choice": {
            "slot": "slots",
            "table": "table games",
            "live": "live games",
            "crash": "crash games",
            "bingo": "bingo",
            "lottery": "lotteries",
            "poker": "poker",
            "virtual": "virtual sports",
            "higher": "higher",
            "lower": "lower",
            "weekend": "at the weekend",
            "weekdays": "on weekdays",
        },
        "what": {**FIELDS, "stakes": FIELDS["stake_minor"]},
    }
)
_NUMBERS: Final = frozenset({"n", "of", "before", "of_before"})
#: Holes that list several things, and what stands between two of them.
_LISTS: Final[Mapping[str, str]] = MappingProxyType({"signs": ", ", "whys": ", ", "alike": " and "})
#: Holes whose words stand in the catalogues as they are written.
_TEXTS: Final = frozenset({"alike", "doubt", "signs", "whys"})


def task_reason(kept: str | None, speech: Speech) -> str:
    """Why a task was opened, in a language of the console; as it was written where it is of no known shape."""
    if not kept or speech.language == "en":
        return kept or ""
    return said_anew(
        kept,
        _PARTS,
        lambda text, held: speech.say(text, **{name: _hole(name, one, speech) for name, one in held.items()}),
    )


def _hole(name: str, held: str, speech: Speech) -> str:
    if name in _NUMBERS:
        return speech.number(int(held))
    if name == "days":
        return speech.days(int(held))
    if name == "event":
        return speech.event(held)
    if name == "journey":
        return speech.quoted(words(held))
    parts = held.split(_LISTS[name]) if name in _LISTS else [held]
    return ", ".join(_part(name, one, speech) for one in parts)


def _part(name: str, one: str, speech: Speech) -> str:
    known = WORDS.get(name, {})
    if one in known:
        return speech.translated(known[one])
    return speech.translated(one) if name in _TEXTS else one

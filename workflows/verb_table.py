"""The table of verbs: one row for each verb of `Player`, with what everything but `Player` has to know of it.

Start-up checks, the flow of a journey, diagrams, `journeys check` and the timeline read it, so that a new verb is
described here once. A row has no defaults: whoever adds one answers every question.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from workflows.errors import DesignError

Shape = Literal["message", "reward", "human", "wait", "decision", "other"]


@dataclass(frozen=True, kw_only=True)
class VerbSpec:
    """One verb. `outcomes` are what its steps may come to in the story, each as words for the timeline.

    A row does not make a verb: the method of `Player` of the same name does, and neither stands without the other.
    """

    name: str
    #: What it does to the player: how a diagram draws it, and what `journeys check` asks of it.
    shape: Shape
    #: Whether a run stands in it until something happens or a time has come. Quiet hours are no such wait.
    waits: bool
    #: The parameter that ends the wait; a call without it is refused at start-up.
    limit: str | None
    #: The parameter that its steps are named after; None for a verb whose steps have no name of their own.
    subject: str | None
    #: What its result is called where it is something, and where it is nothing or false; None where none is asked for.
    results: tuple[str, str] | None
    outcomes: Mapping[str, str]


#: What the size of an offer comes to.
_SIZES: Final = {
    "declared": "the declared amount",
    "fitted": "an amount was fitted",
    "no_currency": "no offer, for the currency of the wallet is not known",
    "no_amount": "no offer, for none is declared in this currency",
    "nothing_known": "no offer, for there is nothing to fit it to",
    "objects_to_profiling": "no offer that fits, for the player objected to being profiled",
    "outside_band": "no offer, for none is round and within its bounds",
}
VERBS: Final[Mapping[str, VerbSpec]] = {
    verb.name: verb
    for verb in (
        VerbSpec(
            name="send",
            shape="message",
            waits=False,
            limit=None,
            subject="template",
            results=None,
            outcomes={
                "sent": "sent",
                "suppressed": "not sent",
                "waiting": "waits until it may be sent",
                "quiet_hours": "waits for the morning",
                "chosen": "its channel or its hour was chosen",
            },
        ),
        VerbSpec(
            name="survey",
            shape="message",
            waits=True,
            limit="within",
            subject="template",
            results=("answered", "no answer"),
            outcomes={
                "sent": "sent",
                "suppressed": "not sent",
                "waiting": "waits until it may be sent",
                "quiet_hours": "waits for the morning",
                "answered": "answered",
                "timed_out": "did not happen in time",
            },
        ),
        VerbSpec(
            name="grant",
            shape="reward",
            waits=False,
            limit=None,
            subject="reward",
            results=("confirmed", "not confirmed"),
            outcomes={"confirmed": "given", "refused": "refused", "unknown": "nobody can say yet"},
        ),
        VerbSpec(
            name="revoke",
            shape="other",
            waits=False,
            limit=None,
            subject=None,
            results=("taken back", "kept"),
            outcomes={"revoked": "taken back", "kept": "the player keeps it"},
        ),
        VerbSpec(
            name="award",
            shape="reward",
            waits=False,
            limit=None,
            subject="reward",
            results=("awarded", "withheld"),
            outcomes={"awarded": "given", "withheld": "withheld"},
        ),
        VerbSpec(
            name="multiply",
            shape="reward",
            waits=False,
            limit=None,
            subject="into",
            results=("points count more", "withheld"),
            outcomes={"awarded": "given", "withheld": "withheld"},
        ),
        VerbSpec(
            name="give_spin",
            shape="reward",
            waits=False,
            limit=None,
            subject="wheel",
            results=("may spin", "withheld"),
            outcomes={"offered": "may spin", "withheld": "withheld"},
        ),
        VerbSpec(
            name="spin",
            shape="reward",
            waits=True,
            limit="within",
            subject="wheel",
            results=("spun", "not spun"),
            outcomes={
                "offered": "may spin",
                "withheld": "withheld",
                "spun": "spun",
                "unplayed": "not spun in time",
            },
        ),
        VerbSpec(
            name="pause_promotions",
            shape="other",
            waits=False,
            limit=None,
            subject=None,
            results=None,
            outcomes={"paused": "promotions are paused for the player"},
        ),
        VerbSpec(
            name="ask",
            shape="human",
            waits=True,
            limit="due",
            subject="form",
            results=("answered", "nobody answered"),
            outcomes={
                "opened": "put before people",
                "remind": "people were reminded",
                "escalate": "escalated",
                "expire": "closed without an answer",
                "answered": "answered",
                "nobody_answered": "nobody answered",
                "task_lost": "the task was lost when the database was set back",
            },
        ),
        VerbSpec(
            name="event",
            shape="wait",
            waits=True,
            limit="within",
            subject="kind",
            results=("it came", "it did not come"),
            outcomes={"timed_out": "did not happen in time"},
        ),
        VerbSpec(
            name="first",
            shape="wait",
            waits=True,
            limit="within",
            subject="kinds",
            results=("one came", "none came"),
            outcomes={"timed_out": "did not happen in time"},
        ),
        VerbSpec(name="sleep", shape="wait", waits=True, limit=None, subject=None, results=None, outcomes={}),
        VerbSpec(
            name="until",
            shape="wait",
            waits=True,
            limit=None,
            subject=None,
            results=None,
            outcomes={
                "reached": "the moment has come",
                "refreshed": "the player's facts were read again",
            },
        ),
        # A part of a split is an outcome under its own name.
        VerbSpec(name="split", shape="decision", waits=False, limit=None, subject="name", results=None, outcomes={}),
        # So is an arm of an experiment.
        VerbSpec(
            name="arm", shape="decision", waits=False, limit=None, subject="experiment", results=None, outcomes={}
        ),
        VerbSpec(
            name="amount",
            shape="decision",
            waits=False,
            limit=None,
            subject=None,
            results=("declared", "no amount"),
            outcomes=_SIZES,
        ),
        VerbSpec(
            name="fit",
            shape="decision",
            waits=False,
            limit=None,
            subject=None,
            results=("it fits", "nothing fits"),
            outcomes=_SIZES,
        ),
        VerbSpec(
            name="matches",
            shape="other",
            waits=False,
            limit=None,
            subject="segment",
            results=None,
            outcomes={
                "yes": "the player is in it",
                "no": "the player is not in it",
                "unknown_segment": "no such segment is deployed, so the answer was no",
            },
        ),
        VerbSpec(
            name="value",
            shape="other",
            waits=False,
            limit=None,
            subject="measure",
            results=None,
            outcomes={"read": "the player's numbers were looked at"},
        ),
        VerbSpec(
            name="score",
            shape="other",
            waits=False,
            limit=None,
            subject="name",
            results=None,
            outcomes={"read": "the player's numbers were looked at"},
        ),
        VerbSpec(
            name="usual",
            shape="other",
            waits=False,
            limit=None,
            subject="measure",
            results=None,
            outcomes={"read": "the player's numbers were looked at"},
        ),
        VerbSpec(
            name="changed",
            shape="other",
            waits=False,
            limit=None,
            subject="measure",
            results=("changed", "as before"),
            outcomes={"read": "the player's numbers were looked at"},
        ),
        VerbSpec(
            name="mark",
            shape="other",
            waits=False,
            limit=None,
            subject="name",
            results=None,
            outcomes={"marked": "marked"},
        ),
        VerbSpec(
            name="webhook",
            shape="other",
            waits=False,
            limit=None,
            subject="name",
            results=None,
            outcomes={"said": "told to who subscribed"},
        ),
        VerbSpec(
            name="refresh",
            shape="other",
            waits=False,
            limit=None,
            subject=None,
            results=None,
            outcomes={"refreshed": "the player's facts were read again"},
        ),
        VerbSpec(
            name="start",
            shape="other",
            waits=False,
            limit=None,
            subject="journey",
            results=("entered", "not entered"),
            outcomes={"started": "begun", "refused": "refused"},
        ),
    )
}


def match_methods(player: type) -> None:
    """Raise a `DesignError` for each verb of `player` without a row and each row without a verb."""
    parts = [vars(part) for part in player.__mro__ if part is not object]
    methods = {name for part in parts for name, value in part.items() if callable(value) and not name.startswith("_")}
    mistakes = [
        f"Player.{name} has no row in workflows/verb_table.py; say there what its steps are named after and come to."
        for name in sorted(methods - VERBS.keys())
    ]
    mistakes += [
        f"workflows/verb_table.py has a row for {name}, but Player has no method so named; write it or drop the row."
        for name in sorted(VERBS.keys() - methods)
    ]
    if mistakes:
        raise DesignError("\n".join(mistakes))

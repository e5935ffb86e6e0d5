"""What happened to a player, in words: short English sentences for people who look after players."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from babel import Locale

from content.variable_values import Manner, Money, write_money
from workflows.channels import CHANNELS
from workflows.gate.reasons import Reason
from workflows.verb_table import VERBS

Detail = Mapping[str, Any]

_MANNER = Manner(Locale("en"), UTC)

#: Reasons of the gate, of providers and of stops, as they complete "… because": no more is said of a player.
REASONS: Mapping[str, str] = {reason.value: reason.label for reason in Reason} | {
    "expired": "its time had passed",
    "outcome_unknown": "nobody can say whether it arrived",
    "not_renderable": "its text lacks something the journey should have given",
    "address_invalid": "the address is none",
    "address_refused": "the receiver knows no such address",
    "content_refused": "the receiver did not take what it says",
    "header_unsafe": "something in it would have broken its headers",
    "devices_gone": "none of the player's devices has the app any more",
    "endpoint_gone": "the gateway has gone for good",
    "refused": "the receiver would not take it",
    "never_arrived": "it never reached the bonus engine",
    "voided": "it was taken back",
    "stopped_by_hand": "a person stopped it",
    "experiment_harm": "its arm of an experiment did harm",
    "stopped": "it was stopped",
    "erased": "the player's data was erased",
    "merged": "the account was merged into another",
    "completed": "it was played to its end",
    "ended": "its time was over",
    "cancelled": "it was cancelled",
    "failed": "its code gave up, and Temporal keeps the error",
    "moved_past": "the run was past it when it moved to another release",
    "lost": "it is gone from Temporal",
    "run_over": "it was over already",
}
#: What a step came to, where that is not the name of an event or of a part of a split.
STEPS = {outcome: words for verb in VERBS.values() for outcome, words in verb.outcomes.items()} | {
    "full": "more events came than a run keeps, so the oldest were let go",
    "dropped": "more events came than the run keeps, and the oldest were let go",
    "full_journal": "the run has done more than it can carry to another release, and stays in the one it plays",
    "moved": "the run moved to another release of its journey",
    "not_moved": "the run has done too much to be moved to another release",
    "waits_for_again": "the run has done too much to be moved to another release before its next chapter",
    "told": "the run was told to move to another release of its journey",
    "moved_past": "was passed over, because the run stood behind it when it moved to another release",
    "removed": "ended with the release that had it",
    "renumbered": "something came under a number the run had heard, because the database was set back",
}
MESSAGES = {
    "handed_over": "is being handed over",
    "waiting": "waits for its channel to come back",
    "sent": "was sent",
    "suppressed": "was not sent",
    "failed": "could not be delivered",
    "unknown": "may or may not have arrived",
}
#: How far it came, as its provider told.
DELIVERIES = {
    "delivered": "was delivered",
    "opened": "was opened",
    "clicked": "was opened, and its link followed",
    "bounced": "came back",
    "complained": "was called spam",
    "unsubscribed": "was answered with a withdrawal of consent",
}
GRANTS = {
    "reserved": "is being given",
    "confirmed": "was given",
    "refused": "was not given",
    "unknown": "may or may not have been given; the bonus engine is being asked",
    "revoked": "was taken back",
}
#: How far one that was given has come, as the bonus engine told.
STAGES = {
    "offered": "was given and waits to be taken",
    "claimed": "was taken by the player",
    "active": "was taken and is active",
    "wagering": "is being wagered",
    "failed": "was given and could not be delivered",
    "expired": "was given and has expired",
    "revoked": "was given and cancelled",
    "forfeited": "was given up",
    "lost": "was wagered and lost",
    "completed": "was wagered to its end",
}
TASKS = {
    "opened": "was put before people",
    "reminded": "was not answered yet, and people were reminded",
    "escalated": "was not answered in time and was escalated",
    "expired": "was closed because nobody answered",
    "cancelled": "was closed with its journey",
    "claimed": "was taken by %(actor)s",
    "released": "was given back by %(actor)s",
    "completed": "was answered by %(actor)s",
    "commented": "was commented by %(actor)s",
    "reassigned": "was passed on by %(actor)s",
    "changed": "was changed by %(actor)s",
}


def sentence_of(kind: str, name: str, journey: str | None, detail: Detail) -> str:
    """The sentence for one entry of a timeline. What it does not know it names as it is stored."""
    return _WORDS[kind](name, journey or "", detail)


def _event(name: str, _: str, detail: Detail) -> str:
    data = detail["data"]
    what = _words(name.partition(".")[2] or name)
    amount, currency = data.get("amount_minor"), data.get("currency")
    if isinstance(amount, int) and isinstance(currency, str):
        what += f", {write_money(_MANNER, Money(amount, currency))}"
    account = f" of {detail['account']}, another account of the person" if "account" in detail else ""
    source = f"told by {detail['source']}{account}"
    return f"{what}, {source}{', as history: it started nothing' if detail['history'] else ''}."


def _segment(name: str, _: str, detail: Detail) -> str:
    return f"{'Entered' if name == 'entered' else 'Left'} the segment {detail['segment']}."


def _run(name: str, journey: str, detail: Detail) -> str:
    outcome = str(detail.get("outcome") or "")
    if name == "reached_goal":
        return f"Reached the goal of {journey}{_control(detail)}."
    if name == "ended":
        return f"Left {journey}{_control(detail)}: {reason(outcome)}."
    if outcome.startswith("refused:"):
        return f"Did not enter {journey}: {reason(outcome.removeprefix('refused:'))}."
    cause, control = _cause(detail.get("trigger") or {}), _control(detail)
    return f"Entered {journey}{cause}{',' if cause and control else ''}{control}."


def _cause(trigger: Detail) -> str:
    match trigger.get("type"):
        case None:
            return ""
        case "manual":
            return f", let in by {trigger.get('source')}"
        case "enrolment":
            return f", enrolled by {trigger.get('source')}"
        case "run":
            return f", sent on by {trigger.get('source')}"
        case kind:
            return f" because of {_words(str(kind).partition('.')[2]).lower()}"


def _control(detail: Detail) -> str:
    return " in the control group, which gets no offers" if detail.get("arm") == "control" else ""


def _step(name: str, journey: str, detail: Detail) -> str:
    verb, _, rest = name.partition("#")[0].partition(":")
    what = f"{verb} {rest}".strip()
    if name == "stop":
        return f"{detail.get('by', 'Somebody')} stopped {journey}: {str(detail.get('reason', '')).rstrip('.')}."
    outcome = str(detail["outcome"])
    # Parts of a split and arms have names of their own, and one of them may be "refused".
    said = outcome if verb in {"split", "arm"} else STEPS.get(outcome) or reason(outcome)
    return f"{journey}, {what}: {said}."


def _message(name: str, _: str, detail: Detail) -> str:
    channel = CHANNELS[detail["channel"]].label("en") if detail["channel"] in CHANNELS else detail["channel"]
    status = MESSAGES.get(detail["status"], detail["status"])
    if detail["status"] == "sent":
        status = DELIVERIES.get(detail.get("delivery") or "", status)
    return f"{channel} “{name}” {status}{_why(detail)}."


def _grant(name: str, _: str, detail: Detail) -> str:
    status = GRANTS.get(detail["status"], detail["status"])
    if detail["status"] == "confirmed":
        status = STAGES.get(detail.get("stage") or "", status)
    return f"{_words(name)} {status}{_why(detail)}."


def _task(name: str, _: str, detail: Detail) -> str:
    action = str(detail["action"])
    said = TASKS[action] % {"actor": detail["actor"]} if action in TASKS else action
    comment = f": “{detail['comment'].rstrip('.')}”" if detail.get("comment") else ""
    return f"Task {name} {said}{comment}."


def _why(detail: Detail) -> str:
    return f": {reason(str(detail['reason']))}" if detail.get("reason") else ""


def reason(code: str) -> str:
    """A stored reason as words that complete a sentence."""
    if code.startswith("exit_on:"):
        return f"{_words(code.removeprefix('exit_on:').partition('.')[2]).lower()} ends it"
    return REASONS.get(code) or code.replace("_", " ")


def _words(code: str) -> str:
    plain = code.replace("_", " ").replace(".", " ").strip()
    return plain[:1].upper() + plain[1:]


_WORDS: dict[str, Callable[[str, str, Detail], str]] = {
    "event": _event,
    "segment": _segment,
    "run": _run,
    "step": _step,
    "message": _message,
    "grant": _grant,
    "task": _task,
}

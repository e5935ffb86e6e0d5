"""What happened to a player, a sentence each, in the language of the page."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from api.console.event_texts import CODES, REWARDS, TYPES, VERBS
from api.console.speech import Speech
from api.timeline import EntryRow
from api.timeline_text import DELIVERIES, GRANTS, MESSAGES, STAGES, STEPS, TASKS
from content.readable_names import words

#: Amounts of an event, in its currency.
_AMOUNTS: Final = {
    "amount_minor": "%(money)s",
    "stake_minor": "stake %(money)s",
    "win_minor": "win %(money)s",
}
#: Verbs that are about a kind of reward.
_OF_REWARDS: Final = frozenset({"grant", "revoke", "award"})
#: Verbs whose steps come to names that a designer chose.
_NAMING: Final = frozenset({"split", "arm"})


def happening(entry: EntryRow, speech: Speech) -> str:
    """The sentence for one entry of a timeline."""
    return _TOLD[entry.kind](entry, speech)


def step_text(step: str, speech: Speech) -> str:
    """A step of a run, `event:DepositApproved#1`, by what it does and what it is about."""
    verb, _, about = step.partition("#")[0].partition(":")
    what = speech.translated(VERBS[verb]) if verb in VERBS else speech.name(verb).lower()
    named = [speech.quoted(_named(verb, part, speech)) for part in about.split("|") if part]
    return f"{what} {', '.join(named)}".strip()


def outcome_text(step: str, outcome: str, speech: Speech) -> str:
    """What a step came to."""
    verb = step.partition("#")[0].partition(":")[0]
    if verb in _NAMING:
        return speech.quoted(words(outcome))
    if outcome in TYPES:
        return speech.event(outcome)
    # The reasons come second: of a step, "completed" and the like mean what its verb says.
    return speech.translated(STEPS[outcome]) if outcome in STEPS else speech.reason(outcome)


def _named(verb: str, name: str, speech: Speech) -> str:
    if verb in _OF_REWARDS and name in REWARDS:
        return speech.reward(name)
    return speech.event(name) if name in TYPES else words(name)


def _event(entry: EntryRow, speech: Speech) -> str:
    detail = entry.detail
    said = [speech.event(entry.name), *_brought(entry.name, detail["data"] or {}, speech)]
    if "account" in detail:
        said.append(speech.say("on another account of the person, %(account)s", account=detail["account"]))
    if detail["history"]:
        said.append(speech.translated("told as history, so nothing began"))
    return f"{', '.join(said)}."


def _brought(name: str, data: Mapping[str, Any], speech: Speech) -> Iterator[str]:
    """What an event brought that is worth a word."""
    currency = data.get("currency")
    for field, text in _AMOUNTS.items():
        amount = data.get(field)
        if isinstance(amount, int) and isinstance(currency, str):
            yield speech.say(text, money=speech.money(amount, currency))
    if name == "consent.changed":
        text = "%(channel)s yes" if data.get("opted_in") else "%(channel)s no"
        yield speech.say(text, channel=speech.channel(str(data.get("channel"))))
    if name == "loyalty.tier_changed" and data.get("to"):
        yield speech.quoted(words(str(data["to"])))
    if name == "reward.code_failed" and data.get("code"):
        yield speech.quoted(str(data["code"]))
    field, texts = CODES.get(name, ("", {}))
    if (code := data.get(field)) is not None:
        yield speech.translated(texts[code]) if code in texts else words(str(code)).lower()


def _segment(entry: EntryRow, speech: Speech) -> str:
    text = "Entered the segment %(segment)s." if entry.name == "entered" else "Left the segment %(segment)s."
    return speech.say(text, segment=speech.quoted(words(entry.detail["segment"])))


def _run(entry: EntryRow, speech: Speech) -> str:
    detail, journey = entry.detail, _journey(entry, speech)
    outcome = str(detail.get("outcome") or "")
    if entry.name == "ended":
        said = speech.say("Left %(journey)s: %(reason)s", journey=journey, reason=speech.reason(outcome))
    elif entry.name == "reached_goal":
        said = speech.say("Reached the goal of %(journey)s", journey=journey)
    elif outcome.startswith("refused:"):
        reason = speech.reason(outcome.removeprefix("refused:"))
        return f"{speech.say('Did not enter %(journey)s: %(reason)s', journey=journey, reason=reason)}."
    else:
        said = _entered(journey, detail.get("trigger") or {}, speech)
    in_control = detail.get("arm") == "control"
    return f"{said}{', ' + speech.translated('in the control group, which gets no offers') if in_control else ''}."


def _entered(journey: str, trigger: Mapping[str, Any], speech: Speech) -> str:
    source = str(trigger.get("source") or "")
    match trigger.get("type"):
        case None:
            return speech.say("Entered %(journey)s", journey=journey)
        case "manual":
            return speech.say("Entered %(journey)s, let in by %(who)s", journey=journey, who=source)
        case "enrolment":
            return speech.say("Entered %(journey)s, enrolled with a segment by %(who)s", journey=journey, who=source)
        case "run":
            # The id of a run begins with its journey.
            other = speech.quoted(words(source.partition(":")[0]))
            return speech.say("Entered %(journey)s, sent on by %(other)s", journey=journey, other=other)
        case kind:
            event = speech.event(str(kind))
            return speech.say("Entered %(journey)s, because of this: %(event)s", journey=journey, event=event.lower())


def _step(entry: EntryRow, speech: Speech) -> str:
    detail, journey = entry.detail, _journey(entry, speech)
    if entry.name == "stop":
        who, reason = detail.get("by") or speech.translated("Somebody"), str(detail.get("reason", "")).rstrip(".")
        return f"{speech.say('%(who)s stopped %(journey)s: %(reason)s', who=who, journey=journey, reason=reason)}."
    step, outcome = step_text(entry.name, speech), outcome_text(entry.name, str(detail["outcome"]), speech)
    return f"{journey}, {step}: {outcome}."


def _message(entry: EntryRow, speech: Speech) -> str:
    detail = entry.detail
    status = MESSAGES.get(detail["status"], "")
    if detail["status"] == "sent":
        status = DELIVERIES.get(detail.get("delivery") or "", status)
    what = f"{speech.channel(detail['channel'])} {speech.quoted(words(entry.name))}"
    return _became(what, status or words(detail["status"]).lower(), detail, speech)


def _grant(entry: EntryRow, speech: Speech) -> str:
    detail = entry.detail
    status = GRANTS.get(detail["status"], "")
    if detail["status"] == "confirmed":
        status = STAGES.get(detail.get("stage") or "", status)
    return _became(speech.reward(entry.name), status or words(detail["status"]).lower(), detail, speech)


def _became(what: str, status: str, detail: Mapping[str, Any], speech: Speech) -> str:
    said = speech.translated(status)
    if why := speech.reason(detail.get("reason")):
        return f"{speech.say('%(what)s %(status)s: %(why)s', what=what, status=said, why=why)}."
    return f"{speech.say('%(what)s %(status)s', what=what, status=said)}."


def _task(entry: EntryRow, speech: Speech) -> str:
    detail = entry.detail
    action = detail["action"]
    said = speech.say(TASKS[action], actor=detail["actor"]) if action in TASKS else words(action).lower()
    what = speech.say("Task %(task)s", task=speech.quoted(speech.name(entry.name)))
    comment = f" \N{EM DASH} {speech.quoted(detail['comment'].rstrip('.'))}" if detail.get("comment") else ""
    return f"{speech.say('%(what)s %(status)s', what=what, status=said)}{comment}."


def _journey(entry: EntryRow, speech: Speech) -> str:
    return speech.quoted(words(entry.journey or ""))


_TOLD: Final[Mapping[str, Callable[[EntryRow, Speech], str]]] = {
    "event": _event,
    "segment": _segment,
    "run": _run,
    "step": _step,
    "message": _message,
    "grant": _grant,
    "task": _task,
}

"""The rules of `journeys check`: what a journey's code and its templates must not do to a player.

Each rule reads a journey's flow and yields one sentence for each place that breaks it. None of them replaces the
gate, which judges every message when it is sent; they find what the gate would have to refuse again and again, and
what it cannot see, such as a birthday without a call.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from content.template_files import MessageTemplate
from content.templates import FILLED_IN
from workflows.channels import Channel
from workflows.events import (
    BetPlaced,
    Event,
    ExclusionSet,
    GameSessionStarted,
    HarmSignal,
    LimitReached,
    LossStreak,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
)
from workflows.player import Player
from workflows.rules.triggers import InactiveRule, Trigger
from workflows.source.flow_graph import Decision, Edge, Flow, Node, StartNode, StepNode, Value
from workflows.source.functions import names_in

#: Events after which nothing is sold any more.
HARM: Final = (HarmSignal, ExclusionSet, LimitReached)
#: Events that show that the player is here.
LIFE: Final = (SessionLogin, GameSessionStarted, BetPlaced, RoundCompleted)
#: Messages the gate treats as marketing.
SOLICITING: Final = frozenset({"marketing", "survey"})
#: Rewards that are a status and not an offer, so there is nothing to take up and no terms to read first.
STATUS: Final = frozenset({"tier_upgrade"})
MOST_SELLING: Final = 0.7

_WIN_BACK = re.compile(r"win_?back|come_?back|dormant|reactivat", re.IGNORECASE)
_BIRTHDAY = re.compile(r"birth_?day", re.IGNORECASE)
_LOSS = re.compile(r"los(s|ing|t|es)", re.IGNORECASE)
_VIP = re.compile(r"tier|vip", re.IGNORECASE)
_NOT = re.compile(r"\bnot\b|!=")
_UTC_CLOCK = re.compile(r"occurred_at\.(hour|weekday|isoweekday)\b")


Templates = Mapping[str, MessageTemplate]
Find = Callable[[Flow, Templates], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """One rule. A designer may waive it with a reason unless breaking it is a plain mistake."""

    name: str
    about: str
    find: Find
    waivable: bool = True


# ---- the rules ------------------------------------------------------------------------------------------


def clock_of_utc(flow: Flow, _: Templates) -> Iterator[str]:
    """An hour or a weekday of `occurred_at`, which is UTC: eight in the evening there is three at night elsewhere."""
    journey = flow.journey
    rules = (*journey.triggers, *journey.exit_on, journey.goal, *journey.measures)
    asked = [where for rule in rules if isinstance(where := getattr(rule, "where", None), FunctionType)]
    named = [{*names_in(where.__code__)} for where in asked]
    places = ["a where= of its declaration"] if any(map(_reads_utc, named)) else []
    for step in flow.steps:
        where = step.keywords.get("where")
        known = where.known if where is not None else None
        by_name = isinstance(known, FunctionType) and _reads_utc({*names_in(known.__code__)})
        if by_name or (where is not None and _UTC_CLOCK.search(where.words)):
            places.append(_at(step))
    for place in places:
        yield (
            f"{place} looks at the hour or the weekday of occurred_at, which are those of UTC; write event.local.hour, "
            'or where=local("tuesday", hours=(0, 6)), for the player\'s own clock'
        )


def _reads_utc(names: set[str]) -> bool:
    return "occurred_at" in names and bool(names & {"hour", "weekday", "isoweekday"})


def no_goal(flow: Flow, _: Templates) -> Iterator[str]:
    """Nobody can say whether it works."""
    if flow.journey.goal is None:
        yield "it has no goal, so nobody can say whether it works; add goal=goal(DepositApproved, within=days(7))"


def no_control(flow: Flow, _: Templates) -> Iterator[str]:
    """What would have happened anyway is not known."""
    if not flow.journey.control:
        yield "it has no control arm, so nobody can say what would have happened anyway; add control=10"


def active_today(flow: Flow, templates: Templates) -> Iterator[str]:
    """To say "we miss you" to somebody who was here this morning."""
    journey = flow.journey
    # Some time after the registration nobody is missed.
    inactive = [one for one in journey.triggers if isinstance(one, InactiveRule) and one.kind is not PlayerRegistered]
    if not inactive and not _WIN_BACK.search(journey.name):
        return
    life: tuple[type[Event], ...] = (*LIFE, *(trigger.kind for trigger in inactive))
    for step, template in _sends(flow, templates):
        if template.message_class not in SOLICITING or template.suppress_if_active_today:
            continue
        if not _just_asked(flow, step, life):
            yield (
                f"{_at(step)} wins back without looking whether the player was here today; wait for a SessionLogin "
                f"just before, or set suppress_if_active_today = true in {step.subject}/template.toml"
            )


def reward_terms(flow: Flow, templates: Templates) -> Iterator[str]:
    """An offer is announced and its terms are not."""
    grants = [step for step in flow.steps if step.shape == "reward" and step.subject not in STATUS]
    without = flow.reachable(flow.start, lambda edge: edge.source not in grants)
    announced = {node for grant in grants for node in flow.reachable(grant, lambda edge: not _waits(edge.source))}
    for step, template in _sends(flow, templates):
        if step in announced - without and template.message_class in SOLICITING and not template.terms:
            yield (
                f"{_at(step)} announces a reward without its terms; set terms = true in "
                f"{step.subject}/template.toml and say {{{{ terms }}}} in every text"
            )


def selling_share(flow: Flow, templates: Templates) -> Iterator[str]:
    """The player only ever hears from us when we want money."""
    sends = [template for _, template in _sends(flow, templates)]
    selling = sum(template.message_class == "marketing" and template.terms for template in sends)
    if sends and selling / len(sends) > MOST_SELLING:
        yield (
            f"{selling} of its {len(sends)} messages sell, which is more than {MOST_SELLING:.0%}; "
            "add messages that only help, tell or thank, or send fewer offers"
        )


def marketing_after_harm(flow: Flow, templates: Templates) -> Iterator[str]:
    """Selling goes on after a sign of harm."""
    after: set[Node] = set()
    for edge in flow.edges:
        kinds = edge.kinds if edge.happened is not None or edge.kinds else _kinds(edge.source)
        if any(issubclass(kind, HARM) for kind in kinds):
            after |= flow.reachable(edge.target)
    if any(issubclass(_kind(trigger), HARM) for trigger in flow.journey.triggers):
        after |= set(flow.nodes)
    selling = [step for step, template in _sends(flow, templates) if template.message_class in SOLICITING]
    for step in flow.steps:
        if step in after and (step in selling or step.shape == "reward"):
            what = "rewards" if step.shape == "reward" else "markets to"
            yield f"{_at(step)} {what} a player after a signal of harm; end the run there, or ask a trained person"


def loss_without_human(flow: Flow, templates: Templates) -> Iterator[str]:
    """An automatic "bad luck" to a VIP, where a person should have called."""
    lost = [edge for edge in flow.edges if edge.kinds and all(issubclass(kind, LossStreak) for kind in edge.kinds)]
    began = any(map(_by_losing, flow.journey.triggers))
    anyway = set[Node]() if began else flow.reachable(flow.start, lambda edge: edge not in lost)
    origins = [flow.start] if began else [edge.target for edge in lost]
    alone = {node for origin in origins for node in _without_human(flow, origin)}
    for step, template in _sends(flow, templates):
        if step in alone - anyway and template.message_class not in {"rg", "security"}:
            yield (
                f"{_at(step)} writes to a VIP because of losses and no person is asked first; before it write "
                "if player.tier in VIP_TIERS: await player.ask(...)"
            )


def birthday_without_call(flow: Flow, templates: Templates) -> Iterator[str]:
    """An automatic birthday wish to a VIP."""
    journey = flow.journey
    names = [journey.name, *(f"{type(trigger).__name__} {trigger.key}" for trigger in journey.triggers)]
    everywhere = any(map(_BIRTHDAY.search, names))
    alone = _without_human(flow, flow.start)
    for step, _ in _sends(flow, templates):
        if step in alone and (everywhere or _BIRTHDAY.search(step.subject)):
            yield (
                f"{_at(step)} wishes a VIP a happy birthday and no person calls; before it write "
                "if player.tier in VIP_TIERS: await player.ask(...)"
            )


def placeholder(flow: Flow, templates: Templates) -> Iterator[str]:
    """What was "Hello, [FIRST_NAME]" elsewhere; here it is a message that cannot be written and is not sent."""
    for step, template in _sends(flow, templates):
        for name, variable in sorted(template.variables.items()):
            value = step.keywords.get(name)
            if value is None or variable.optional or variable.fallback is not None:
                continue
            if _may_be_none(value, flow):
                yield (
                    f"{_at(step)} gives {name}={value.words}, which may be absent, and {step.subject} has nothing to "
                    f"say instead; give {name} a fallback or optional = true in its template.toml"
                )


def missing_variable(flow: Flow, templates: Templates) -> Iterator[str]:
    """A message that cannot be written, because it was not told what to say."""
    for step, template in _sends(flow, templates):
        if "**" in step.keywords:
            continue
        needed = frozenset[str]().union(*(template.required(channel) for channel in _channels(step, template)))
        for name in sorted(needed - FILLED_IN - set(step.keywords)):
            yield f"{_at(step)} does not give {name}, which {step.subject} must say; add {name}="


def unknown_template(flow: Flow, templates: Templates) -> Iterator[str]:
    """A message nobody wrote."""
    for step in flow.steps:
        if step.shape == "message" and step.subject not in templates:
            yield f"{_at(step)} sends {step.subject}, which is no template; write {step.subject}/template.toml"


RULES: Final = {
    rule.name: rule
    for rule in (
        Rule("no-goal", "a journey says what success is", no_goal),
        Rule("no-control", "a journey offers some players nothing, to compare with", no_control),
        Rule("active-today", "a win-back looks whether the player is back before each message", active_today),
        Rule("reward-terms", "who announces a reward says its terms", reward_terms),
        Rule("selling-share", f"at most {MOST_SELLING:.0%} of the messages sell", selling_share),
        Rule("marketing-after-harm", "nothing is sold or given after a signal of harm", marketing_after_harm),
        Rule("loss-without-human", "a VIP who lost hears from a person first", loss_without_human),
        Rule("birthday-without-call", "a VIP is called on their birthday", birthday_without_call),
        Rule("utc-clock", "hours and weekdays are those of the player's clock", clock_of_utc),
        Rule("placeholder", "what may be absent has words to fall back on", placeholder),
        Rule("missing-variable", "a send gives what its template must say", missing_variable, waivable=False),
        Rule("unknown-template", "a message that is sent was written", unknown_template, waivable=False),
    )
}


# ---- what the rules ask of a flow -------------------------------------------------------------------------


def _sends(flow: Flow, templates: Templates) -> Iterator[tuple[StepNode, MessageTemplate]]:
    for step in flow.steps:
        if step.shape == "message" and step.subject in templates:
            yield step, templates[step.subject]


def _at(step: StepNode) -> str:
    return f"line {step.line}: {step.name}"


def _waits(node: Node) -> bool:
    return isinstance(node, StepNode) and node.waits


def _kinds(node: Node) -> tuple[type[Event], ...]:
    return node.kinds if isinstance(node, StepNode) else ()


def _kind(trigger: Trigger) -> type[Event]:
    return trigger.kind if isinstance(trigger, InactiveRule) else trigger.enters


def _by_losing(trigger: Trigger) -> bool:
    return _kind(trigger) is LossStreak or _LOSS.search(getattr(trigger, "name", "")) is not None


def _just_asked(flow: Flow, step: StepNode, life: tuple[type[Event], ...]) -> bool:
    """Whether every way to a step comes from a wait for a sign of life, with no wait after it.

    Where it brought none the player is still away; where it brought one they are back, and are not won back any more.
    """
    seen: set[Node] = set()
    waiting: list[Node] = [step]
    while waiting:
        for edge in flow.before(waiting.pop()):
            asked = any(issubclass(kind, life) for kind in _kinds(edge.source))
            if asked and edge.happened is not None:
                continue
            if isinstance(edge.source, StartNode) or _waits(edge.source):
                return False
            if edge.source not in seen:
                seen.add(edge.source)
                waiting.append(edge.source)
    return True


def _without_human(flow: Flow, origin: Node) -> set[Node]:
    """What a VIP comes to from here without any person having been asked."""
    return flow.reachable(origin, lambda edge: not _human(edge.source) and _open_to_vips(flow, edge))


def _human(node: Node) -> bool:
    return isinstance(node, StepNode) and node.shape == "human"


def _open_to_vips(flow: Flow, edge: Edge) -> bool:
    """Whether a VIP can go this way. A question after the tier has one answer for them, where it can be told."""
    asked = edge.source
    if not (isinstance(asked, Decision) and _VIP.search(asked.words)):
        return True
    if edge.words in {"yes", "no"}:
        return edge.words == ("no" if _NOT.search(asked.words) else "yes")
    people = [way for way in flow.after(asked) if _human(way.target)]
    return not people or edge in people


def _channels(step: StepNode, template: MessageTemplate) -> set[Channel]:
    """The channels a send can use; all of the template's where the code does not tell."""
    named: set[Any] = set()
    for word in ("via", "fallback"):
        value = step.keywords.get(word)
        if value is None:
            named |= {"email"} if word == "via" else set()
        elif isinstance(value.known, str):
            named.add(value.known)
        elif isinstance(value.known, list | tuple):
            named |= set(value.known)
        else:
            named |= set(template.channels)
    return named & set(template.channels)


def _may_be_none(value: Value, flow: Flow) -> bool:
    """Whether a fact of the player or of the event that starts the journey can be absent."""
    fact = re.fullmatch(r"(\w+)\.(\w+)", value.words)
    if fact is None:
        return value.known is None
    owner, name = fact.groups()
    parameters = list(inspect.signature(flow.journey.function).parameters)
    if owner == parameters[0]:
        known = inspect.getattr_static(Player, name, None)
        getter = known.fget if isinstance(known, property) else None
        return getter is not None and _optional(get_type_hints(getter)["return"])
    if len(parameters) > 1 and owner == parameters[1]:
        fields = (_kind(trigger).model_fields.get(name) for trigger in flow.journey.triggers)
        return any(field is not None and _optional(field.annotation) for field in fields)
    return False


def _optional(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, type(int | None)} and type(None) in get_args(annotation)

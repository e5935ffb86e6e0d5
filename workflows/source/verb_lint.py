"""What a journey's code does with the player, and what is wrong with it, read without running it.

It follows the player from the journey function into every helper of the journey packages that is
handed the player, so a verb is found wherever it is written.
"""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time
from difflib import get_close_matches
from functools import cached_property, partial
from types import FunctionType
from typing import Any, TypedDict

from workflows.channels import CHANNELS, IN_APP
from workflows.declaration import Journey, again
from workflows.events import Event, FeedbackAnswered
from workflows.forms import Form, backtracking_patterns
from workflows.local_time import WEEKDAYS
from workflows.player import Player
from workflows.rules.hearing import Places, everywhere_alike
from workflows.rules.measures import Measure
from workflows.rules.moving_facts import TOLD_BY
from workflows.rules.segments import Segment
from workflows.rules.sore_players import SORE_MEASURES
from workflows.rules.tied_to_run import has_tie
from workflows.rules.where import Where
from workflows.send_choices import BestChannel
from workflows.source.expressions import Names
from workflows.source.flow_reader import read_flow
from workflows.source.functions import (
    arguments_of,
    definition_of,
    names_around,
    parameters_of,
    resolve,
    written_function,
)
from workflows.source.interest import Interest, where_of
from workflows.source.interest_by_place import InterestByPlace, Wait
from workflows.source.moving_dates import facts_of
from workflows.source.step_order import comes_back, ends_plainly, in_order
from workflows.task_rights import GIVEN, MOST_APPROVALS
from workflows.verb_table import VERBS, VerbSpec

#: What `send` and `survey` take for themselves; every other word is a variable of the template.
_OWN_WORDS = {
    verb.__name__: frozenset(inspect.signature(verb).parameters) - {"self", "variables"}
    for verb in (Player.send, Player.survey)
}


@dataclass(frozen=True)
class TemplateUse:
    """One `send` in a journey's code."""

    journey: str
    template: str
    channels: frozenset[str]
    line: int
    #: The variables it gives by name; None where `**` hides them.
    variables: frozenset[str] | None = None
    #: Whether it asks, so that the template must.
    asks: bool = False


class Listening(TypedDict):
    """The fields of a `Journey` that say which events its runs hear."""

    listens_to: frozenset[str]
    filters: Mapping[str, tuple[Where, ...]]
    places: Places
    measures: tuple[Measure, ...]


@dataclass
class VerbReading:
    """What a journey's code was seen to do."""

    listens: set[str] = field(default_factory=set)
    templates: list[TemplateUse] = field(default_factory=list)
    forms: dict[str, type[Form]] = field(default_factory=dict)
    #: The measures it reads, by key.
    measures: dict[str, Measure] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    #: Forms that `not_by=` names, with the sentence for one that the journey never asks.
    apart: dict[str, str] = field(default_factory=dict)
    interest: Interest = field(default_factory=Interest)
    #: Its waits, by where the code makes them.
    waits: dict[ast.Call, Wait] = field(default_factory=dict)
    #: All its verbs, by where the code calls them.
    verb_calls: dict[ast.Call, str] = field(default_factory=dict)
    #: Which function hands the player to which.
    calls: set[tuple[Any, Any]] = field(default_factory=set)
    #: Whether its steps are taken in the order that its flow shows.
    in_order: bool = True

    def listening(self, journey: Journey) -> Listening:
        """What of the player's events the journey's runs can use, the types that it declares included."""
        declared = {str(getattr(kind, "type", "")) for kind in journey.listens}
        return {
            "listens_to": frozenset(self.listens | declared),
            "filters": self.interest.filters(all_of=declared),
            "places": self._places(journey, declared),
            "measures": tuple(self.measures[key] for key in sorted(self.measures)),
        }

    def _places(self, journey: Journey, declared: set[str]) -> Places:
        function: Any = journey.function
        plain = ends_plainly(function, definition_of(function), names_around(function))
        if not (self.in_order and plain) or comes_back(self.calls):
            return everywhere_alike
        return InterestByPlace(partial(read_flow, journey), self.verb_calls, self.waits, declared)


def read_verbs(journey: Journey, packages: tuple[str, ...]) -> VerbReading:
    """Read a journey with all its helpers, each once for each set of names that it gives the player."""
    function: Any = journey.function
    reading = VerbReading()
    waiting = [(function, frozenset(parameters_of(definition_of(function))[:1]))]
    seen = set()
    while waiting:
        helper = waiting.pop()
        if helper not in seen:
            seen.add(helper)
            waiting += _VerbReader(journey, packages, *helper, reading).read()
    reading.mistakes += [sentence for form, sentence in reading.apart.items() if form not in reading.forms]
    return reading


class _VerbReader:
    """Reads one function, in which some names stand for the player."""

    def __init__(
        self, journey: Journey, packages: tuple[str, ...], function: Any, players: frozenset[str], reading: VerbReading
    ) -> None:
        self.journey = journey
        self.packages = packages
        self.function = function
        self.reading = reading
        self.definition = definition_of(function)
        self.names = names_around(function)
        self.parents = {child: parent for parent in ast.walk(self.definition) for child in ast.iter_child_nodes(parent)}
        self.players = players | {
            node.arg
            for node in ast.walk(self.definition)
            if isinstance(node, ast.arg) and node.annotation is not None and self._is_player(node.annotation)
        }

    @cached_property
    def own(self) -> frozenset[str]:
        """The names of the function's parameters and variables."""
        nodes = [*ast.walk(self.definition)]
        stored = {one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        return frozenset(stored | {one.arg for one in nodes if isinstance(one, ast.arg)})

    def read(self) -> Iterator[tuple[Any, frozenset[str]]]:
        """Read it; the helpers that are handed the player, with the names they give the player."""
        for statement in self.definition.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Attribute) and self._of_player(node):
                    self._check_verb(node)
                elif isinstance(node, ast.Call):
                    yield from self._follow(node)
        self.reading.in_order &= in_order(self.definition, self.players, self.parents, self._plain_helper)

    # ---- helpers ---------------------------------------------------------------------------------

    def _follow(self, call: ast.Call) -> Iterator[tuple[Any, frozenset[str]]]:
        called = resolve(call.func, self.names)
        if called is again:
            self._check_again(call)
        helper = written_function(called)
        if helper is None or not self._is_ours(helper.__module__):
            return
        if inspect.iscoroutinefunction(helper) and isinstance(self.parents[call], ast.Expr):
            name = helper.__name__
            self._mistake(call, f"{name}(...) does nothing without await; write await {name}(...)")
        arguments = arguments_of(call, definition_of(helper))
        players = {
            name for name, value in arguments.items() if isinstance(value, ast.Name) and value.id in self.players
        }
        self.reading.calls.add((self.function, helper))
        yield helper, frozenset(players)

    def _plain_helper(self, call: ast.Call) -> FunctionType | None:
        """The helper that a call leads to straight away, with nothing put around it."""
        called = None if self._is_own(call.func) else resolve(call.func, self.names)
        helper = written_function(called)
        return helper if helper is called and helper is not None and self._is_ours(helper.__module__) else None

    def _is_ours(self, module: str) -> bool:
        return module == self.journey.function.__module__ or any(
            module == package or module.startswith(f"{package}.") for package in self.packages
        )

    def _is_player(self, annotation: ast.expr) -> bool:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            return annotation.value.rpartition(".")[2] == "Player"
        return resolve(annotation, self.names) is Player

    def _of_player(self, node: ast.Attribute) -> bool:
        return isinstance(node.value, ast.Name) and node.value.id in self.players

    def _is_own(self, node: ast.expr) -> bool:
        """Whether a name is a parameter or a variable of the function, whatever its module calls so."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.own

    def _check_again(self, call: ast.Call) -> None:
        node: ast.AST | None = call
        while node is not None and not isinstance(node, ast.Return):
            node = self.parents.get(node)
        if node is None:
            self._mistake(call, "again(...) begins no chapter by itself; write return again(...)")
        known = inspect.signature(self.journey.function).parameters
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
            for name in sorted({keyword.arg for keyword in call.keywords if keyword.arg} - set(list(known)[2:])):
                self._mistake(call, f"again({name}=...) has nowhere to go; add a parameter {name} with a default")

    # ---- verbs -----------------------------------------------------------------------------------

    def _check_verb(self, node: ast.Attribute) -> None:
        verb, call = node.attr, self.parents.get(node)
        called = isinstance(call, ast.Call) and call.func is node
        if not hasattr(Player, verb):
            close = get_close_matches(verb, VERBS, 1, cutoff=0.7)
            hint = f"did you mean {close[0]}" if close else f"a player can {', '.join(sorted(VERBS))}"
            self._mistake(node, f"Player has no {verb}; {hint}")
        elif verb in VERBS and not called:
            self._mistake(node, f"player.{verb} must be called where it stands, so that it can be checked")
        elif verb in VERBS and isinstance(call, ast.Call):
            self._check_call(VERBS[verb], call)

    def _check_call(self, verb: VerbSpec, call: ast.Call) -> None:
        self._check_await(verb.name, call)
        self.reading.verb_calls[call] = verb.name
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        limit = verb.limit
        if limit is not None and None not in keywords and _is_none(keywords.get(limit)):
            self._mistake(call, f"player.{verb.name}(...) waits without an end; add {limit}=, such as {limit}=days(1)")
        match verb:
            case VerbSpec(subject="kind" | "kinds"):
                kinds = [*call.args, *(value for name, value in keywords.items() if name == "kind")]
                waited_for = self._check_kinds(verb.name, call, kinds)
                self._check_same(call, keywords.get("same"), kinds)
                self._check_of(call, keywords.get("of"), kinds)
                where = where_of(keywords.get("where"), self.function, self.names, self.own)
                where = None if None in keywords else where
                self.reading.interest.add(waited_for, where)
                self.reading.waits[call] = (frozenset(waited_for), where)
            case VerbSpec(shape="message"):
                self._check_message(verb.name, call, keywords)
                if verb.name == "survey":
                    self._hear_answers(call)
            case VerbSpec(shape="human"):
                self._check_form(verb.name, call, keywords)
                self._check_eyes(call, keywords)
            case VerbSpec(subject="measure"):
                self._check_measure(verb.name, call, keywords)
            case VerbSpec(subject="segment"):
                self._check_segment(verb.name, call, keywords)
            case VerbSpec(name="until"):
                self._check_time(call, keywords)
            case _:
                pass

    def _check_await(self, verb: str, call: ast.Call) -> None:
        parent = self.parents.get(call)
        if not inspect.iscoroutinefunction(getattr(Player, verb)):
            if isinstance(parent, ast.Await):
                self._mistake(call, f"player.{verb}(...) decides at once; drop its await")
        elif not isinstance(parent, ast.Await) and not (
            # A plain function may hand the wait on to the one who awaits it.
            isinstance(parent, ast.Return) and isinstance(self._around(parent), ast.FunctionDef)
        ):
            self._mistake(call, f"player.{verb}(...) does nothing without await; write await player.{verb}(...)")

    def _around(self, node: ast.AST) -> ast.AST:
        while not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            node = self.parents[node]
        return node

    def _check_kinds(self, verb: str, call: ast.Call, arguments: list[ast.expr]) -> set[str]:
        """The types of the events that a wait names; what it names besides is a mistake."""
        waited_for = set[str]()
        if not arguments:
            self._mistake(call, f"player.{verb}(...) waits for nothing; name an event, such as DepositApproved")
        for argument in arguments:
            several = isinstance(argument, ast.Starred)
            value = resolve(argument.value if isinstance(argument, ast.Starred) else argument, self.names)
            if value is None and self.journey.listens:
                continue
            for kind in value if several and isinstance(value, list | tuple) else [value]:
                if not (isinstance(kind, type) and issubclass(kind, Event)):
                    self._mistake(
                        call,
                        f"{ast.unparse(argument)} is not a declared event type; use a class of workflows, "
                        "declare one of your own, or name it in listens=",
                    )
                elif not kind.type:
                    self._mistake(call, f"no event has the type {kind.__name__} itself; name those it stands for")
                else:
                    waited_for.add(kind.type)
        self.reading.listens |= waited_for
        return waited_for

    def _check_same(self, call: ast.Call, same: ast.expr | None, kinds: list[ast.expr]) -> None:
        """What ties a wait to its run is a field that the trigger and what is waited for both have."""
        if same is None or _is_none(same):
            return
        if not isinstance(same, ast.Constant) or not isinstance(same.value, str):
            self._mistake(call, "name the field of same= as a plain string, such as same='payment_id'")
            return
        waited_for = [kind for one in kinds if isinstance(kind := resolve(one, self.names), type)]
        for kind in (*(trigger.enters for trigger in self.journey.triggers), *waited_for):
            if issubclass(kind, Event) and not has_tie(kind, same.value):
                self._mistake(call, f"{kind.__name__} has no field {same.value} by which same= could tie it to its run")

    def _check_of(self, call: ast.Call, of: ast.expr | None, kinds: list[ast.expr]) -> None:
        """What is waited for about a reward says which reward it is about."""
        if of is None or _is_none(of):
            return
        for kind in (resolve(one, self.names) for one in kinds):
            if isinstance(kind, type) and issubclass(kind, Event) and "grant_id" not in kind.model_fields:
                self._mistake(call, f"{kind.__name__} is about no reward; of= takes what has a grant_id")

    def _check_message(self, verb: str, call: ast.Call, keywords: Mapping[str | None, ast.expr]) -> None:
        template = call.args[0] if call.args else keywords.get("template")
        if not isinstance(template, ast.Constant) or not isinstance(template.value, str):
            self._mistake(
                call,
                f"name the template of player.{verb}(...) as a plain string, so that it can be checked before a "
                "player needs it",
            )
            return
        channels: set[str] = set() if "via" in keywords else {IN_APP if verb == "survey" else "email"}
        for name in ("via", "fallback"):
            if name in keywords:
                best = Names(self.names, Counter(self.own)).known(keywords[name])
                is_best = isinstance(best, BestChannel) and (verb, name) == ("send", "via")
                named = set(best) if is_best else self._channels(keywords[name])
                if named is None:
                    self._mistake(call, f"name the channels of {name}= as plain strings, so that they can be checked")
                    return
                channels |= named
        if unknown := sorted(channels - set(CHANNELS)):
            self._mistake(
                call, f"there is no channel {', '.join(unknown)}; the channels are {', '.join(sorted(CHANNELS))}"
            )
            return
        names = {name for name in keywords if name is not None} - _OWN_WORDS[verb]
        variables = None if None in keywords else frozenset(names)
        use = TemplateUse(
            self.journey.name, template.value, frozenset(channels), call.lineno, variables, verb == "survey"
        )
        self.reading.templates.append(use)

    def _hear_answers(self, call: ast.Call) -> None:
        """A survey waits for its answer, and is not asked of who has just lost or complained."""
        kinds = frozenset({FeedbackAnswered.type})
        self.reading.listens |= kinds
        self.reading.interest.add(kinds, None)
        self.reading.waits[call] = (kinds, None)
        self.reading.measures |= {measure.key: measure for measure in SORE_MEASURES}

    def _channels(self, node: ast.expr) -> set[str] | None:
        """The channels an expression can stand for, None when that cannot be told."""
        parts: list[ast.expr] = []
        match node:
            case ast.Constant(value=str(name)):
                return {name}
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                pass
            case ast.IfExp(body=one, orelse=other) | ast.BinOp(op=ast.Add(), left=one, right=other):
                parts = [one, other]
            case ast.Starred(value=one):
                parts = [one]
            case _:
                value = resolve(node, self.names)
                named = [value] if isinstance(value, str) else value
                if type(named) not in {list, tuple} or not all(isinstance(name, str) for name in named):
                    return None
                return set(named)
        named_by = [self._channels(part) for part in parts]
        return {name for names in named_by if names is not None for name in names} if None not in named_by else None

    def _check_form(self, verb: str, call: ast.Call, keywords: Mapping[str | None, ast.expr]) -> None:
        argument = call.args[0] if call.args else keywords.get("form")
        form = None if argument is None else resolve(argument, self.names)
        if isinstance(form, type) and issubclass(form, Form):
            self.reading.forms[form.__name__] = form
            if not form.__doc__:
                self._mistake(call, f"the form {form.__name__} asks nothing; write the question as its docstring")
            for pattern in backtracking_patterns(form):
                self._mistake(
                    call,
                    f"the form {form.__name__} has {pattern} run by Python's own engine, which one answer can keep "
                    "busy for hours; give pattern= a plain string, and no regex_engine",
                )
        else:
            got = "nothing" if argument is None else ast.unparse(argument)
            self._mistake(call, f"player.{verb} needs a class that is a Form and that the module can see, not {got}")

    def _check_eyes(self, call: ast.Call, keywords: Mapping[str | None, ast.expr]) -> None:
        """Whom a task is kept from is named by forms, and how many must agree by a number."""
        named = keywords.get("not_by")
        if named is not None:
            forms: list[Any] = [resolve(one, self.names) for one in getattr(named, "elts", [None])]
            if not all(isinstance(form, type) and issubclass(form, Form) for form in forms):
                self._mistake(
                    call,
                    "name the earlier questions of not_by= as a list of their forms, such as not_by=[Affordability]",
                )
            else:
                never = "which this journey never asks; name a question that comes before"
                told = {form.__name__: f"not_by= names {form.__name__}, {never}" for form in forms}
                self.reading.apart |= {form: self._sentence(call, what) for form, what in told.items()}
        approvals = keywords.get("approvals")
        if isinstance(approvals, ast.Constant) and approvals.value not in range(1, MOST_APPROVALS + 1):
            self._mistake(call, f"approvals= is how many people must agree, 1 to {MOST_APPROVALS}")
        match keywords.get("skill"):
            case ast.Constant(value=str(skill)) if not re.fullmatch(GIVEN, skill):
                self._mistake(call, f"{skill!r} names no skill that anybody can be given; use a-z, 0-9, '.', '_', '-'")
            case _:
                pass

    def _check_segment(self, verb: str, call: ast.Call, keywords: Mapping[str | None, ast.expr]) -> None:
        argument = call.args[0] if call.args else keywords.get("segment")
        if argument is None and None in keywords:
            return
        if argument is not None and not isinstance(argument, ast.Constant | ast.JoinedStr | ast.Lambda):
            # What a function calls by a name of its own is judged when the run comes to it.
            value = None if self._is_own(argument) else resolve(argument, self.names)
            if value is None or isinstance(value, Segment):
                return
        got = "nothing" if argument is None else ast.unparse(argument)
        self._mistake(
            call, f"player.{verb}(...) takes a segment, not {got}; put @segment above the function and name it here"
        )

    def _check_measure(self, verb: str, call: ast.Call, keywords: Mapping[str | None, ast.expr]) -> None:
        """A measure is kept of every player because a journey's code names it, so it must be found there."""
        argument = call.args[0] if call.args else keywords.get("measure")
        value = None if argument is None or self._is_own(argument) else resolve(argument, self.names)
        if isinstance(value, Measure):
            self.reading.measures[value.key] = value
            return
        got = "nothing" if argument is None else ast.unparse(argument)
        self._mistake(
            call,
            f"player.{verb}(...) takes a measure by the name it has in its module, not {got}; declare one there, such "
            "as deposited = total(DepositApproved, 'amount_minor')",
        )

    def _check_time(self, call: ast.Call, keywords: Mapping[str | None, ast.expr]) -> None:
        at = call.args[0] if call.args else keywords.get("at")
        if isinstance(at, ast.Constant):
            try:
                time.fromisoformat(str(at.value))
            except ValueError:
                self._mistake(call, f"{at.value!r} is no time of day; write it as HH:MM, such as 15:00")
        elif isinstance(at, ast.expr):
            self._check_moment(call, at)
        weekday = keywords.get("weekday")
        if isinstance(weekday, ast.Constant) and weekday.value not in {*WEEKDAYS, None}:
            self._mistake(call, f"{weekday.value!r} is no weekday; write one of {', '.join(WEEKDAYS)}")

    def _check_moment(self, call: ast.Call, moment: ast.expr) -> None:
        """A moment that hangs on facts moves with what tells of them, so the run has to hear that."""
        facts = sorted(set(facts_of(moment, None if self._is_own(moment) else resolve(moment, self.names))))
        for name in facts:
            if name not in TOLD_BY:
                known = ", ".join(sorted(TOLD_BY))
                self._mistake(call, f"no event tells when player.{name} changes; a moment may hang on {known}")
        kinds = frozenset(kind.type for name in facts for kind in TOLD_BY.get(name, ()))
        self.reading.listens |= kinds
        self.reading.interest.add(kinds, None)
        self.reading.waits[call] = (kinds, None)

    def _mistake(self, node: ast.expr, what: str) -> None:
        self.reading.mistakes.append(self._sentence(node, what))

    def _sentence(self, node: ast.expr, what: str) -> str:
        module = self.function.__module__
        at = "" if module == self.journey.function.__module__ else f" {module},"
        return f"Journey {self.journey.name},{at} line {node.lineno}: {what}."


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)

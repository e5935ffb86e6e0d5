"""The designer's test kit: one player, one journey, time that passes when told.

    async def test_a_silent_player_is_guided(rehearse):
        run = await rehearse(welcome, player(language="uk", timezone="Europe/Kyiv"))
        await run.advance(days(7))
        assert run.sent == ["welcome", "verify-email", "guide"]

Everything is real except the world: the journey runs on the SDK's own runtime, the gate and the entry rules
are production's.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, JsonValue

from content.settings import ContentSettings
from content.template_files import TemplateFacts
from content.templates import read_template_facts
from stage.errors import StageError
from stage.testing.players import PAST, Cast, Happening, make, player
from stage.virtual_temporal.activities import Latency, at_once
from stage.world.faults import Faults
from stage.world.player_buttons import Button
from stage.world.records import MessageRecord, RunRecord, TaskRecord
from stage.world.state import Answers, nobody
from stage.world.world import World
from workflows.declaration import Journey
from workflows.events import DepositApproved, Event, FeedbackAnswered, PlayerRegistered
from workflows.forms import Form
from workflows.gate.policy import Policy
from workflows.local_time import zone
from workflows.rules.index import RuleIndex
from workflows.rules.triggers import InactiveRule, MilestoneRule, OfSegment, On, Streak, ThresholdRule, Trigger
from workflows.run import JourneyRun
from workflows.run_protocol import POSITION, Position, StoryLine
from workflows.source.journey_loading import SHIPPED, Registry, load

__all__ = ["Cast", "Rehearsal", "Rehearse", "player", "rehearse"]

#: A Monday, far from any change of clocks; where nothing else is said a rehearsal begins at ten that morning on the
#: player's own clock.
MONDAY = datetime(2026, 1, 12, 10)  # noqa: DTZ001 - a wall clock's, given the player's zone where it is used
#: Between two events of a streak.
MOMENT = timedelta(minutes=1)
CLOCK = "%a %d %b %H:%M"


class Rehearsal:
    """A run under rehearsal: let things happen, let time pass, look at what came of it."""

    def __init__(self, world: World, cast: Cast, journey: Journey, others: frozenset[str] = frozenset()) -> None:
        self.world = world
        self.cast = cast
        self.journey = journey
        self._others = others
        self._events = 0
        self._happened: list[tuple[datetime, str]] = []

    # ---- what happens ------------------------------------------------------------------------

    async def advance(self, duration: timedelta) -> None:
        """Let time pass. Timers fire, effects happen, quiet hours end, tasks fall due."""
        self.world.advance_to(self.world.now + duration)

    async def happens(self, happened: type[Event] | Event, /, *, times: int = 1, **data: Any) -> None:
        """Something happens to the player now: a class with its data, or an event.

        Required fields that are not given are taken from the documented example of the class. `times` of them come
        one after the other in the same instant.
        """
        kind = happened if isinstance(happened, type) else type(happened)
        if kind.derived:
            raise StageError(f"{kind.__name__} is computed here; let the events happen that it is derived from.")
        for _ in range(times):
            event = self._event(happened, data)
            self.world.happen(self.cast.player_id, event)
            self._note(event, data)
        self.world.advance_to(self.world.now)

    async def answers(self, form: Form, *, by: str | None = None) -> None:
        """A person fills in the open task of this form; say `by` whom where it matters who it is."""
        name = type(form).__name__
        task = next((t for t in self.tasks if t.form == name and t.state == "open"), None)
        if task is None:
            asked = ", ".join(f"{t.form} ({t.state})" for t in self.tasks) or "nothing was asked"
            raise StageError(f"No task is open for {name}: {asked}. Let time pass until the journey asks.")
        answer = form.model_dump(mode="json")
        self._happened.append((self.world.now, f"{name} is answered{_shown(answer)}"))
        self.world.answer(task, answer, by)
        self.world.advance_to(self.world.now)

    async def press(self, button: Button, name: str, **how: str) -> str | None:
        """The player presses a button of a mission or a wheel; why it was not done, None if it was.

        `key=` names the press of a spin, `client_seed=` is the player's own word.
        """
        self._happened.append((self.world.now, f"the player presses {button} of {name}"))
        refused = self.world.press(self.cast.player_id, button, name, **how)
        self.world.advance_to(self.world.now)
        return refused

    async def player_answers(self, kind: str, **said: int | str) -> None:
        """The player answers the journey's newest survey: `"nps", score=3`, `"choice", choice="slots"`."""
        asked = [message for message in self._messages if message.step.startswith("survey:")]
        if not asked:
            raise StageError("The player was asked nothing. Let time pass until the journey asks.")
        about = {"survey_id": asked[-1].template, "question_id": f"{asked[-1].run_id}/{asked[-1].step}"}
        given: dict[str, Any] = {"score": None, "subject_ref": asked[-1].about, **about, **said}
        await self.happens(FeedbackAnswered, kind=kind, **given)

    async def hold(self) -> None:
        """Somebody holds the journey: the run waits at its next effect."""
        self._happened.append((self.world.now, "the journey is held"))
        self.world.hold(self.journey.name)

    async def resume(self) -> None:
        """The hold is over, and the run goes on."""
        self._happened.append((self.world.now, "the journey is resumed"))
        self.world.resume(self.journey.name)
        self.world.advance_to(self.world.now)

    async def close(self) -> None:
        """Somebody closes the journey: nobody enters it, and who is in it goes on."""
        self._happened.append((self.world.now, "the journey is closed"))
        self.world.close_journey(self.journey.name)

    async def moves_to(self, version: int | None = None, *do: str) -> None:
        """The run moves to another release, at its next wait; to the code as it is now if none is named.

        `do` are steps that the release has more, before the place where the run stands, and that are done all the same.
        """
        target = self.journey.version if version is None else version
        _check_version(self.journey, target)
        if self._run.outcome is not None:
            raise StageError(f"The run is over ({self._run.outcome}); move it while it goes on.")
        self._happened.append((self.world.now, f"the run is told to move to v{target}"))
        if not self.world.migrate(self._run.run_id, target, do):
            raise StageError(f"The run is on v{target} already, or was told to end.")
        self.world.advance_to(self.world.now)

    # ---- what came of it ---------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The present of the rehearsal, aware UTC."""
        return self.world.now

    @property
    def sent(self) -> list[str]:
        """Templates that went out, one for each step, in order."""
        return list({(m.run_id, m.step): m.template for m in self._messages if m.suppressed is None}.values())

    @property
    def sent_via(self) -> list[tuple[str, str]]:
        """Template and channel of everything that went out."""
        return [(m.template, m.channel) for m in self._messages if m.suppressed is None]

    @property
    def suppressed(self) -> dict[str, str]:
        """Templates that went out on no channel, with the reason of the first."""
        sent = set(self.sent)
        refused: dict[str, str] = {}
        for message in self._messages:
            if message.suppressed is not None and message.template not in sent:
                refused.setdefault(message.template, message.suppressed)
        return refused

    @property
    def granted(self) -> list[str]:
        """Kinds of the rewards the player has, in order."""
        return [grant.kind for grant in self.world.grants if self._ours(grant.journey) and grant.status == "confirmed"]

    @property
    def rewards(self) -> list[BaseModel]:
        """The rewards themselves."""
        return [
            grant.reward for grant in self.world.grants if self._ours(grant.journey) and grant.status == "confirmed"
        ]

    @property
    def asked(self) -> list[str]:
        """Forms that people were asked to fill in, in order."""
        return [task.form for task in self.tasks]

    @property
    def tasks(self) -> list[TaskRecord]:
        """The tasks themselves: team, due, state."""
        return [task for task in self.world.tasks.values() if self._ours(task.journey)]

    @property
    def entries(self) -> int:
        """How often the player has entered the journey."""
        return sum(1 for run in self.world.runs.values() if run.journey == self.journey.name)

    @property
    def ended(self) -> str | None:
        """How the run ended, or None while it goes on. Of several entries, the last."""
        return self._run.outcome

    @property
    def goal_reached(self) -> bool:
        """Whether the journey's goal happened in time."""
        return self._run.goal_at is not None

    @property
    def waiting(self) -> Position | None:
        """Where the run stands, or None when it is over."""
        run = self._run
        if run.outcome is not None or run.run_id not in self.world.temporal.runs:
            return None
        position: Position = self.world.temporal.query(run.run_id, POSITION, Position)
        return position

    @property
    def version(self) -> int:
        """The release that the run plays; 0 for code that is none."""
        return self._run.version

    @property
    def story(self) -> list[str]:
        """Everything that happened, a line each, on the player's own clock."""
        local = zone(self.cast.registered.get("timezone"))
        lines = list(self._happened)
        lines += [(line.at, f"  {line.step}  {line.outcome}{_shown(line.detail)}") for line in self.world.story]
        position: Position | None = None
        if self.entries:
            # A run that has just broken cannot be asked any more, and its story is wanted then most of all.
            with suppress(StageError):
                position = self.waiting
        untold: Sequence[StoryLine] = position.story if position is not None else ()
        lines += [(line.at, f"  {line.step}  {line.outcome}{_shown(line.detail)}") for line in untold]
        if position is not None and position.step is not None and position.waiting_until is not None:
            until = f"{position.waiting_until.astimezone(local):{CLOCK}}"
            lines.append((self.now, f"  {position.step}  is waiting until {until}"))
        return [f"{at.astimezone(local):{CLOCK}}  {what}" for at, what in sorted(lines, key=lambda line: line[0])]

    def __repr__(self) -> str:
        stands = "not entered" if not self.entries else self.ended or "under way"
        return f"<{self.journey.name} for {self.cast.player_id}: {stands}>"

    # ---- how it begins -----------------------------------------------------------------------

    def set_up_without_trigger(self) -> None:
        """The player's past, and nothing yet of what starts the journey. `rehearse` calls this or `begin`, once."""
        newcomer = any(isinstance(rule, On) and rule.kind is PlayerRegistered for rule in self.journey.triggers)
        self._live_until_now(newcomer=newcomer)

    def begin(self, trigger: type[Event] | Event | None, data: Mapping[str, Any]) -> None:
        """The player's past, and what starts the journey. `rehearse` calls this or `set_up_without_trigger`, once."""
        if self.journey.triggers:
            rule, event = self._starts(trigger, data)
            self._live_until_now(newcomer=isinstance(event, PlayerRegistered))
            self._happen(rule, event, data)
        elif trigger is not None or data:
            raise StageError(f"No event starts {self.journey.name}; it is started by hand, so leave trigger= out.")
        else:
            self._live_until_now(newcomer=False)
            self.world.enter(self.cast.player_id, self.journey.name, None)
        self.world.advance_to(self.now)
        if not self.entries:
            raise StageError(
                f"{self.journey.name} does not let the player in: see its entry rule, its late_after= and its triggers."
            )

    def _live_until_now(self, *, newcomer: bool) -> None:
        if not newcomer:
            self._past(self.cast.registration)
        self._past(*self.cast.past(), *[self.cast.deposit] * self.cast.deposits)

    def _starts(self, trigger: type[Event] | Event | None, data: Mapping[str, Any]) -> tuple[Trigger, Event]:
        """The rule that starts the journey, and the event that fires it."""
        tried: list[str] = []
        for rule in self.journey.triggers:
            wanted = trigger if trigger is not None else rule.enters
            kind = wanted if isinstance(wanted, type) else type(wanted)
            if isinstance(rule, InactiveRule):
                if trigger is None:
                    return rule, self._event(rule.kind, data)
                continue
            if not issubclass(kind, rule.enters):
                tried.append(f"{rule.key} does not fire on {kind.__name__}")
                continue
            given = self.cast.registered if kind is PlayerRegistered and not isinstance(wanted, Event) else {}
            if rule.enters is DepositApproved and not isinstance(wanted, Event):
                given = self.cast.deposit[1]
            if isinstance(rule, On) and isinstance(rule.where, OfSegment) and not isinstance(wanted, Event):
                given = {"segment": rule.where.segment}
            event = self._event(wanted, {**given, **data})
            if not isinstance(rule, On | Streak) or rule.where is None or rule.where(event):
                return rule, event
            tried.append(f"where= of {rule.key} refuses {event.to_wire()['data']}")
        raise StageError(
            f"Nothing starts {self.journey.name} here: {'; '.join(tried)}. Say what does, as in "
            'rehearse(journey, player(), trigger=TierChanged, to="platinum").'
        )

    def _happen(self, rule: Trigger, event: Event, given: Mapping[str, Any]) -> None:
        kind, data = type(event), event.to_wire()["data"]
        match rule:
            case InactiveRule():
                # The clock itself fires it, at the moment this past makes due.
                self._past((rule.kind, data, rule.duration))
                self._happened.append((self.now, f"{rule.duration} without {rule.kind.type}"))
                return
            case MilestoneRule():
                had = self.world.player(self.cast.player_id).counts.get(kind.type, 0)
                if had >= rule.count:
                    raise StageError(
                        f"The player has {had} of {kind.type} and passed the milestone of {rule.count} long ago; give "
                        f"them {rule.count - 1} at most, for the one that starts it comes on top."
                    )
                before = self.cast.deposit if kind is DepositApproved else (kind, data, PAST)
                self._past(*[before] * (rule.count - had - 1))
            case Streak():
                self._past(*((kind, data, MOMENT * ago) for ago in range(rule.length - 1, 0, -1)))
            case ThresholdRule():
                # Whatever lies before it, this is the event that reaches the number.
                self.world.happen(self.cast.player_id, event, mode="history")
                self.world.enter(self.cast.player_id, self.journey.name, event)
                self._note(event, given)
                return
            case _:
                pass
        if kind.derived:
            self.world.enter(self.cast.player_id, self.journey.name, event)
        else:
            self.world.happen(self.cast.player_id, event)
        self._note(event, given)

    def _past(self, *happened: Happening) -> None:
        events = [self._event(kind, data, ago=ago) for kind, data, ago in happened]
        self.world.happen(self.cast.player_id, *events, mode="history")

    def _event(self, happened: type[Event] | Event, data: Mapping[str, Any], *, ago: timedelta = timedelta(0)) -> Event:
        self._events += 1
        event_id, moment = f"{self.cast.player_id}-{self._events}", self.now - ago
        if isinstance(happened, Event):
            return happened.model_copy(update={"event_id": event_id, "occurred_at": moment, **data})
        return make(happened, data, event_id=event_id, occurred_at=moment)

    def _note(self, event: Event, given: Mapping[str, Any]) -> None:
        self._happened.append((self.now, f"{event.type}{_shown(given)}"))

    # ---- the rehearsed run -------------------------------------------------------------------

    @property
    def _run(self) -> RunRecord:
        runs = [run for run in self.world.runs.values() if run.journey == self.journey.name]
        if not runs:
            raise StageError(f"The player has not entered {self.journey.name}; let happen what starts it.")
        return runs[-1]

    @property
    def _messages(self) -> list[MessageRecord]:
        return [message for message in self.world.messages if self._ours(message.journey)]

    def _ours(self, journey: str) -> bool:
        return journey not in self._others


def _templates() -> Mapping[str, TemplateFacts]:
    return read_template_facts(ContentSettings().template_folders)


@dataclass
class Rehearse:
    """What the `rehearse` fixture gives: call it with a journey and a player."""

    templates: Mapping[str, TemplateFacts] = field(default_factory=_templates)
    rehearsals: list[Rehearsal] = field(default_factory=list)

    async def __call__(
        self,
        journey: type[JourneyRun],
        cast: Cast | None = None,
        *,
        at: datetime | None = None,
        begins: bool = True,
        version: int | None = None,
        trigger: type[Event] | Event | None = None,
        along: Sequence[type[JourneyRun]] = (),
        answers: Answers = nobody,
        faults: Faults | None = None,
        latency: Latency = at_once,
        policy: Policy | None = None,
        programs: Sequence[str] = (),
        **data: Any,
    ) -> Rehearsal:
        """Let a player enter a journey, in the treated arm, at ten on a Monday unless `at` says otherwise.

        What starts it is the documented example of the event that its first fitting trigger waits for; `trigger` and
        `data` say it differently. With `begins=False` the test lets it happen. The run plays the code as it is, or the
        release `version`. `along` are other journeys the same events may start; what they send counts for caps but not
        for `run.sent`. `answers` is how people answer by themselves, `faults` what providers do, `latency` how long
        effects take. `programs` are modules of a loyalty program that is deployed too.
        """
        cast = cast or player()
        registry = _registry(journey.definition.function.__module__, tuple(programs))
        played = registry.journeys[journey.definition.name]
        if version is not None:
            _check_version(played, version)
            registry = replace(registry, journeys={**registry.journeys, played.name: replace(played, live=version)})
        world = World(
            registry,
            self.templates,
            _moment(at, cast),
            policy=policy,
            answers=answers,
            faults=faults,
            latency=latency,
            control=0,
        )
        name, others = journey.definition.name, frozenset(other.definition.name for other in along)
        world.rules = _rules_of(world.registry, {name, *others})
        world.addresses[cast.player_id] = cast.reachable
        self.rehearsals.append(rehearsal := Rehearsal(world, cast, world.registry.journeys[name], others))
        if begins:
            rehearsal.begin(trigger, data)
        else:
            rehearsal.set_up_without_trigger()
        return rehearsal

    def close(self) -> None:
        """Take down what is still under way."""
        for rehearsal in self.rehearsals:
            rehearsal.world.close()


async def rehearse(journey: type[JourneyRun], cast: Cast | None = None, **options: Any) -> Rehearsal:
    """Rehearse without the fixture, as in a notebook; see `Rehearse.__call__`."""
    return await Rehearse()(journey, cast, **options)


def _check_version(journey: Journey, version: int) -> None:
    """Raise `StageError` for a version that is neither the code as it is nor a release of it."""
    if version in {journey.version, *journey.versions}:
        return
    known = ", ".join(f"v{one}" for one in sorted({journey.version, *journey.versions}))
    raise StageError(f"There is no v{version} of {journey.name} to play; there are {known}. Release it first.")


def _moment(at: datetime | None, cast: Cast) -> datetime:
    moment = at or MONDAY
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(cast.registered.get("timezone")))
    return moment.astimezone(UTC)


def _rules_of(registry: Registry, entered: Collection[str]) -> RuleIndex:
    """Those of every journey; one that is not among `entered` is there to be started by these, not by what happens."""
    journeys = {name: one if name in entered else replace(one, triggers=()) for name, one in registry.journeys.items()}
    return RuleIndex(journeys, registry.segments, registry.loyalty)


@lru_cache(maxsize=64)
def _registry(module: str, programs: tuple[str, ...]) -> Registry:
    """The shipped journeys and those beside this one; a test module's journeys stand alone."""
    if module.startswith(SHIPPED):
        return load((SHIPPED, *programs))
    package, _, name = module.rpartition(".")
    alone = not package or name.startswith("test_")
    return load((SHIPPED, module if alone else package, *programs))


def _shown(detail: Mapping[str, JsonValue]) -> str:
    parts: list[str] = []
    for name, value in detail.items():
        inner = value if isinstance(value, dict) else {name: value}
        parts += [f"{key}={one}" for key, one in inner.items() if one not in (None, "", [], {})]
    return f" ({', '.join(parts)})" if parts else ""

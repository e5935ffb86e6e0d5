"""The designer's test kit: one player, one journey, time that passes when told.

    async def test_silent_player_is_guided(rehearse):
        run = await rehearse(welcome, player(language="uk", timezone="Europe/Kyiv"))
        await run.advance(days(7))
        assert run.sent == ["welcome", "verify-email", "guide"]

Everything is real except the world: the journey runs on the SDK's own runtime, the gate and the entry rules
are production's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, JsonValue

from stage.errors import StageError
from stage.templates import read_templates
from stage.world import Answers, Faults, TaskRecord, TemplateFacts, World, nobody
from workflows.effects import Channel, Position
from workflows.events import DepositApproved, Event, Inactive, PlayerRegistered, TierChanged
from workflows.forms import Form
from workflows.journey import Journey, JourneyRun
from workflows.moments import zone
from workflows.policy import Policy
from workflows.registry import SHIPPED, Registry, load
from workflows.rules import InactiveRule

#: A Monday; where nothing else is said a rehearsal begins at ten on the player's own clock.
MONDAY = datetime(2026, 3, 2, 10)  # noqa: DTZ001 - a wall clock's, given the player's zone where it is used
SOURCE = "/rehearsal"
#: How long ago a player's past lies, so that nothing of it looks like today's.
PAST = timedelta(days=60)
EVERY_CHANNEL: tuple[Channel, ...] = ("email", "sms", "push", "in_app")


@dataclass(frozen=True)
class Cast:
    """A player to rehearse with: registration facts, a past, and the channels they can be reached on."""

    player_id: str
    registered: Mapping[str, Any]
    deposits: int
    tier: str | None
    reachable: frozenset[Channel]


def player(
    player_id: str = "player",
    *,
    language: str = "en",
    timezone: str | None = "Europe/London",
    country: str = "GB",
    currency: str = "GBP",
    opted_in: Sequence[str] = EVERY_CHANNEL,
    reachable: Sequence[Channel] = EVERY_CHANNEL,
    deposits: int = 0,
    tier: str | None = None,
    **registered: Any,
) -> Cast:
    """A player, by default one who may be told everything everywhere.

    `deposits` approved ones of 50.00 lie in the past, `tier` was told in the past. Take a permission away to see
    what the gate does: `opted_in=[]` for no consent, `reachable=["push"]` for no addresses.
    """
    facts = {
        "language": language,
        "timezone": timezone,
        "country": country,
        "currency": currency,
        "opted_in": list(opted_in),
        **registered,
    }
    return Cast(player_id, facts, deposits, tier, frozenset(reachable))


class Rehearsal:
    """A run under rehearsal: let things happen, let time pass, look at what came of it."""

    def __init__(self, world: World, cast: Cast, journey: Journey) -> None:
        self.world = world
        self.cast = cast
        self.journey = journey
        self.run_id = ""
        self._events = 0

    # ---- what happens ------------------------------------------------------------------------

    async def advance(self, duration: timedelta) -> None:
        """Let time pass. Timers fire, effects happen, quiet hours end, tasks fall due."""
        self.world.advance_to(self.world.now + duration)

    async def happens(self, happened: type[Event] | Event, **data: Any) -> None:
        """Something happens to the player now: a class with its data, or an event.

        Required fields that are not given are taken from the documented example of the class.
        """
        self.world.happen(self.cast.player_id, self._event(happened, data))
        self.world.advance_to(self.world.now)

    async def answers(self, form: Form) -> None:
        """A person fills in the open task of this form."""
        name = type(form).__name__
        task = next((t for t in self._tasks if t.form == name and t.state == "open"), None)
        if task is None:
            asked = ", ".join(f"{t.form} ({t.state})" for t in self._tasks) or "nothing was asked"
            raise StageError(f"No task is open for {name}: {asked}. Let time pass until the journey asks.")
        self.world.answer(task, form.model_dump(mode="json"))
        self.world.advance_to(self.world.now)

    # ---- what came of it ---------------------------------------------------------------------

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
        return [g.kind for g in self.world.grants if g.player_id == self.cast.player_id and g.status == "confirmed"]

    @property
    def rewards(self) -> list[BaseModel]:
        """The rewards themselves."""
        return [g.reward for g in self.world.grants if g.player_id == self.cast.player_id and g.status == "confirmed"]

    @property
    def asked(self) -> list[str]:
        """Forms that people were asked to fill in, in order."""
        return [task.form for task in self._tasks]

    @property
    def tasks(self) -> list[TaskRecord]:
        """The tasks themselves: team, due, state."""
        return self._tasks

    @property
    def ended(self) -> str | None:
        """How the run ended, or None while it goes on."""
        return self.world.runs[self.run_id].outcome

    @property
    def goal_reached(self) -> bool:
        """Whether the journey's goal happened in time."""
        return self.world.runs[self.run_id].goal_at is not None

    @property
    def waiting(self) -> Position | None:
        """Where the run stands, or None when it is over."""
        if self.ended is not None:
            return None
        position: Position = self.world.temporal.query(self.run_id, "position", Position)
        return position

    @property
    def story(self) -> list[str]:
        """Everything that happened, a line each, on the player's own clock."""
        local = zone(self.cast.registered.get("timezone"))
        lines = [(s.at, s.step, s.outcome, s.detail) for s in self.world.story]
        if (position := self.waiting) is not None:
            lines += [(s.at, s.step, s.outcome, s.detail) for s in position.story]
        told = [
            f"{at.astimezone(local):%a %d %b %H:%M}  {step}  {outcome}{_shown(detail)}"
            for at, step, outcome, detail in sorted(lines, key=lambda line: line[0])
        ]
        if position is not None and position.step is not None and position.waiting_until is not None:
            told.append(
                f"now waiting  {position.step}  until {position.waiting_until.astimezone(local):%a %d %b %H:%M}"
            )
        return told

    def __repr__(self) -> str:
        return f"<{self.journey.name} for {self.cast.player_id}: {self.ended or 'under way'}>"

    # ---- how it begins -----------------------------------------------------------------------

    def begin(self, trigger: Event | None) -> None:
        """The player's past, and then the entry. Called once, by `rehearse`."""
        newcomer = any(t.kind is PlayerRegistered for t in self.journey.triggers)
        long_ago = timedelta(0) if newcomer else PAST
        past = [self._event(PlayerRegistered, dict(self.cast.registered), ago=long_ago)]
        if self.cast.tier is not None:
            past.append(self._event(TierChanged, {"to": self.cast.tier}, ago=PAST))
        deposit = {"amount_minor": 5000, "currency": self.cast.registered["currency"]}
        past += [self._event(DepositApproved, deposit, ago=PAST) for _ in range(self.cast.deposits)]
        self.world.happen(self.cast.player_id, *past, mode="history")
        run_id = self.world.enter(self.cast.player_id, self.journey.name, trigger or self._trigger(past[0]))
        if run_id is None:
            raise StageError(f"The entry rule of {self.journey.name} does not let {self.cast.player_id} in.")
        self.run_id = run_id
        self.world.advance_to(self.world.now)

    def _trigger(self, registered: Event) -> Event | None:
        if not self.journey.triggers:
            return None
        first = self.journey.triggers[0]
        if isinstance(first, InactiveRule):
            seconds = int(first.duration.total_seconds())
            return self._event(Inactive, {"seconds": seconds, "kind": first.kind.type})
        return registered if first.kind is PlayerRegistered else self._event(first.kind, {})

    def _event(self, happened: type[Event] | Event, data: Mapping[str, Any], *, ago: timedelta = timedelta(0)) -> Event:
        self._events += 1
        envelope = {
            "event_id": f"{self.cast.player_id}-{self._events}",
            "event_source": SOURCE,
            "occurred_at": self.world.now - ago,
        }
        if isinstance(happened, Event):
            return happened.model_copy(update={**envelope, **data})
        names = {f.alias or name: name for name, f in happened.model_fields.items()}
        example = {
            key: value
            for key, value in happened.example_data.items()
            if happened.model_fields[names.get(key, key)].is_required()
        }
        return happened(**{**example, **data, **envelope})

    @property
    def _messages(self) -> list[Any]:
        return [m for m in self.world.messages if m.player_id == self.cast.player_id]

    @property
    def _tasks(self) -> list[TaskRecord]:
        return [t for t in self.world.tasks.values() if t.player_id == self.cast.player_id]


@dataclass
class Rehearse:
    """What the `rehearse` fixture gives: call it with a journey and a player."""

    templates: Mapping[str, TemplateFacts] = field(default_factory=read_templates)
    rehearsals: list[Rehearsal] = field(default_factory=list)

    async def __call__(
        self,
        journey: type[JourneyRun],
        cast: Cast | None = None,
        *,
        at: datetime | None = None,
        trigger: Event | None = None,
        answers: Answers = nobody,
        faults: Faults | None = None,
        policy: Policy | None = None,
    ) -> Rehearsal:
        """Let a player enter a journey, in the treated arm, at ten on a Monday unless `at` says otherwise.

        `answers` is how people answer by themselves, `faults` what providers do, `trigger` the event that starts it
        (by default the documented example of the first trigger's event).
        """
        cast = cast or player()
        local = zone(cast.registered.get("timezone"))
        begins = at.astimezone(UTC) if at is not None else MONDAY.replace(tzinfo=local).astimezone(UTC)
        world = World(
            _registry(journey.definition.function.__module__),
            self.templates,
            begins,
            policy=policy,
            answers=answers,
            faults=faults,
            control=0,
        )
        world.addresses[cast.player_id] = cast.reachable
        rehearsal = Rehearsal(world, cast, world.registry.journeys[journey.definition.name])
        self.rehearsals.append(rehearsal)
        rehearsal.begin(trigger)
        return rehearsal


@lru_cache(maxsize=64)
def _registry(module: str) -> Registry:
    """The shipped journeys and those beside this one; a test module's journeys stand alone."""
    if module.startswith(SHIPPED):
        return load((SHIPPED,))
    package, _, name = module.rpartition(".")
    alone = not package or name.startswith("test_")
    return load((SHIPPED, module if alone else package))


def _shown(detail: Mapping[str, JsonValue]) -> str:
    parts = [f"{name}={value}" for name, value in detail.items() if value not in (None, "", [], {})]
    return f" ({', '.join(parts)})" if parts else ""

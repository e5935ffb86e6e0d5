"""What a journey may know of its player: facts as of the last `refresh`, and the journey's own clock."""

from collections.abc import Callable
from datetime import datetime

from workflows.effects import ASSIGN, READ_SCORE, READ_VALUE, AssignArm, ReadScore, ReadValue, ValueRead
from workflows.experiment_draw import CONTROL, ArmAssigned
from workflows.experiments import Experiment
from workflows.local_time import zone
from workflows.player_facts import ScoreName, ScoreRead
from workflows.rules.measures import Measure
from workflows.rules.patterns import Change
from workflows.rules.usual_values import Usual
from workflows.run import JourneyRun
from workflows.run_journal import MOVED_PAST
from workflows.verb_results import PlayerScore


class KnownPlayer:
    """The facts of the player of one run. A journey gets a `Player`, which also can do something."""

    def __init__(self, run: JourneyRun) -> None:
        self._run = run

    @property
    def now(self) -> datetime:
        """When the last step was over, in UTC: the clock of a journey, which shows the same however often it is played.

        Any other clock would show another time when a chapter begins anew or the run moves to another release.
        """
        return self._run.clock

    @property
    def id(self) -> str:
        """The operator's id of the player."""
        return self._run.facts.player_id

    @property
    def language(self) -> str:
        """BCP 47 language tag, such as `en` or `uk`."""
        return self._run.facts.language

    @property
    def timezone(self) -> str | None:
        """IANA zone; None when the operator never sent one."""
        return self._run.facts.timezone

    @property
    def country(self) -> str | None:
        """ISO 3166 alpha-2 code."""
        return self._run.facts.country

    @property
    def currency(self) -> str:
        """ISO 4217 code of the player's wallet."""
        return self._run.facts.currency

    @property
    def tier(self) -> str | None:
        """Loyalty tier, as of the last `loyalty.tier_changed`."""
        return self._run.facts.tier

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes; None before the first round."""
        return self._run.facts.favourite_category

    @property
    def deposits(self) -> int:
        """How many deposits were approved so far."""
        return self._run.facts.deposits

    @property
    def mean_deposit_minor(self) -> int:
        """Mean approved deposit in minor units; 0 before the first."""
        facts = self._run.facts
        return facts.deposited_minor // facts.deposits if facts.deposits else 0

    @property
    def last_login(self) -> datetime | None:
        """When the player was last seen to log in."""
        return self._run.facts.last_login

    @property
    def registered_at(self) -> datetime | None:
        """When the player registered."""
        return self._run.facts.registered_at

    @property
    def harm(self) -> str | None:
        """The strongest signal of harm that stands: `weak`, `medium`, `strong`; None when there is none."""
        return self._run.facts.harm

    @property
    def usual_hours(self) -> list[int]:
        """The fewest hours of the player's day (0 to 23) that hold half of all visits, busiest first."""
        return self._run.facts.usual_hours

    @property
    def consents(self) -> list[str]:
        """Channels, and `channel/product`, on which the player agreed to be written to."""
        return self._run.facts.consents

    @property
    def objects_to_profiling(self) -> bool:
        """Whether the player objected to being profiled: a No to the channel `profiling`; no word is none.

        Marketing is refused to them by itself, and nothing is known of what is usual for them. What else goes by how
        they behave, such as a call, asks here.
        """
        return self._run.facts.objects_to_profiling

    @property
    def kyc(self) -> str | None:
        """What the check of who the player is came to: `submitted`, `approved`, `rejected`, …; None before one."""
        return self._run.facts.kyc

    @property
    def kyc_deadline(self) -> datetime | None:
        """Until when the player has to have passed that check."""
        return self._run.facts.kyc_deadline

    @property
    def last_viewed(self) -> str | None:
        """The id of what the player looked at last on the site."""
        return self._run.facts.last_viewed

    @property
    def liked(self) -> Callable[[str], bool | None]:
        """Whether the player liked it, by their newest thumb or yes: `player.liked("free_spins")`; None: no word."""
        return self._run.facts.liked.get

    @property
    def clock(self) -> datetime:
        """`now` on the player's own clock: its weekday and hour are theirs. UTC where the zone is unknown."""
        return self.now.astimezone(zone(self.timezone))

    # ---- what is counted ---------------------------------------------------------------------

    async def value(self, measure: Measure, *, previous: bool = False) -> int:
        """What a measure says about the player now, or of one per day, week or month in the period that ended last.

        It is counted from the deployment on that first reads it; `journeys derive` adds the past.
        """
        if previous and measure.per is None:
            raise ValueError(f"{measure.words} has no previous period; give it per=day, week or month.")
        return (await self._read("value", measure, previous=previous)).value

    async def usual(self, measure: Measure) -> Usual:
        """What is usual for this player, of a measure made by `typical(...)` or `gap(...)`."""
        if not measure.is_usual:
            raise ValueError(f"{measure.words} says nothing about what is usual; use typical(...) or gap(...).")
        read = await self._read("usual", measure, previous=False)
        return Usual(median=read.value, p95=read.p95, deviation=read.deviation, values=read.values)

    async def changed(self, measure: Measure, *, to_protect: bool = False) -> Change:
        """Whether the player plays in another way than before, by `week_days(...)`, `choices(...)` or `level(...)`.

        The last four weeks that are over are held against the eight before. `if change:` something changed; `change.to`
        says to what (`weekend`, `weekdays`, `higher`, `lower`, what is chosen now), `change.why` is a sentence for
        people.

        Of a player who objected to being profiled nothing is known, except where it is asked `to_protect` them: then
        what follows may be a look by a person trained for it, and never anything that sells.
        """
        if not measure.is_pattern:
            raise ValueError(f"{measure.words} is no pattern; use week_days(...), choices(...) or level(...).")
        read = await self._read("changed", measure, previous=False, to_protect=to_protect)
        return Change(known=read.known, to=read.to, why=read.why)

    async def score(self, name: ScoreName) -> PlayerScore:
        """What the newest score says of the player, in percent: `churn`, `value` or `vip`.

        `churn` is how likely they leave, with no deposit within 30 days; `value` how many of a hundred players are
        expected to deposit less in the next 90 days; `vip` how likely they are among the tenth that deposits most.

        A score is of last night. One that was told more than a week ago is not believed, and where no model is good
        enough there is none: then the answer is `estimated` from how long the player has been silent.
        """
        run = self._run
        reading = ReadScore(**run.common(run.step(f"score:{name}")), score=name)
        read = await run.once(READ_SCORE, reading, ScoreRead(percent=0))
        return PlayerScore(read.percent, tuple(read.why), estimated=read.as_of is None)

    async def arm(self, experiment: Experiment) -> str:
        """The player's arm of an experiment, by name: drawn the first time any run asks, and the same ever after.

        From this moment on the player counts in the experiment, so ask where the arms part and not before. In the arm
        `control` do what would be done without the experiment. An arm that was stopped is answered as `control`.
        """
        run = self._run
        asking = AssignArm(
            **run.common(run.step(f"arm:{experiment.name}")),
            experiment=experiment.name,
            experiment_version=experiment.version,
            arms=dict(experiment.arms),
        )
        passed_over = ArmAssigned(arm=CONTROL, chance=1.0, why=MOVED_PAST)
        return (await run.once(ASSIGN, asking, passed_over)).arm

    async def _read(self, verb: str, measure: Measure, *, previous: bool, to_protect: bool = False) -> ValueRead:
        run = self._run
        asked = run.common(run.step(f"{verb}:{measure.key}"))
        reading = ReadValue(**asked, measure=measure.key, previous=previous, to_protect=to_protect)
        return await run.once(READ_VALUE, reading, ValueRead(value=0))

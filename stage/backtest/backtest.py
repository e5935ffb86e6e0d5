"""Real journeys over real history: cut a log into shards of players, play each, add up what was counted.

Players never touch each other, so a shard is some players with their whole lives, and the sum is the same however
many shards there are and wherever they are played. Beyond one machine they are activities: see
`stage/backtest/distributed.py`.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from content.template_files import TemplateFacts
from stage.backtest.counts import BacktestCounts, counts_of
from stage.backtest.event_log import Log, play_back
from stage.errors import StageError
from stage.testing.answer_files import NOBODY, answers_of
from stage.world.world import World
from workflows.events import DepositApproved, PlayerRegistered
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import Registry, load

#: How long runs may go on after the last event, unless `--to` says otherwise.
AFTERWARDS: Final = timedelta(days=30)
#: Players played in one world: it bounds the memory, and only the bar can see it.
PLAYERS_A_SHARD: Final = 1_000
#: Events between two words to the bar.
STRIDE: Final = 500

#: Hears of so many more events that were played.
OnProgress = Callable[[int], None]


class BacktestPlan(BaseModel):
    """Everything a shard needs besides its events; it travels to other processes and machines.

    What happened before `live_from` is history: it is known about the players and starts nothing. Runs go on
    until `end`. `control` overrides every journey's control share; `answers` is what `read_answers` returned.
    """

    model_config = ConfigDict(frozen=True)

    packages: tuple[str, ...]
    journeys: tuple[str, ...]
    templates: Mapping[str, TemplateFacts]
    live_from: datetime
    end: datetime
    control: int | None = None
    answers: str = NOBODY
    seed: int = 0


def plan_of(
    log: Log,
    *,
    packages: Sequence[str],
    journeys: Sequence[str],
    templates: Mapping[str, TemplateFacts],
    live_from: datetime | None = None,
    to: datetime | None = None,
    register_first: bool | None = None,
    control: int | None = None,
    answers: str = NOBODY,
) -> tuple[BacktestPlan, Log]:
    """The plan of a rehearsal, and the part of the log it plays. Raises StageError with a sentence.

    Without `journeys` it is all of them. Without `register_first` players are registered before their first event
    where the log has no registration of anybody.
    """
    known = sorted(load(packages).journeys)
    for name in journeys:
        if name not in known:
            raise StageError(f"There is no journey {name}; there are {', '.join(known)}.")
    if live_from is not None and to is not None and to <= live_from:
        raise StageError(f"--to {to:%Y-%m-%d %H:%M} is not after --from {live_from:%Y-%m-%d %H:%M}; exchange them.")
    played = log if to is None else log.until(to)
    if played.events.is_empty():
        raise StageError(f"{log.name} begins at {log.first:%Y-%m-%d %H:%M}; give a --to after that.")
    if live_from is not None and live_from > played.last:
        raise StageError(f"{log.name} ends at {played.last:%Y-%m-%d %H:%M}; give a --from before that.")
    if register_first is None:
        register_first = not played.has(PlayerRegistered)
    if register_first:
        played = played.registered_first()
    plan = BacktestPlan(
        packages=tuple(packages),
        journeys=tuple(sorted(set(journeys) or known)),
        templates=templates,
        live_from=live_from or played.first,
        end=to or played.last + AFTERWARDS,
        control=control,
        answers=answers,
    )
    return plan, played


def play(plan: BacktestPlan, log: Log, on_progress: OnProgress = lambda _: None) -> BacktestCounts:
    """Play a log, or a shard of one, in this process.

    Raises StageError when a journey's code breaks or an answer does not fit its form; nothing is left out.
    """
    registry = registry_of(plan.packages, plan.journeys)
    world = World(
        registry,
        plan.templates,
        plan.live_from,
        answers=answers_of(plan.answers, registry),
        control=plan.control,
        seed=plan.seed,
    )
    counts = BacktestCounts()
    deposits: dict[str, tuple[list[datetime], list[int]]] = {}
    currencies: dict[str, str] = {}
    unreported = 0
    for player_id, event in play_back(log.events):
        at = event.occurred_at
        if at < plan.live_from:
            world.happen(player_id, event, mode="history")
        else:
            world.advance_to(at)
            world.happen(player_id, event)
        counts.events[(event.type,)] += 1
        if isinstance(event, DepositApproved):
            times, amounts = deposits.setdefault(player_id, ([], []))
            times.append(at)
            amounts.append(event.amount_minor)
            if event.currency is not None:
                currencies.setdefault(player_id, event.currency)
        unreported += 1
        if unreported == STRIDE:
            on_progress(unreported)
            unreported = 0
    # From here on nobody in the log does anything, so everybody would count as gone.
    world.rules = RuleIndex(
        {name: replace(one, triggers=()) for name, one in registry.journeys.items()},
        registry.segments,
        registry.loyalty,
    )
    world.advance_to(plan.end)
    on_progress(unreported)
    counts.add(counts_of(world, deposits, currencies))
    return counts


def back_test(
    plan: BacktestPlan, log: Log, *, jobs: int = 1, on_progress: OnProgress = lambda _: None
) -> BacktestCounts:
    """Play the whole log in `jobs` processes. The counts do not depend on how many there are."""
    if jobs < 1:
        raise StageError(f"--jobs takes the number of processes, at least 1, not {jobs}.")
    total = BacktestCounts()
    shards = log.shards(shards_for(log, jobs))
    if jobs == 1:
        for shard in shards:
            total.add(play(plan, shard, on_progress))
        return total
    with tempfile.TemporaryDirectory(prefix="journeys-") as folder:
        for counts in _in_processes(plan, save_shards(shards, Path(folder)), jobs, on_progress):
            total.add(counts)
    return total


def shards_for(log: Log, jobs: int) -> int:
    """How many shards: enough for every process, none with too many players for its memory."""
    return max(jobs, -(-log.players // PLAYERS_A_SHARD))


def save_shards(shards: Iterable[Log], folder: Path) -> list[Path]:
    """Write each shard where other processes can read it."""
    paths = []
    for number, shard in enumerate(shards):
        path = folder / f"shard-{number:05}.arrow"
        shard.save(path)
        paths.append(path)
    return paths


# ---- processes ---------------------------------------------------------------------------------


def _in_processes(
    plan: BacktestPlan, shards: Sequence[Path], jobs: int, on_progress: OnProgress
) -> Iterator[BacktestCounts]:
    # Spawned, not forked: threads of Polars and of the SDK do not survive a fork.
    context = multiprocessing.get_context("spawn")
    counter: Synchronized[int] = context.Value("Q", 0)
    reported = 0
    with ProcessPoolExecutor(
        min(jobs, len(shards)), mp_context=context, initializer=_take_counter, initargs=(counter,)
    ) as pool:
        waiting = {pool.submit(_play_here, plan, shard) for shard in shards}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                on_progress(counter.value - reported)
                reported = counter.value
                for finished in done:
                    yield finished.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_counter: "Synchronized[int] | None" = None


def _take_counter(counter: "Synchronized[int]") -> None:
    global _counter  # noqa: PLW0603 - a pool hands its initializer nothing else to keep things in
    _counter = counter


def _play_here(plan: BacktestPlan, shard: Path) -> BacktestCounts:
    def add_to_counter(events: int) -> None:
        assert _counter is not None
        with _counter.get_lock():
            _counter.value += events

    return play(plan, Log.saved(shard), add_to_counter)


@lru_cache(maxsize=4)
def registry_of(packages: tuple[str, ...], journeys: tuple[str, ...]) -> Registry:
    """The rehearsed journeys alone, as their code is: the others would start, send and be counted too."""
    registry = load(packages)
    return replace(registry, journeys={name: replace(registry.journeys[name], live=None) for name in journeys})

"""What the benchmarks reckon with; the measuring itself is `make bench`."""

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.cloudevents import read_event
from bench.__main__ import FILES, HERE, Taken, machine, measure, results
from bench.hold import slipped
from bench.log import GOLD, Tail, by_player, read_tail
from bench.measuring import (
    FLOORS,
    OF_THE_MACHINE,
    SLOWNESS,
    Compared,
    alternate,
    missed,
    patience,
    percentile,
    slowness,
)
from bench.parked import extrapolated
from bench.plots import draw
from bench.scaling_curves import BATCHES
from bench.stops import Stopped, figures_of
from bench.traffic import awake, day, past, players
from tests.support.player_events import NO_FAILURES
from workflows.events import Event
from workflows.gate.decide import may_send
from workflows.gate.decision import Wait
from workflows.gate.facts import MessageFacts
from workflows.gate.policy import Policy
from workflows.player_state.decisions import Start, Stop
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

NOW = datetime(2026, 3, 2, 21, 30, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"


def test_a_ratio_is_of_the_medians_and_its_spread_of_the_rounds() -> None:
    compared = Compared(ours=[8.0, 2.0, 4.0], theirs=[2.0, 4.0, 1.0])
    assert compared.ratio == 2.0
    assert compared.spread == (0.5, 4.0)
    figures = compared.figures("ratio", "ours", "theirs")
    assert figures["ratio"] == 2.0
    assert figures["ratio_spread"] == [0.5, 4.0]
    assert figures["ours_rounds"] == [8.0, 2.0, 4.0]


def test_what_slips_through_a_hold_is_counted_from_its_answer() -> None:
    assert slipped(NOW, [NOW - timedelta(seconds=3)]) == 0
    assert slipped(NOW, [NOW + timedelta(seconds=0.25), NOW + timedelta(seconds=0.1)]) == 0.25


def test_of_both_ends_of_a_stopped_run_the_later_counts_and_none_before_the_answer() -> None:
    def after(ended: float, closed: float) -> Stopped:
        return Stopped.after(NOW, *(NOW + timedelta(seconds=seconds) for seconds in (ended, closed)))

    figures = figures_of([after(-1, 0.5), after(0.25, 0.125), *[after(-2, -1)] * 98])
    assert figures["stops_s"] == figures["stops_p99_s"] == figures["stops_most_s"] == 0.5
    assert (figures["stops_in_books_p99_s"], figures["stops_in_books_p50_s"]) == (0.25, 0)
    assert figures["stops_in_temporal_p99_s"] == 0.5
    assert (figures["stops_p50_s"], figures["stops_runs"]) == (0, 100)


async def test_sides_take_turns_and_take_turns_in_beginning() -> None:
    order: list[tuple[str, int]] = []

    async def ours(number: int) -> float:
        order.append(("ours", number))
        return 2.0

    async def theirs(number: int) -> float:
        order.append(("theirs", number))
        return 1.0

    compared = await alternate(3, ours, theirs, what="A test", unit="a second")
    assert order == [("ours", 1), ("theirs", 1), ("theirs", 2), ("ours", 2), ("ours", 3), ("theirs", 3)]
    assert compared == Compared([2.0] * 3, [1.0] * 3)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("intake_vs_insert", 0.4, 0.399),
        ("reaction_vs_bare_p99", 1.5, 1.51),
        ("unmatched_calls", 0, 1),
        ("actions_beyond_expected", 0, -1),
    ],
)
def test_a_figure_beyond_its_floor_is_told(key: str, good: float, bad: float) -> None:
    assert missed({key: good}) == []
    (sentence,) = missed({key: bad})
    assert sentence.startswith(f"{key} is {bad}, and should be ")


def test_a_speed_is_asked_of_a_slow_machine_as_it_can_and_a_ratio_as_of_any() -> None:
    assert OF_THE_MACHINE.keys() <= FLOORS.keys()
    taken = {"intake_events_per_s": 2_600, "year_of_real_log_s": 110, "intake_vs_insert": 0.39}
    assert len(missed(taken)) == 3
    (sentence,) = missed(taken | {SLOWNESS: 2.0})
    assert sentence.startswith("intake_vs_insert is 0.39")


def test_a_limit_of_time_is_never_shorter_than_it_says() -> None:
    assert patience(10) == 10 * max(1, slowness())


def test_what_more_runs_cost_goes_on_in_a_straight_line() -> None:
    assert extrapolated(1.1, 50_500, 1_000) == pytest.approx(1.2)
    assert extrapolated(0.98, 50_500, 1_000) == pytest.approx(0.96)


def write_file(folder: Path, body: str) -> Path:
    path = folder / "figure.py"
    path.write_text(f"import sys, time, json\n{body}\n")
    return path


@pytest.mark.parametrize(
    ("body", "figures", "failure"),
    [
        ("print('words'); print(json.dumps({'a': 1}))", {"a": 1}, None),
        ("print(json.dumps({'a': 1})); sys.exit(1)", {"a": 1}, None),
        ("raise ValueError", {}, "printed no figures"),
        ("print('{')", {}, "printed no figures"),
        ("print(json.dumps({'a': 1}), flush=True); sys.exit(3)", {"a": 1}, "ended with exit status 3"),
        ("print('waits', file=sys.stderr); time.sleep(60)", {}, "said nothing for 0 seconds and was stopped"),
    ],
)
def test_a_file_that_fails_or_hangs_ends_alone(
    body: str, figures: dict[str, Any], failure: str | None, tmp_path: Path
) -> None:
    silence = 0.2 if "sleep" in body else 30
    taken = measure(write_file(tmp_path, body), (), silence)
    assert (taken.figures, taken.failure) == (figures, failure)


def test_what_is_known_is_told_whatever_failed() -> None:
    on = machine()
    taken = [
        Taken("a.py", 6, {"log_vs_dbos": 1.0, SLOWNESS: 1.0, "growth": {"by_runs": []}}, None),
        Taken("b.py", 6, {}, "printed no figures"),
    ]
    told = results(on, taken)
    assert told["figures"] == {"log_vs_dbos": 1.0}
    assert told["failed"] == {"b.py": "printed no figures"}
    assert told["growth"] == {"by_runs": []}
    assert len(told["below"]) == 1
    assert told["minutes"] == 0.2


def test_a_figure_that_was_not_taken_is_not_missed() -> None:
    assert missed({}) == []


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 100.0


def test_every_figure_with_a_floor_is_explained_and_every_file_is_there() -> None:
    told = (HERE / "README.md").read_text()
    for key in FLOORS:
        assert key in told or key.replace("reaction_vs_bare", "") in told, f"bench/README.md does not explain {key}."
    for name in FILES:
        assert (HERE / name).is_file()
        assert name in told, f"bench/README.md does not say how to repeat {name} alone."


def test_all_traffic_is_taken_by_the_api() -> None:
    ids = players(20)
    events = [*past(ids, NOW), *day(ids, 200, "m", NOW)]
    for event in events:
        assert isinstance(read_event(event, "demo", NOW), tuple), event
    assert len({event["id"] for event in events}) == len(events)


@pytest.mark.parametrize("hour", range(24))
def test_players_of_the_benchmarks_are_awake_at_any_hour(hour: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = NOW.replace(hour=hour)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls.fromtimestamp(now.timestamp(), tz)

    monkeypatch.setattr("bench.traffic.datetime", Clock)
    state = PlayerState("demo", "p")
    registered = next(iter(past(["p"], now)))
    registered["data"]["timezone"] = awake()
    read = read_event(registered, "demo", now)
    assert isinstance(read, tuple)
    state.advance(read[1], RuleIndex({}), now, NO_FAILURES, mode="history")
    from workflows.gate.facts import facts_of

    facts = facts_of(state, addresses=["email"], contacts=[], now=now)
    asked = MessageFacts(channel="email", message_class="marketing", step="s")
    assert not isinstance(may_send(facts, asked, Policy(), now), Wait)


def write_log(folder: Path, deposits: list[str]) -> Path:
    log = folder / "log.csv"
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["player_id", "ts_utc", "amount_usd", "reconciled"])
        for number, player in enumerate(deposits):
            rows.writerow(
                [
                    player,
                    f"2020-01-{1 + number // 1_000:02} 00:{number // 60 % 60:02}:{number % 60:02}+00:00",
                    "10.5",
                    "1",
                ]
            )
    return log


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    """Forty who come back, forty who come for the first time and partly again, ten who reach their fiftieth."""
    golden = [f"gold-{number}" for number in range(10)]
    before = [f"old-{number}" for number in range(40)] + golden * (GOLD - 1)
    end = [f"new-{number}" for number in range(40)] + [f"new-{number}" for number in range(20)] + golden
    end += [f"old-{number}" for number in range(40)]
    return read_tail(write_log(tmp_path, before + end), len(end))


def test_the_tail_keeps_the_order_and_only_the_past_of_who_is_in_it(tail: Tail) -> None:
    assert len(tail.deposits) == 110
    assert tail.deposits[0] == ("new-0", 1_050)
    assert tail.before["gold-3"] == GOLD - 1
    assert "new-0" not in tail.before
    events = tail.events("m", NOW)
    assert [event["type"].split(".")[2] for event in events[:2]] == ["registered", "deposit_approved"]
    assert len(events) == 110 + 40
    theirs = by_player(events)
    assert sum(map(len, theirs)) == len(events)
    assert [event["type"].split(".")[2] for event in theirs[0]] == [
        "registered",
        "deposit_approved",
        "deposit_approved",
    ]


def test_what_the_log_must_bring_about_is_what_the_engine_decides(tail: Tail) -> None:
    # The benchmark reckons it from the log and the arms; here every event goes through the engine's own function.
    brand, rules = "log-1", RuleIndex(load().journeys)
    states: dict[str, PlayerState] = {}
    started: set[str] = set()
    entries: dict[str, str] = {}
    stopped: Counter[str] = Counter()

    def take(event: dict[str, Any], mode: Any) -> None:
        read = read_event(event, brand, NOW)
        assert isinstance(read, tuple)
        player, fact = read
        assert isinstance(fact, Event)
        state = states.setdefault(player, PlayerState(brand, player))
        for decision in state.advance(fact, rules, NOW, NO_FAILURES, mode=mode):
            if isinstance(decision, Start):
                # The benchmark does not know what the engine will call its runs, only whose first of which journey.
                entries[decision.run_id] = f"{decision.journey}:{brand}:{player}:1"
                started.add(entries[decision.run_id])
            if isinstance(decision, Stop):
                stopped[entries[decision.run_id]] += 1

    for event in tail.past:
        take(event, "history")
    for event in tail.events("m", NOW):
        take(event, "live")

    work = tail.work(brand)
    assert {run for run, _, _ in work.runs} == started
    assert {run for run in work.ended if run.startswith("second_deposit")} == set(stopped)
    assert {run for run, step in work.told if step.startswith("ask")} == {r for r in started if r.startswith("tier_up")}
    assert work.ended.isdisjoint(run for run, _ in work.told)
    assert len(started) > 50


def test_the_curves_are_drawn(tmp_path: Path) -> None:
    growth = {
        "by_batch": [{"batch": batch, "events_per_s": 900.0 + batch} for batch in BATCHES],
        "by_players": [{"players": 100, "events_per_s": 9_000.0}, {"players": 5_000, "events_per_s": 8_000.0}],
        "by_runs": [{"runs": 0, "events_per_s": 9_000.0}, {"runs": 1_000, "events_per_s": 9_000.0}],
        "reaction_by_load": [
            {
                "load": load,
                **{f"{side}_{share}_ms": 10.0 * load for side in ("engine", "bare") for share in ("p50", "p99")},
            }
            for load in (5, 20)
        ],
    }
    drawn = draw(growth, tmp_path / "results")
    assert len(drawn) == 4
    for path in drawn:
        assert path.read_bytes().startswith(PNG)
        assert path.name in (HERE / "README.md").read_text()

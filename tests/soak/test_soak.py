"""The soak in seconds, and its judge, who must notice."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tests.crash.evidence import Evidence
from tests.soak.harness import Plan, show, soak
from tests.soak.judge import BEGUN_BY_ROUNDS, ROUND, begun_once, counted_once, crowd_once, without
from tests.soak.load import BATCH, SOURCE, Crowd, journal_in
from tests.soak.watch import MIB, Sample, calm_again, growth
from tests.support.engine import BRAND, NOON, Casino, connected
from tests.support.loopback_server import HANG_UP, answer, scripted
from workflows import SessionLogin


@pytest.mark.slow  # a load takes its time; what its judge would notice is tested below
@pytest.mark.timeout(240)
async def test_nothing_is_lost_doubled_or_stuck_when_the_workers_are_away_for_a_while(
    session_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = session_folder / "soak"
    report = await soak(Plan(seconds=12, rate=400, players=150), folder, Console(soft_wrap=True))
    show(report, Console(soft_wrap=True, markup=False))
    assert not report.findings.problems, capsys.readouterr().out
    assert report.figures()["acknowledged"] > 4_000
    assert report.figures()["deposits"] >= 15
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_429_is_waited_for_and_the_same_batch_is_sent_again(tmp_path: Path) -> None:
    taken = {"accepted": BATCH, "duplicate": 0, "rejected": 0}
    async with scripted(answer(429, {}, Retry_After="0.4"), HANG_UP, answer(202, taken)) as api:
        with journal_in(tmp_path) as journal:
            crowd = Crowd(api.url, "key", journal, seed=1, players=3, deposits=0)
            await crowd.live(0.01, rate=1_000)
            await crowd.close()
    assert len({request.body for request in api.asked}) == 1
    assert crowd.answers["429"] == crowd.answers["202"] == 1
    assert (crowd.acknowledged.total(), crowd.at_once) == (BATCH, 0)
    assert crowd.waits[0] >= 0.4


async def test_a_lost_a_doubled_and_an_unheard_of_event_are_noticed(postgres_url: str) -> None:
    async with connected(postgres_url) as database:
        casino = Casino.of(database, {})
        batch = [
            (f"p-{n}", casino.event(SessionLogin, event_id=f"{batch}-{n}", event_source=SOURCE))
            for batch in (1, 2, 3)
            for n in range(4)
        ]
        await casino.intake.ingest(BRAND, batch, NOON)
        assert await crowd_once(Counter({1: 4, 2: 4, 3: 4}), database.url) == []
        assert await crowd_once(Counter({1: 5, 3: 4, 4: 1}), database.url) == [
            "Of batch 1 5 events were acknowledged and 4 are there.",
            "Of batch 2 0 events were acknowledged and 4 are there.",
            "Of batch 4 1 events were acknowledged and 0 are there.",
        ]


def test_an_event_counted_twice_is_noticed() -> None:
    sent = Counter({("s1", "igaming.session.login.v1"): 7})
    assert counted_once(sent, [{"id": "s1", "state": {"counts": {"session.login": 7}}}]) == []
    (problem,) = counted_once(sent, [{"id": "s1", "state": {"counts": {"session.login": 8}}}])
    assert problem == "Player s1 had 7 of igaming.session.login.v1, and 8 were counted."


def test_a_run_that_rounds_should_not_have_begun_and_one_that_is_missing_are_noticed() -> None:
    sent = Counter({(name, ROUND): 20 for name in ("s1", "s2", "s3")} | {("s4", ROUND): 19})

    def judged(*players: str, state: str = "active", in_temporal: bool = True) -> list[str]:
        rows = [
            {"id": f"{BEGUN_BY_ROUNDS}:{number}", "journey": BEGUN_BY_ROUNDS, "player_id": name, "state": state}
            for number, name in enumerate(players)
        ]
        there = {row["id"] for row in rows} if in_temporal else set()
        return begun_once(sent, Evidence([], {"runs": rows, "messages": []}, [], [], {}, there, []))

    assert judged("s1", "s2", "s3") == []
    assert judged("s1", "s2") == ["Player s3 played 20 rounds and began no game_preference."]
    assert judged("s1", "s2", "s3", "s4") == ["Player s4 began game_preference without playing for it."]
    assert judged("s1", "s2", "s3", "s3") == ["Player s3 began game_preference 2 times."]
    assert len(judged("s1", "s2", "s3", state="ended")) == 3
    assert len(judged("s1", "s2", "s3", in_temporal=False)) == 3


def test_the_journal_is_judged_without_what_rounds_began() -> None:
    def row(journey: str) -> dict[str, str]:
        return {"id": f"{journey}:1", "run_id": f"{journey}:1"}

    both = {name: [row(BEGUN_BY_ROUNDS), row("welcome")] for name in ("runs", "messages")}
    evidence = Evidence([], both, [], [], {}, {f"{BEGUN_BY_ROUNDS}:1", "welcome:1"}, [])
    left = without(BEGUN_BY_ROUNDS, evidence)
    assert left.tables == {name: [row("welcome")] for name in both}
    assert left.open_workflows == {"welcome:1"}


def samples(*held: float, pid: int = 1) -> list[Sample]:
    return [Sample(float(at), 0, 0, {"api": (pid, int(mebi * MIB))}) for at, mebi in enumerate(held)]


def test_memory_that_grows_is_noticed_and_a_spike_or_a_warm_up_is_not() -> None:
    leaking = growth(samples(*(100 + second / 60 for second in range(600))), "api", warm_after=60)
    assert leaking is not None
    assert leaking.share == pytest.approx(10 / 105.5, rel=0.01)
    calm = [50.0 + second for second in range(50)] + [100.0] * 500
    calm[300] = 400
    steady = growth(samples(*calm), "api", warm_after=60)
    assert steady is not None
    assert steady.share == 0


def test_each_life_of_a_process_is_judged_by_itself() -> None:
    first = samples(*[100.0] * 100)
    second = [Sample(sample.at + 100, 0, 0, {"api": (2, 300 * MIB)}) for sample in samples(*[1.0] * 300)]
    found = growth([*first, *second], "api", warm_after=60)
    assert found is not None
    assert (found.mebibytes, found.share) == (300, 0)
    assert growth(first, "worker", warm_after=60) is None


def test_a_backlog_is_calm_only_when_it_stays_so() -> None:
    waiting = [(0, 3), (10, 90), (11, 2), (12, 60), (13, 2), (14, 1), (19, 3)]
    series = [(float(at), count) for at, count in waiting]
    assert calm_again(series, normal=5, since=10, stay=5) == 3
    assert calm_again(series, normal=1, since=10, stay=5) is None

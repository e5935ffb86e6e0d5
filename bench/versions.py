"""What thirty releases of a journey cost a worker in memory and start-up, beside one release.

    python bench/versions.py [--releases N] [--runs N] [--held N] [--rounds N]

Two houses stand side by side. In one a journey was edited and released thirty times and its runs are spread over all of
them, in the other it was never edited. Both have as many open runs, and both workers hold as many of them in memory.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

import workflows.journeys
from bench.harness import BRAND, House, batches, cpu_seconds, house
from bench.measuring import Compared, Figures, alternate, leave, main, say, significant
from bench.reaction import register
from bench.released import released
from bench.traffic import cloud_event, players

JOURNEY = "edited"
#: The shipped `win_back`, which begins with an event here; each release waits another number of days for a login.
SHIPPED = Path(workflows.journeys.__path__[0]) / "win_back.py"
BEGUN_BY_AN_EVENT = (
    ("async def win_back", f"async def {JOURNEY}"),
    ("inactive(SessionLogin, days(14))", "on(Entered)"),
    ("gone: Inactive", "gone: Entered"),
    ("    Inactive,\n", ""),
    ("    inactive,\n", ""),
    ("    journey,\n", "    journey,\n    on,\n"),
    (
        "from workflows.events import Pii",
        "from bench.journeys.signals import Entered\nfrom workflows.events import Pii",
    ),
    ("    control=10,\n", ""),
)
EDIT = "within=days(9)"
#: Each run is of the next release: by its row, its player's, and what is to start it.
SPREAD = """
    WITH numbered AS (
        SELECT id, player_id, 1 + (row_number() OVER (ORDER BY id) - 1) %% %(releases)s AS version
        FROM runs WHERE journey = 'edited'
    ), of_runs AS (
        UPDATE runs SET version = n.version FROM numbered n WHERE runs.id = n.id
    ), of_starts AS (
        UPDATE deliveries SET payload = jsonb_set(payload, '{version}', to_jsonb(n.version))
        FROM numbered n WHERE deliveries.run_id = n.id AND deliveries.kind = 'start'
    )
    UPDATE players SET state = jsonb_set(state, ARRAY['runs', n.id, 'version'], to_jsonb(n.version))
    FROM numbered n WHERE players.brand = %(brand)s AND players.id = n.player_id
"""
OPEN_RUNS = """
    INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, version)
    SELECT 'edited:open:' || run, %s, 'open-' || run, 'edited', 'treated', 'active',
           now() - run * interval '1 second', now() + interval '60 days', 1 + run %% %s
    FROM generate_series(1, %s) run
"""


def sources(releases: int) -> list[str]:
    """The journey as it was released, edit by edit."""
    text = SHIPPED.read_text()
    for before, after in BEGUN_BY_AN_EVENT:
        assert before in text, f"{SHIPPED.name} has no {before} any more."
        text = text.replace(before, after)
    return [text.replace(EDIT, f"within=days({9 + edit})") for edit in range(releases)]


async def enter(built: House, releases: int, held: int) -> None:
    """Let players enter, their runs spread over the releases; nothing starts them before the dispatcher is back."""
    ids = players(held, "held-p")
    await register(built, ids)
    await built.stop("dispatcher")
    await built.post_all(batches([cloud_event("bench.entered", one, f"entered-{one}") for one in ids], 500), at_once=1)
    await built.sql.execute(SPREAD, {"releases": releases, "brand": BRAND})
    spread = await built.rows("SELECT version, count(*) AS runs FROM runs WHERE journey = %s GROUP BY 1", JOURNEY)
    assert len(spread) == releases
    assert sum(row["runs"] for row in spread) == held


async def start_up(built: House, cpu: list[float]) -> float:
    """Seconds from the start of a worker until it takes runs; what it has used of a core until then goes to `cpu`."""
    await built.stop("worker")
    await built.settle()
    began = time.monotonic()
    built.start("worker")
    await built.ready("worker")
    lasted = time.monotonic() - began
    cpu.append(cpu_seconds(built.pids("worker")))
    return lasted


async def held_in_memory(built: House, held: int) -> float:
    """Megabytes of the worker once it has played every run to its first wait and holds it."""
    built.start("dispatcher")

    async def all_wait() -> bool:
        query = "SELECT count(*) FROM steps WHERE run_id LIKE 'edited:%%' AND step = 'send:content-news#1'"
        return await built.count(query) == held

    await built.until(all_wait, within=600, what="The first step of every run", every=0.5)
    await built.settle()
    return float(built.memory_mb("worker")["worker"])


async def measure(releases: int, runs: int, held: int, rounds: int) -> Figures:
    with released("bench_of_versions", sources(releases)) as many, released("bench_of_versions", sources(1)) as one:
        async with (
            house(journeys=many.pop("JOURNEYS"), extra=many) as edited,
            house(journeys=one.pop("JOURNEYS"), extra=one) as plain,
        ):
            for built, spread in ((edited, releases), (plain, 1)):
                await enter(built, spread, held)
                await built.sql.execute(OPEN_RUNS, (BRAND, spread, runs - held))
                await built.sql.execute("VACUUM ANALYZE")
            say(f"{runs:,} open runs in either house, {held:,} of them to be held, over {releases} releases or one")
            cpu: tuple[list[float], list[float]] = ([], [])
            started = await alternate(
                rounds,
                lambda _: start_up(edited, cpu[0]),
                lambda _: start_up(plain, cpu[1]),
                what="Start-up of a worker",
                unit="s",
            )
            before = edited.memory_mb("worker")["worker"] / plain.memory_mb("worker")["worker"]
            full = Compared([await held_in_memory(edited, held)], [await held_in_memory(plain, held)])
    return {
        **full.figures("versions_memory", "versions_many_mb", "versions_one_mb", 0),
        **started.figures("versions_start", "versions_many_start_s", "versions_one_start_s", 2),
        **Compared(*cpu).figures("versions_start_cpu", "versions_many_start_cpu_s", "versions_one_start_cpu_s", 2),
        "versions_memory_before_runs": significant(before),
        "versions_open_runs": runs,
        "versions_held_runs": held,
    }


def command(
    *,
    releases: Annotated[int, typer.Option(help="of the edited journey")] = 30,
    runs: Annotated[int, typer.Option(help="open runs in either house")] = 100_000,
    held: Annotated[int, typer.Option(help="of them, runs that the worker plays and holds in memory")] = 3_000,
    rounds: Annotated[int, typer.Option(help="starts of either worker")] = 3,
) -> None:
    """Take the figures of many releases."""
    leave(main(lambda: measure(releases, runs, held, rounds)))


if __name__ == "__main__":
    typer.run(command)

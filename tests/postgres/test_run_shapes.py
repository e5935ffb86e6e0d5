"""The shapes of runs in flight, counted from their rows."""

from typing import Any

import sqlalchemy as sa

from activities.run_shapes import gone_journeys, run_shapes
from activities.tables import runs, steps
from content.run_shapes import RunShape
from tests.support.engine import NOON, connected
from workflows import days


def run(number: int, brand: str = "acme", **more: Any) -> dict[str, Any]:
    entered = NOON + days(number)
    return {
        "id": f"r{number}",
        "brand": brand,
        "player_id": f"p{number}",
        "journey": "hello",
        "version": 1,
        "arm": "treated",
        "state": "active",
        "entered_at": entered,
        "ends_at": entered + days(90),
        **more,
    }


def kept(number: int, *names: str) -> list[dict[str, Any]]:
    """The steps of a run in their order; `name=outcome` is a line of its own story."""
    found = []
    for line, name in enumerate(names):
        step, _, outcome = name.partition("=")
        of = {"run_id": f"r{number}", "step": step, "line": line if outcome else 0, "outcome": outcome or "sent"}
        found.append({**of, "brand": "acme", "player_id": f"p{number}", "at": NOON})
    return found


async def test_runs_that_did_the_same_have_one_shape_and_the_oldest_newest_and_longest_speak_for_it(
    postgres_url: str,
) -> None:
    silent = ("send:hello#1", "event:Login#1=timed_out", "send:offer#1")
    async with connected(postgres_url) as database, database.transaction() as connection:
        await connection.execute(
            sa.insert(runs),
            [
                *(run(number) for number in (1, 3)),
                run(2, "luna"),
                *(run(number) for number in (4, 5)),
                run(6, version=2),
                run(7, state="ended"),
                run(8, arm="control", played=False),
                run(9, journey="withdrawn"),
            ],
        )
        await connection.execute(sa.insert(runs), run(10, version=2, arm="control", played=True))
        written = [kept(1, *silent), kept(2, *silent), kept(3, *silent)]
        # Two of a loop, one of them further on; the numbers of its steps do not tell where it stands.
        written += [
            kept(4, "send:call#1", "send:mail#1"),
            kept(5, *(f"send:call#{n}" for n in (1, 2, 3)), "send:mail#1"),
        ]
        for run_id in (1, 2, 3, 4, 5):
            for row in written[run_id - 1]:
                await connection.execute(sa.insert(steps), row)
        # What has several outcomes is one step.
        again = {**written[1][2], "outcome": "suppressed"}
        await connection.execute(sa.insert(steps), again)
        found = await run_shapes(connection, "hello", ["send:call"])
        gone = await gone_journeys(connection, ["hello"])
    assert sorted(found, key=lambda one: (one.version, one.steps, one.arm)) == [
        RunShape(1, ("send:call#n", "send:mail#1"), "send:mail#1", {"acme": 2}, ("r4", "r5")),
        RunShape(
            1,
            ("send:hello#1", "event:Login#1=timed_out", "send:offer#1"),
            "send:offer#1",
            {"acme": 2, "luna": 1},
            ("r1", "r3", "r2"),
        ),
        RunShape(2, (), "", {"acme": 1}, ("r10",), "control"),
        RunShape(2, (), "", {"acme": 1}, ("r6",)),
    ]
    assert gone == [("withdrawn", 1, "r9")]

"""Sends and grants that race exclusions on Postgres: what was handed over by the acknowledgement is all there is.

The pure races are a million (`tests/unit/test_exclusions_in_any_order.py`); these go through the functions that
production calls, with as many connections as a worker has. `make test` plays a few, `make prove` some thousand, and
`make races` as many as it is told.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.postgres import Postgres
from tests.crash.exclusion_races import (
    AT_ONCE,
    GRANTS,
    SENDS,
    Race,
    Raced,
    prove,
    racing_parts,
    read_state,
)
from tests.support.engine import Effects
from tests.support.servers import LocalBonusEngine

#: In `make prove`: of 40 players each, so 4,000 sends and 2,000 grants against 1,000 exclusions.
ROUNDS = 25


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with racing_parts(module_postgres_url, bonus_engine_server.url) as built:
        yield built


async def test_of_sends_and_grants_under_way_none_is_handed_over_after_the_acknowledgement(parts: Effects) -> None:
    raced = Raced(seed=13, players=12)
    await Race(parts, 13, 0, size=12).run(raced)
    assert raced.wrong == []
    assert raced.attempts == 12 * (SENDS + GRANTS)


async def test_what_is_handed_over_late_is_found(parts: Effects) -> None:
    """Without it the test before could pass because nobody looks."""
    raced, race = Raced(seed=13, players=2), Race(parts, 13, 1_000_000, size=2)
    runs = await race.begins()
    before, after = race.players
    await race.sends(runs[before], 0)
    await race.excludes(before)
    race.acknowledged[after] = 0
    await race.grants(runs[after], 0)
    await race.judge(raced)
    assert raced.late == {after: 1}
    assert any("after the acknowledgement" in sentence for sentence in raced.wrong)


@pytest.mark.slow  # minutes of real transactions
@pytest.mark.timeout(900)
async def test_of_thousands_none_is(parts: Effects) -> None:
    raced = Raced(seed=13, players=AT_ONCE)
    for number in range(1, 1 + ROUNDS):
        await Race(parts, 13, number).run(raced)
    assert raced.wrong == []
    assert raced.attempts == ROUNDS * AT_ONCE * (SENDS + GRANTS)


async def test_a_run_that_was_stopped_goes_on_where_it_was(postgres: Postgres, tmp_path: Path) -> None:
    state, said = tmp_path / "state.json", list[str]()
    await prove(postgres, tmp_path, read_state(state, 7, 2), 12, state, said.append)
    known = read_state(state, 7, 2)
    assert (known.rounds, known.attempts) == (1, 12)
    await prove(postgres, tmp_path, known, 24, state, said.append)
    again = read_state(state, 7, 2)
    assert (again.rounds, again.attempts, again.late) == (2, 24, {})
    with pytest.raises(SystemExit, match="of seed 7"):
        read_state(state, 8, 2)

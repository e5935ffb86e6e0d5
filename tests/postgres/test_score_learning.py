"""Scores on Postgres: learned from the events, used past the floors, told when they move."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import event, text
from temporalio.exceptions import ApplicationError

from activities.database import Database, TimeLimits
from activities.intake.intake import MAX_EVENTS
from activities.loops.score_learning import FAILED, OFF, TOLD
from activities.past_deposits import (
    DepositWindow,
    PastDeposits,
    deposits_among,
    deposits_to_learn_from,
    player_ranges,
    yardsticks_now,
)
from activities.score_models import champion, keep_model
from activities.score_trainings import Training, list_trainings
from activities.settings import Settings
from activities.tables import events, score_models
from learning.churn import ChurnModel
from learning.churn_features import PastDeposit
from learning.value import ValueModel, learn_value
from learning.vip import VipModel, learn_vip
from tests.support.engine import BRAND, Effects, effects, execute, rows, run_of
from tests.support.invented_casino import invented as invented_casino
from tests.support.scored_nights import NIGHT, PLAYERS, deposited, invented, learned, learning, told, with_model
from tests.support.whole_night import whole_night
from workflows import ConsentChanged, DepositApproved, PlayerRegistered, ScoreChanged, SessionLogin
from workflows.background.maintenance import LearnedScores, ScoredPlayers
from workflows.effects import ReadScore
from workflows.player_facts import ScoreRead
from workflows.scores import SCORES, SOURCE


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    journeys = {"journeys": "tests.support.scored_journeys", "shipped_journeys": "none"}
    async with effects(module_postgres_url, **journeys) as built:
        yield built


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        shared.casino.clock.now = NIGHT
        for table in ("score_models", "score_trainings", "events"):
            await execute(shared.database, f"DELETE FROM {table}")
        yield shared


def lately(parts: Effects) -> DepositWindow:
    since = NIGHT - timedelta(days=30)
    return DepositWindow(since, since, parts.casino.clock.now + timedelta(days=1))


async def to_learn_from(parts: Effects) -> PastDeposits:
    window = lately(parts)
    async with parts.database.reading() as connection:
        return await deposits_to_learn_from(
            connection, BRAND, window.since, window.until, players=10_000, deposits=10_000
        )


async def sticks(parts: Effects, then: Mapping[str, float] | None = None) -> dict[str, float]:
    async with parts.database.reading() as connection:
        return await yardsticks_now(connection, BRAND, lately(parts), then)


async def to_score(parts: Effects, then: Mapping[str, float] | None = None) -> dict[str, list[PastDeposit]]:
    """Of all players of a brand, read by fifty."""
    by, found = await sticks(parts, then), dict[str, list[PastDeposit]]()
    async for one in player_ranges(parts.database, BRAND, 50):
        async with parts.database.reading() as connection:
            found |= await deposits_among(connection, BRAND, one, lately(parts), by)
    return found


async def with_a_broken_brand(parts: Effects) -> None:
    """A brand that comes first and has a deposit whose amount nobody can read."""
    await execute(parts.database, "INSERT INTO players (brand, id) VALUES ('aaa', 'm-0') ON CONFLICT DO NOTHING")
    await execute(
        parts.database,
        "INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, history, data) "
        f"VALUES ('aaa', '/t', 'broken', 99, '{DepositApproved.type}', 'm-0', :at, now(), true, CAST(:data AS jsonb))",
        at=NIGHT - timedelta(days=2),
        data='{"amount_minor": "a lot"}',
    )


async def kept(parts: Effects, players: Mapping[str, Sequence[PastDeposit]]) -> int:
    """Deposits of many players, as imported history; how many there are."""
    await parts.casino.registers("m-0")
    await execute(
        parts.database,
        "INSERT INTO players (brand, id) SELECT :brand, 'm-' || n FROM generate_series(0, 479) n "
        "ON CONFLICT DO NOTHING",
        brand=BRAND,
    )
    given = [(player, one.at) for player, known in players.items() for one in known]
    for start in range(0, len(given), 5_000):
        values = ",".join(
            f"('{BRAND}', '/t', 'x-{start + n}', {10_000_000 + start + n}, '{DepositApproved.type}', '{player}', "
            f"'{at.isoformat()}', now(), true, '{{\"amount_minor\": 2000}}')"
            for n, (player, at) in enumerate(given[start : start + 5_000])
        )
        await execute(
            parts.database,
            "INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, history, data) "
            f"VALUES {values}".replace(":", "\\:"),
        )
    return len(given)


async def trained(parts: Effects, brand: str = BRAND) -> Training:
    async with parts.database.reading() as connection:
        return (await list_trainings(connection, brand))["churn"]


def failures(step: str) -> float:
    return FAILED.labels(step, "churn", "aaa")._value.get()  # type: ignore[no-any-return]


async def with_a_wrong_model(parts: Effects) -> None:
    """A champion that says of everybody that they stay, and deposits too few to learn another from."""
    model = await with_model(parts)
    wrong = model.model_copy(update={"logistic": model.logistic.model_copy(update={"intercept": -9.0})})
    await execute(
        parts.database,
        "UPDATE score_models SET learned_at = :at, artifact = CAST(:artifact AS jsonb)",
        at=NIGHT - timedelta(days=30),
        artifact=wrong.model_copy(update={"trees": None}).model_dump_json(exclude_none=True),
    )
    since = NIGHT - timedelta(days=120)
    await kept(parts, {name: [one for one in given if one.at > since] for name, given in invented(PLAYERS).items()})


class TestLearning:
    async def test_a_brand_with_a_handful_of_players_gets_no_model(self, parts: Effects) -> None:
        await deposited(parts, parts.casino.player(), 3, 9)
        became = await learning(parts).learn_due()
        assert (became.champions, became.shadows) == (0, 0)
        assert await rows(parts.database, score_models) == []
        training = await trained(parts)
        assert (training.became, training.version, training.tried_at) == ("none", None, NIGHT)
        assert training.says.startswith("0 rows to learn from and 0 to judge on; 3000 and 100 are needed")

    async def test_what_is_learned_is_kept_with_its_figures_and_once_a_week(self, parts: Effects) -> None:
        await with_a_broken_brand(parts)
        before = failures("learn")
        given = await kept(parts, invented(PLAYERS))
        became = await learning(parts).learn_due()
        assert became.champions + became.shadows == 1
        assert failures("learn") == before + 1, "the broken brand is told of and keeps no later one from its model"
        assert (await trained(parts, "aaa")).became == "failed"
        [row] = await rows(parts.database, score_models)
        assert row["why"].startswith(("AUC 0.", "below the floors: AUC 0."))
        training = await trained(parts)
        assert (training.became, training.version, training.says) == (row["state"], 1, row["why"])
        assert (await learning(parts).learn_due()) == type(became)()
        async with parts.database.reading() as connection:
            span = (BRAND, NIGHT - timedelta(days=400), NIGHT)
            read = (await deposits_to_learn_from(connection, *span, players=1_000, deposits=1_000_000)).players
            part = (await deposits_to_learn_from(connection, *span, players=100, deposits=1_000_000)).players
            few = (await deposits_to_learn_from(connection, *span, players=1_000, deposits=given // 5 + 1)).players
        direct = learned()
        artifact = dict(row["artifact"])
        assert artifact.pop("yardsticks") == {"": 1.0}, "of a single currency too: it stays the unit"
        assert sum(map(len, read.values())) == given
        assert 50 < len(part) < 150, "of so many players, and all of theirs"
        assert 50 < len(few) < 150, "of as many as have about so many deposits"
        assert all(read[player] == deposits for player, deposits in [*part.items(), *few.items()])
        assert ChurnModel.model_validate(artifact).quality.auc == pytest.approx(direct.quality.auc, abs=1e-9)

    async def test_whether_a_score_is_due_is_told_without_reading_a_model(self, parts: Effects) -> None:
        await with_model(parts)
        await parts.casino.registers(parts.casino.player())
        asked, engine = list[str](), parts.database.engine.sync_engine

        def note(*given: object) -> None:
            statement, values = str(given[2]), str(given[3])
            asked.extend([statement] if "score_models" in statement and f"'{BRAND}'" in values else [])

        event.listen(engine, "before_cursor_execute", note)
        try:
            assert await learning(parts).learn_due() == LearnedScores()
        finally:
            event.remove(engine, "before_cursor_execute", note)
        assert len(asked) == 1
        assert "artifact" not in asked[0]

    async def test_a_model_that_stays_in_use_is_held_against_the_windows_that_have_closed(self, parts: Effects) -> None:
        """It says of everybody that they stay, and of the last months alone no better one can be learned."""
        await with_a_wrong_model(parts)
        counted = OFF.labels("churn", BRAND)._value
        before = counted.get()
        assert (await learning(parts).learn_due()) == LearnedScores()
        training = await trained(parts)
        assert (training.became, training.version, training.looked_at) == ("none", None, 1)
        assert [one.until for one in training.windows] == [NIGHT, NIGHT - timedelta(days=30)]
        assert all(one.said + 0.1 < one.happened for one in training.windows)
        assert training.is_off
        assert counted.get() == before + 1
        async with parts.database.reading() as connection:
            assert (await champion(connection, BRAND, "churn")) is not None, "People are told; nothing is done."

    async def test_where_another_currency_is_the_unit_no_window_is_looked_at(self, parts: Effects) -> None:
        """The model was learned of deposits in euros alone, and none of these is in euros."""
        await with_a_wrong_model(parts)
        learned_of = "UPDATE score_models SET artifact = artifact || CAST(:of AS jsonb)"
        await execute(parts.database, learned_of, of='{"yardsticks": {"EUR": 1.0}}')
        assert (await learning(parts).learn_due()) == LearnedScores()
        training = await trained(parts)
        assert (training.became, training.looked_at, training.windows) == ("none", None, [])

    async def test_amounts_of_several_currencies_are_brought_to_one_yard(self, parts: Effects) -> None:
        euros, yen = parts.casino.player("euros"), parts.casino.player("yen")
        for _ in range(2):
            await parts.casino.happens(euros, DepositApproved, amount_minor=5_000, currency="EUR")
        await parts.casino.happens(yen, DepositApproved, amount_minor=800_000, currency="JPY")
        read, by = await to_learn_from(parts)
        assert {one.amount_minor for player in (euros, yen) for one in read[player]} == {5_000}
        assert by == {"EUR": 1.0, "JPY": 5_000 / 800_000}
        assert (await to_score(parts), await sticks(parts)) == (read, by), "for scoring as for learning"
        for _ in range(2):
            await parts.casino.happens(yen, DepositApproved, amount_minor=800_000, currency="JPY")
        since = await to_score(parts, by)
        assert {one.amount_minor for one in since[yen]} == {5_000}, "most deposits are in yen, and no unit moved"


class TestValue:
    async def test_what_players_bring_is_told_of_each_score_that_is_read(self, parts: Effects) -> None:
        """With models of another house; their own floors are judged where they are learned."""
        casino = invented_casino(9, 1_000, NIGHT)
        value, vip = learn_value(casino, NIGHT), learn_vip(casino, NIGHT)
        assert isinstance(value, ValueModel)
        assert isinstance(vip, VipModel)
        async with parts.database.transaction() as connection:
            for name, model in (("value", value), ("vip", vip)):
                artifact = model.model_dump(mode="json")
                await keep_model(connection, BRAND, name, artifact, "champion", "made", NIGHT)
        many, few, gone = (parts.casino.player(name) for name in ("many", "few", "gone"))
        await deposited(parts, many, *range(1, 60, 2))
        await deposited(parts, few, 40)
        await deposited(parts, gone, 100, 120)
        both = learning(parts, reads_scores=("value", "vip"))
        scored = await both.score_due()
        assert (scored.seen, scored.told) == (4, 4)
        best = await told(parts, many)
        past = {many: [PastDeposit(NIGHT - timedelta(days=days), 2_000) for days in range(1, 60, 2)]}
        past[few] = [PastDeposit(NIGHT - timedelta(days=40), 2_000)]
        for name, model in (("value", value), ("vip", vip)):
            direct = whole_night(model, past, NIGHT).scored[many]
            [said] = [one for one in best if one["score"] == name]
            assert (said["to_percent"], said["why"], said["model"]) == (direct.percent, direct.why, 1)
        percents = {one["score"]: one["to_percent"] for one in await told(parts, few)}
        assert all(percents[one["score"]] <= one["to_percent"] for one in best)
        assert await told(parts, gone) == []
        parts.casino.clock.now = NIGHT + timedelta(days=1)
        unread = await learning(parts, reads_scores=("vip",)).score_due()
        assert unread.seen == 2, "Of what nothing reads nobody is scored."

    async def test_it_is_learned_as_churn_is(self, parts: Effects) -> None:
        await parts.casino.registers("m-0")
        assert await learning(parts, reads_scores=SCORES).learn_due() == LearnedScores()
        assert await rows(parts.database, score_models) == [], "of a handful nothing is"


class TestScoring:
    async def test_a_score_is_told_with_its_reasons_and_not_again_until_it_moves(self, parts: Effects) -> None:
        model = await with_model(parts)
        player = parts.casino.player()
        await deposited(parts, player, *range(2, 60, 3))
        scored = await learning(parts).score_due()
        assert (scored.seen, scored.told) == (1, 1)
        direct = model.score([PastDeposit(NIGHT - timedelta(days=days), 2_000) for days in range(2, 60, 3)], NIGHT)
        assert direct is not None
        [said] = await told(parts, player)
        assert (said["from_percent"], said["to_percent"], said["why"]) == (0, direct.percent, direct.why)
        parts.casino.clock.now = NIGHT + timedelta(hours=1)
        assert (await learning(parts).score_due()).told == 0
        parts.casino.clock.now = NIGHT + timedelta(days=25)
        assert (await learning(parts).score_due()).told == 1
        assert [one["from_percent"] for one in await told(parts, player)] == [0, direct.percent]

    async def test_a_brand_that_cannot_be_scored_keeps_no_later_one_from_it(self, parts: Effects) -> None:
        model = await with_model(parts)
        async with parts.database.transaction() as connection:
            await keep_model(connection, "aaa", "churn", model.model_dump(mode="json"), "champion", "made", NIGHT)
        await with_a_broken_brand(parts)
        player, before = parts.casino.player(), failures("score")
        await deposited(parts, player, 3, 9, 20, 30, 41)
        assert (await learning(parts).score_due()).told == 1
        assert len(await told(parts, player)) == 1
        assert failures("score") == before + 1

    async def test_a_brand_of_which_somebody_holds_a_row_keeps_no_later_one_from_it(
        self, parts: Effects, module_postgres_url: str
    ) -> None:
        model = await with_model(parts)
        async with parts.database.transaction() as connection:
            await keep_model(connection, "aaa", "churn", model.model_dump(mode="json"), "champion", "made", NIGHT)
        player, before = parts.casino.player(), failures("score")
        await deposited(parts, player, 3, 9, 20, 30, 41)
        await execute(parts.database, "INSERT INTO players (brand, id) VALUES ('aaa', 'm-0') ON CONFLICT DO NOTHING")
        hurried = Database(Settings(database_url=module_postgres_url), limits=TimeLimits(lock=timedelta(seconds=0.2)))
        scoring = learning(parts)
        scoring.database = hurried
        try:
            async with parts.database.transaction() as other:
                await other.execute(text("SELECT version FROM score_models WHERE brand = 'aaa' FOR UPDATE"))
                assert (await scoring.score_due()).told == 1
        finally:
            await hurried.close()
        assert len(await told(parts, player)) == 1
        assert failures("score") == before + 1

    async def test_what_intake_puts_off_is_told_when_the_night_is_begun_again(self, parts: Effects) -> None:
        """More is sent just then than can be taken: not counted as told, and told as of the same moment."""
        await with_model(parts)
        players = [parts.casino.player(name) for name in ("one", "two")]
        for player in players:
            await deposited(parts, player, 3, 9, 20, 30, 41)
        intake, counted = parts.casino.intake, TOLD.labels("churn")._value
        before, timeout = counted.get(), intake.admission_timeout
        intake.admission_timeout = timedelta(0)
        async with intake.admission.admitted(MAX_EVENTS, timedelta(seconds=1), BRAND):
            with pytest.raises(ApplicationError, match="2 scores are told later") as put_off:
                await learning(parts).score_due(NIGHT)
        intake.admission_timeout = timeout
        assert put_off.value.next_retry_delay == timedelta(minutes=5)
        assert not put_off.value.non_retryable
        assert counted.get() == before
        assert [await told(parts, player) for player in players] == [[], []]
        parts.casino.clock.now = NIGHT + timedelta(minutes=5)
        assert (await learning(parts).score_due(NIGHT)).told == 2
        assert counted.get() == before + 2
        assert [len(await told(parts, player)) for player in players] == [1, 1]

    async def test_players_who_became_others_retire_the_model(self, parts: Effects) -> None:
        await with_model(parts)
        await execute(
            parts.database,
            "INSERT INTO players (brand, id) SELECT :brand, 'o-' || n FROM generate_series(1, 120) n",
            brand=BRAND,
        )
        await execute(
            parts.database,
            "INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, history, data) "
            "SELECT :brand, '/t', 'o-' || n, 20000000 + n, :type, 'o-' || n, :at, now(), true, "
            "jsonb_build_object('amount_minor', 2000) FROM generate_series(1, 120) n",
            brand=BRAND,
            type=DepositApproved.type,
            at=NIGHT - timedelta(days=29),
        )
        scored = await learning(parts).score_due()
        assert (scored.seen, scored.told) == (120, 0)
        drift = REGISTRY.get_sample_value("journeys_score_drift", {"score": "churn", "brand": BRAND})
        assert drift is not None, "of each brand by itself: the next one scored does not hide it"
        assert drift > 0.25
        async with parts.database.reading() as connection:
            assert await champion(connection, BRAND, "churn") is None
        [row] = await rows(parts.database, score_models)
        assert (row["state"], row["why"][:27]) == ("retired", "players have become others:")

    async def test_who_is_not_scored_any_more_is_told_once_and_again_when_they_are(self, parts: Effects) -> None:
        await with_model(parts)
        objects, stays = parts.casino.player("objects"), parts.casino.player("stays")
        for player in (objects, stays):
            await deposited(parts, player, *range(2, 60, 3))
        assert (await learning(parts).score_due()).told == 2
        [first] = await told(parts, objects)
        await parts.casino.happens(objects, ConsentChanged, channel="profiling", opted_in=False)
        for night in (1, 2):
            parts.casino.clock.now = NIGHT + timedelta(days=night)
            await learning(parts).score_due()
        assert [(one["from_percent"], one["to_percent"]) for one in await told(parts, objects)] == [
            (0, first["to_percent"]),
            (first["to_percent"], 0),
        ]
        assert 0 not in [one["to_percent"] for one in await told(parts, stays)]
        await parts.casino.happens(objects, ConsentChanged, channel="profiling", opted_in=True)
        parts.casino.clock.now = NIGHT + timedelta(days=3)
        await learning(parts).score_due()
        assert [(one["from_percent"], one["to_percent"] != 0) for one in await told(parts, objects)][2:] == [(0, True)]

    async def test_a_model_that_is_retired_leaves_no_score_behind(self, parts: Effects) -> None:
        await with_model(parts)
        player, theirs = parts.casino.player(), parts.casino.player("theirs")
        await deposited(parts, player, *range(2, 60, 3))
        await learning(parts).score_due()
        moved: dict[str, Any] = {"score": "churn", "from_percent": 0, "to_percent": 64, "why": ["silent"]}
        await parts.casino.happens(theirs, ScoreChanged, **moved)
        await execute(parts.database, "UPDATE score_models SET state = 'retired'")
        parts.casino.clock.now = NIGHT + timedelta(days=1)
        await learning(parts).score_due()
        assert [one["to_percent"] for one in await told(parts, player)][1:] == [0]
        assert [one["to_percent"] for one in await told(parts, theirs)] == [64], "A model of the operator's own."

    async def test_a_model_of_a_later_release_scores_nobody_and_takes_nothing_back(self, parts: Effects) -> None:
        """As an old worker meets it while a release rolls: and the scores it can read go on."""
        await with_model(parts)
        player = parts.casino.player()
        await deposited(parts, player, *range(2, 60, 3))
        await learning(parts).score_due()
        later = "UPDATE score_models SET artifact = artifact || '{\"of_a_later_release\"\\: 1}'"
        await execute(parts.database, later)
        parts.casino.clock.now = NIGHT + timedelta(days=1)
        assert await learning(parts, reads_scores=SCORES).score_due() == ScoredPlayers()
        assert len(await told(parts, player)) == 1
        parts.casino.clock.now = NIGHT + timedelta(days=8)
        await learning(parts).score_due()
        assert [one["to_percent"] for one in await told(parts, player)][1:] == [0], "It is not believed any more."

    async def test_where_nothing_reads_scores_nothing_is_learned_and_nobody_scored(self, parts: Effects) -> None:
        await with_model(parts)
        await deposited(parts, parts.casino.player(), *range(2, 60, 3))
        unread = learning(parts, reads_scores=())
        assert (await unread.score_due()).seen == 0
        assert await rows(parts.database, events, type=ScoreChanged.type) == []

    async def test_who_objected_to_profiling_is_not_read(self, parts: Effects) -> None:
        player = parts.casino.player()
        await deposited(parts, player, 3)
        await parts.casino.happens(player, ConsentChanged, channel="profiling", opted_in=False)
        assert (await to_learn_from(parts)).players == await to_score(parts) == {}
        assert await sticks(parts) == {}


async def test_a_run_reads_the_newest_word_and_the_same_when_it_is_tried_again(parts: Effects) -> None:
    player = parts.casino.player()
    await parts.casino.happens(player, PlayerRegistered)
    moved: dict[str, Any] = {"score": "churn", "from_percent": 0, "to_percent": 64, "why": ["silent"]}
    await parts.casino.happens(player, ScoreChanged, **moved)
    await parts.casino.happens(player, SessionLogin)
    run = await run_of(parts.database, player, "asks_score")
    asked = parts.given(ReadScore, run, "score:churn#1", score="churn")
    first = await parts.scores.score(asked)
    assert isinstance(first, ScoreRead)
    assert (first.percent, first.why) == (64, ["silent"])
    await parts.casino.happens(player, ScoreChanged, **moved | {"from_percent": 64, "to_percent": 20})
    assert await parts.scores.score(asked) == first
    assert SOURCE.startswith("engine:")

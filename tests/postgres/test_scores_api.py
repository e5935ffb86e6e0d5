"""Scores over HTTP and in a terminal: which model says each, how well, and why there is an estimate."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.scores import score_lines
from tests.support.api_client import Api, serving
from tests.support.engine import execute
from tests.support.kept_models import FEW, WORSE, with_models
from tests.support.scored_nights import learned


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    journeys = {"journeys": "tests.support.scored_journeys", "shipped_journeys": "none"}
    async with serving(module_postgres_url, **journeys) as application:
        yield application


async def told(api: Api) -> dict[str, dict[str, Any]]:
    answer = await (await api.client("players:read")).get("/v1/scores")
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["items"]}


async def test_a_score_is_told_with_its_model_and_with_why_no_newer_one_took_over(api: Api) -> None:
    now, quality = datetime.now(UTC), learned().quality
    await with_models(api.engine.database, api.brand, now)
    scores = await told(api)
    churn, model = scores["churn"], scores["churn"]["champion"]
    assert (churn["estimated_because"], model["version"], model["players"]) == (None, 1, quality.players)
    reached = {one["figure"]: (one["reached"], one["floor"], one["is_met"]) for one in model["floors"]}
    assert reached["auc"] == (quality.auc, 0.85, quality.auc >= 0.85)
    assert reached["brier"] == (quality.brier, 0.155, quality.brier <= 0.155)
    assert len(model["tenths"]) == 10
    assert sum(one["players"] for one in model["tenths"]) == quality.players
    assert (model["drift"], [*model["drifts"]]) == (0.14, ["idle.days", "tenure.days", "amount.mean"])
    weights = [abs(one["weight"]) for one in model["strengths"]]
    assert weights == sorted(weights, reverse=True)
    assert [(one["version"], one["state"]) for one in churn["versions"]] == [(2, "shadow"), (1, "champion")]
    assert (churn["trained"]["became"], churn["trained"]["says"], churn["trained"]["is_off"]) == ("shadow", WORSE, True)
    assert [one["happened"] for one in churn["trained"]["windows"]] == [0.53, 0.53]
    assert scores["value"]["champion"]["kind"] == "poisson"
    assert {one["figure"] for one in scores["value"]["champion"]["floors"]} == {"gini", "captured", "total_off"}


async def test_of_a_model_that_is_retired_it_is_not_said_that_it_is_off(api: Api) -> None:
    await with_models(api.engine.database, api.brand, datetime.now(UTC))
    await execute(
        api.engine.database, "UPDATE score_models SET state = 'retired' WHERE brand = :brand", brand=api.brand
    )
    churn = (await told(api))["churn"]
    assert (churn["champion"], churn["trained"]["looked_at"], churn["trained"]["is_off"]) == (None, 1, False)


async def test_why_there_is_an_estimate_is_told(api: Api) -> None:
    assert {name: one["estimated_because"] for name, one in (await told(api)).items()} == {
        "churn": "no_model",
        "value": "no_model",
        "vip": "no_model",
    }
    now = datetime.now(UTC)
    await with_models(api.engine.database, api.brand, now)
    vip = (await told(api))["vip"]
    assert (vip["estimated_because"], vip["champion"], vip["trained"]["says"]) == ("no_model", None, FEW)
    assert vip["estimates"][0] == {"days": 0, "percent": 30}
    mine = {"brand": api.brand, "at": now - timedelta(days=8)}
    await execute(api.engine.database, "UPDATE score_models SET scored_at = :at WHERE brand = :brand", **mine)
    later = "UPDATE score_models SET artifact = artifact || '{\"of_a_later_release\"\\: 1}' WHERE name = 'value'"
    await execute(api.engine.database, later)
    scores = await told(api)
    assert [scores[name]["estimated_because"] for name in ("churn", "value")] == ["not_scored", "other_release"]
    assert scores["value"]["champion"] is None
    assert scores["value"]["versions"][0]["state"] == "champion"


async def test_a_terminal_says_the_same(api: Api) -> None:
    await with_models(api.engine.database, api.brand, datetime.now(UTC))
    scores = await told(api)
    churn, value, vip = ("\n".join(score_lines(scores[name])) for name in ("churn", "value", "vip"))
    assert "v1 (logistic) since" in churn or "v1 (trees) since" in churn
    assert "brier" in churn
    assert "(at most 0.155" in churn
    assert "drift 0.14; moved most: idle.days 0.31, tenure.days 0.12" in churn
    assert "said 0.420, came 0.530, of 412 players" in churn
    assert f"v2 shadow {datetime.now(UTC):%Y-%m-%d}: {WORSE}" in churn
    assert "It was off in one window after the other" in churn
    assert "counts most:" in value
    assert vip.startswith("vip: an estimate by silence alone: no model is good enough")
    assert FEW in vip


async def test_of_what_nothing_reads_it_is_said_that_nobody_is_scored(module_postgres_url: str) -> None:
    journeys = {"journeys": "tests.support.api_journeys", "shipped_journeys": "none"}
    async with serving(module_postgres_url, **journeys) as application, application.for_one_test() as own:
        assert {one["estimated_because"] for one in (await told(own)).values()} == {"unread"}


async def test_another_brand_has_nothing_of_these_models(api: Api) -> None:
    await with_models(api.engine.database, api.brand, datetime.now(UTC))
    stranger = await api.client("admin", brand=f"{api.brand}-not")
    items = (await stranger.get("/v1/scores")).json()["items"]
    assert [(one["champion"], one["trained"], one["versions"]) for one in items] == [(None, None, [])] * 3


async def test_who_may_not_read_figures_reads_no_scores(api: Api) -> None:
    assert (await (await api.client("events:write")).get("/v1/scores")).status_code == 403

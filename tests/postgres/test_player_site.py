"""What a player's own browser sees and does: their own things alone, each press once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from activities.player_tokens import LASTS
from activities.wheel_spins import proof_of
from tests.support.api_client import Api, serving
from tests.support.engine import HeldTimer
from workflows import ExclusionSet, PlayerMerged, PlayerRegistered, RoundCompleted
from workflows.events import Event
from workflows.loyalty.spin_proofs import fault_of_spin

MISSION = "/v1/me/missions/three_games"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.loyal_journeys") as application:
        yield application


class Browser:
    """A player's browser, with the token that the backend gave it."""

    def __init__(self, api: Api, client: httpx.AsyncClient, player: str, token: str) -> None:
        self.api, self.client, self.player = api, client, player
        self.token = token
        self.told = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(f"/v1/me/{path}", headers=self.headers | headers)

    async def press(self, path: str, key: str = "k-1") -> httpx.Response:
        return await self.client.post(path, headers={**self.headers, "Idempotency-Key": key})

    async def happens(self, kind: type[Event], /, **data: Any) -> None:
        self.told += 1
        now = self.api.engine.clock()
        event = kind(
            event_id=f"{self.player}-{self.told}", event_source="/t", occurred_at=now, **{**kind.example_data, **data}
        )
        await self.api.engine.intake.ingest(self.api.brand, [(self.player, event)], now)

    async def plays(self, *games: str) -> None:
        for game in games:
            await self.happens(RoundCompleted, round_id=game, game_id=game, stake_minor=2_000)


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client("players:tokens", name="site")


async def browser_of(api: Api, backend: httpx.AsyncClient, player: str = "p-1") -> Browser:
    minted = await backend.post("/v1/player-tokens", json={"player_id": player})
    assert minted.status_code == 201, minted.text
    made = Browser(api, backend, player, minted.json()["token"])
    await made.happens(PlayerRegistered, timezone="UTC", country="DK", birth_date="1980-01-01")
    return made


@pytest.fixture
async def browser(api: Api, backend: httpx.AsyncClient) -> Browser:
    return await browser_of(api, backend)


class TestMissions:
    async def test_a_mission_is_begun_filled_and_claimed_once(self, browser: Browser) -> None:
        await browser.plays("a")
        (card,) = (await browser.get("missions")).json()
        assert (card["is_opted_in"], card["progress"], card["is_claimable"]) == (False, 0, False)
        assert (await browser.press(f"{MISSION}/opt-in", "k-1")).json() == {"status": "done", "points": 0}
        assert (await browser.press(f"{MISSION}/opt-in", "k-2")).status_code == 200
        early = await browser.press(f"{MISSION}/claim", "k-3")
        assert (early.status_code, early.json()["reason"]) == (409, "not_completed")
        await browser.plays("b", "c", "d")
        (card,) = (await browser.get("missions")).json()
        assert (card["progress"], card["is_claimable"], card["completion_count"]) == (100, True, 1)
        answers = await asyncio.gather(*(browser.press(f"{MISSION}/claim", "k-4") for _ in range(3)))
        assert {(one.status_code, one.text) for one in answers} == {(200, '{"status":"done","points":200}')}
        assert (await browser.press(f"{MISSION}/claim", "k-5")).json()["reason"] == "claimed"
        (points,) = (await browser.get("loyalty")).json()["points"]
        assert points["available"] == 208

    async def test_case_22_a_key_that_was_used_for_something_else_is_refused(self, browser: Browser) -> None:
        await browser.plays("a")
        await browser.press(f"{MISSION}/opt-in", "k-1")
        again = await browser.press(f"{MISSION}/claim", "k-1")
        assert (again.status_code, again.json()["type"].rpartition(":")[2]) == (422, "key-reused")

    async def test_i29_after_an_exclusion_nothing_is_shown_begun_or_claimed(self, browser: Browser) -> None:
        await browser.plays("a")
        await browser.press(f"{MISSION}/opt-in", "k-1")
        await browser.plays("b", "c", "d")
        await browser.happens(ExclusionSet, kind="self_exclusion", until=None)
        refused = await browser.press(f"{MISSION}/claim", "k-2")
        assert (refused.status_code, refused.json()["reason"]) == (409, "self_excluded")
        assert (await browser.get("missions")).json() == []
        assert (await browser.get("loyalty")).json()["paused"] is True

    async def test_i23_all_players_together_claim_no_more_than_the_budget(
        self, api: Api, backend: httpx.AsyncClient
    ) -> None:
        browsers = [await browser_of(api, backend, f"p-{n}") for n in range(4)]
        for one in browsers:
            await one.plays("a")
            await one.press(f"{MISSION}/opt-in", "k-1")
            await one.plays("b", "c", "d")
        answers = await asyncio.gather(*(one.press(f"{MISSION}/claim", "k-2") for one in browsers))
        assert sorted(one.status_code for one in answers) == [200, 200, 409, 409]
        assert {one.json()["reason"] for one in answers if one.status_code == 409} == {"budget_spent"}

    async def test_a_mission_that_nobody_declared_is_not_there(self, browser: Browser) -> None:
        assert (await browser.press("/v1/me/missions/nothing/opt-in")).status_code == 404
        headers = browser.headers
        assert (await browser.client.post(f"{MISSION}/opt-in", headers=headers)).status_code == 422


class TestWheels:
    async def spin(self, browser: Browser, key: str, wheel: str = "daily", word: str = "luck") -> httpx.Response:
        headers = {**browser.headers, "Idempotency-Key": key}
        return await browser.client.post(f"/v1/me/wheels/{wheel}/spins", headers=headers, json={"client_seed": word})

    async def test_i24_a_spin_is_done_once_and_recomputed_from_its_proof(self, browser: Browser) -> None:
        shown = {one["id"]: one for one in (await browser.get("wheels")).json()}["daily"]
        assert (shown["attempts_left"], shown["sectors"][2]["odds_percent"]) == (2, 0.1)
        answers = await asyncio.gather(*(self.spin(browser, "k-1") for _ in range(3)))
        assert len({one.text for one in answers}) == 1, "a double click is one spin"
        spun = answers[0].json()
        assert (spun["seed_hash"], spun["nonce"], spun["attempts_left"]) == (shown["seed_hash"], 1, 1)
        (points,) = (await browser.get("loyalty")).json()["points"]
        assert points["available"] == spun["points"]
        proof = (await browser.get(f"spins/{spun['spin_id']}/proof")).json()
        assert proof["seed"] is None, "today's seed is nobody's to know"
        assert fault_of_spin(proof) == "its day is not over and the seed not told"
        async with browser.api.engine.database.reading() as connection:
            later = await proof_of(connection, browser.api.brand, browser.player, spun["spin_id"], "9999-01-01")
        assert later is not None
        assert fault_of_spin(later) is None
        assert fault_of_spin({**later, "drawn": later["drawn"] + 1}) is not None
        assert fault_of_spin({**later, "seed": "00" * 32}) == "the seed is not the one whose hash was shown"

    async def test_a_spin_within_the_pause_is_refused_with_the_moment_it_may_be_made(
        self, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rules = browser.api.engine.intake.rules
        slow = replace(rules.loyalty.wheels["daily"], pause=timedelta(hours=1))
        monkeypatch.setattr(rules, "loyalty", replace(rules.loyalty, wheels={**rules.loyalty.wheels, "daily": slow}))
        assert (await self.spin(browser, "k-1")).status_code == 200
        shown = {one["id"]: one for one in (await browser.get("wheels")).json()}["daily"]
        refused = await self.spin(browser, "k-2")
        assert (refused.status_code, refused.json()["reason"]) == (409, "too_soon")
        assert datetime.fromisoformat(refused.json()["again_at"]) == datetime.fromisoformat(shown["may_spin_at"])
        assert (shown["pause_seconds"], shown["attempts_left"]) == (3600, 1)

    async def test_attempts_end_and_another_word_under_one_key_is_refused(self, browser: Browser) -> None:
        assert (await self.spin(browser, "k-1")).status_code == 200
        assert (await self.spin(browser, "k-1", word="other")).status_code == 422
        assert (await self.spin(browser, "k-2")).status_code == 200
        assert (await self.spin(browser, "k-3")).json()["reason"] == "no_attempts"
        assert (await self.spin(browser, "k-4", wheel="none")).status_code == 404

    async def test_case_28_a_word_of_ten_megabytes_or_of_nuls_is_refused(self, browser: Browser) -> None:
        assert (await self.spin(browser, "k-1", word="\x00")).status_code == 422
        assert (await self.spin(browser, "k-2", word="x" * 129)).status_code == 422

    async def test_case_26_i21_i23_one_prize_in_stock_is_won_once_and_the_budget_holds(
        self, api: Api, backend: httpx.AsyncClient
    ) -> None:
        browsers = [await browser_of(api, backend, f"w-{n}") for n in range(9)]
        answers = await asyncio.gather(*(self.spin(one, "k-1", wheel="jackpot") for one in browsers))
        won = [one.json()["points"] for one in answers if one.status_code == 200]
        assert sorted(won, reverse=True) == [100, 10, 10, 10, 10, 10]
        assert {one.json()["reason"] for one in answers if one.status_code == 409} == {"budget_spent"}

    async def test_case_18_i29_after_an_exclusion_nobody_spins(self, browser: Browser) -> None:
        await browser.happens(ExclusionSet, kind="self_exclusion", until=None)
        assert (await self.spin(browser, "k-1")).json()["reason"] == "self_excluded"
        assert (await browser.get("wheels")).json() == []


class TestTokens:
    async def test_a_token_is_good_for_its_player_and_for_nothing_else(self, browser: Browser) -> None:
        for path in ("/v1/players", "/v1/players/p-1", "/v1/me", "/v1/event-types"):
            refused = await browser.client.get(path, headers=browser.headers)
            assert refused.status_code in {403, 404}, path
        for path in ("loyalty", "tier", "missions", "badges"):
            assert (await browser.get(path)).status_code == 200
        assert (await browser.client.get("/v1/me/loyalty")).status_code == 403, "an API key is no player"

    async def test_a_token_that_is_over_or_made_up_is_none(self, api: Api, browser: Browser) -> None:
        old = api.engine.player_tokens.token(api.brand, "p-1", api.engine.clock() - LASTS - timedelta(seconds=1))
        for token in (old, f"{browser.token[:-2]}xx", "jp_"):
            browser.token = token
            assert (await browser.get("loyalty")).status_code == 401

    async def test_case_45_who_opts_out_is_shown_and_given_nothing_and_may_come_back(self, browser: Browser) -> None:
        await browser.happens(RoundCompleted, round_id="r-before", stake_minor=10_000)
        for _ in range(2):
            out = await browser.client.put("/v1/me/opt-out", headers=browser.headers, json={"opted_out": True})
            assert (out.status_code, out.json()) == (200, {"opted_out": True})
        await browser.happens(RoundCompleted, round_id="r-meanwhile", stake_minor=90_000)
        shown = (await browser.get("loyalty")).json()
        assert (shown["points"], shown["opted_out"]) == ([], True)
        for page in ("missions", "wheels", "shop", "tournaments", "raffles"):
            assert (await browser.get(page)).json() == []
        refused = await browser.press("/v1/me/missions/three_games/opt-in", "k-out")
        assert (refused.status_code, refused.json()["reason"]) == (409, "opted_out")
        back = await browser.client.put("/v1/me/opt-out", headers=browser.headers, json={"opted_out": False})
        assert back.json() == {"opted_out": False}
        (points,) = (await browser.get("loyalty")).json()["points"]
        assert points["available"] == 10
        assert (await browser.get("missions")).json() != []

    async def test_case_45_a_word_at_an_account_that_was_merged_away_holds_for_the_one_that_stayed(
        self, api: Api, backend: httpx.AsyncClient, browser: Browser
    ) -> None:
        stays = await browser_of(api, backend, "p-2")
        await browser.happens(PlayerMerged, survivor_id="p-2", absorbed_id="p-1")
        for out in (True, False):
            said = await browser.client.put("/v1/me/opt-out", headers=browser.headers, json={"opted_out": out})
            assert (said.status_code, said.json()) == (200, {"opted_out": out})
            await browser.happens(RoundCompleted, round_id=f"r-{out}", stake_minor=10_000)
            assert (await stays.get("loyalty")).json()["opted_out"] is out
        (points,) = (await stays.get("loyalty")).json()["points"]
        assert points["available"] == 10, "What was played while they were out earned nothing."

    async def test_who_presses_as_a_machine_does_is_told_when_to_come_back(
        self, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(browser.api.engine.presses, "_timer", HeldTimer())
        answers = [await browser.press("/v1/me/missions/nobody/opt-in", f"fast-{number}") for number in range(40)]
        assert {one.status_code for one in answers[:30]} == {404}
        early = answers[-1]
        assert (early.status_code, early.headers["Retry-After"]) == (429, "1")
        assert early.json()["type"] == "urn:journeys:problem:too-fast"

    async def test_what_has_not_changed_is_not_sent_again(self, browser: Browser) -> None:
        first = await browser.get("badges")
        again = await browser.get("badges", **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    async def test_a_token_is_minted_for_a_players_id_only(self, backend: httpx.AsyncClient) -> None:
        refused = await backend.post("/v1/player-tokens", json={"player_id": "\t"})
        assert refused.json()["errors"][0]["pointer"] == "/player_id"

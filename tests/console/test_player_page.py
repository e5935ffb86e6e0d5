"""What the page of a player says of what happened and of what rules measure, in the language of who reads it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from activities.tables import grants
from tests.support.api_seed import PLAYER, seeded
from tests.support.console import Console
from workflows import bonus_money
from workflows.events import SessionLogin


async def test_a_usual_gap_is_said_in_days_once_it_is_known(console: Console) -> None:
    await console.task("p-0", name="Anna")
    desk, now = await console.desk("head"), datetime.now(UTC)
    address = f"/console/{console.api.brand}/players/p-0?tab=protection"
    assert "not known yet" in (await desk.get(address)).text
    for number in range(12):
        at = now - timedelta(days=3 * (12 - number))
        login = SessionLogin.example().model_copy(update={"event_id": f"l-{number}", "occurred_at": at})
        await console.api.engine.intake.ingest(console.api.brand, [("p-0", login)], now, mode="history")
    page = " ".join((await desk.get(address)).text.split())
    assert '<th scope="row">Login: usual gap between days with it</th><td class="n">3 days</td>' in page


async def test_a_pattern_says_that_no_change_is_seen_and_not_0(console: Console) -> None:
    await console.task("p-0", name="Anna")
    desk = await console.desk("head", locale="uk")
    page = (await desk.get(f"/console/{console.api.brand}/players/p-0?tab=protection")).text
    assert re.search(r'<th scope="row">[^<]*вибір[^<]*</th><td class="n quiet">змін не видно</td>', page)


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "en",
            [
                "Entered “Api review”, because of this: deposit failed.",
                "E-mail “Welcome” was not sent: the player did not opt in to this channel.",
                "“Api review”, waiting for “Deposit arrived”: did not happen in time.",
                "Player registered.",
            ],
        ),
        (
            "uk",
            [
                "Увійшов до сценарію «Api review», причина: депозит не пройшов.",
                "Лист «Welcome»: не надіслано — гравець не давав згоди на цей канал.",
                "«Api review», очікування події «Депозит надійшов»: не сталося вчасно.",
                "Гравець зареєструвався.",
            ],
        ),
        (
            "ru",
            [
                "Вошёл в сценарий «Api review», причина: депозит не прошёл.",
                "Письмо «Welcome»: не отправлено — игрок не давал согласия на этот канал.",
                "«Api review», ожидание события «Депозит поступил»: не произошло вовремя.",
                "Игрок зарегистрировался.",
            ],
        ),
    ],
)
async def test_a_timeline_is_told_in_sentences_of_the_readers_language(
    console: Console, language: str, sentences: list[str]
) -> None:
    await seeded(console.api)
    desk = await console.desk("head", locale=language)
    page = (await desk.get(f"/console/{console.api.brand}/players/{PLAYER}")).text
    told = [" ".join(one.split()) for one in re.findall(r'<span class="said">([^<]*)', page)]
    assert set(sentences) <= set(told)
    assert [one for one in told if "_" in one or "told by" in one] == []


async def test_a_player_of_whom_nothing_of_a_kind_is_told_is_there_all_the_same(console: Console) -> None:
    await console.task("p-0", name="Anna")
    desk = await console.desk("head")
    address = f"/console/{console.api.brand}/players"
    assert "Nothing of this kind has happened." in (await desk.get(f"{address}/p-0?kind=segment")).text
    assert (await desk.get(f"{address}/nobody?kind=segment")).status_code == 404


async def test_what_a_reward_is_worth_is_said_in_the_currency_of_the_players_wallet(console: Console) -> None:
    ids = await seeded(console.api)
    reward = bonus_money(1_000).model_dump(mode="json")
    async with console.api.engine.database.transaction() as connection:
        given = update(grants).where(grants.c.brand == console.api.brand, grants.c.run_id == ids["run_id"])
        await connection.execute(given.values(kind="bonus_money", reward=reward, currency="UAH"))
    page = (await (await console.desk("head")).get(f"/console/{console.api.brand}/players/{PLAYER}?tab=rewards")).text
    assert "amount 10.00 UAH" in page
    assert "valid for 7 days" in page
    assert "terms-bonus_money" not in page

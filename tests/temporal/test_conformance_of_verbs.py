"""What the newest verbs do to a player, in both theatres: rewards that live on, offers that fit, dates, clocks."""

from datetime import UTC, datetime

from tests.support.conformance import (
    History,
    beginning,
    differences,
    happens,
    on_the_server,
    on_the_stage,
    real,
    registers,
)
from tests.support.outside_packages import Write
from tests.support.releases import reloaded
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.stage_servers import skipping
from workflows import (
    BadgeAwarded,
    ConsentChanged,
    KycChanged,
    ProfileUpdated,
    RewardClaimed,
    RewardCodeFailed,
    SessionLogin,
    days,
    hours,
    minutes,
)

CLAIMS = """
from workflows import BadgeAwarded, KycChanged, PlayerRegistered, Player, RewardClaimed, RewardCodeFailed
from workflows import Sent, SessionLogin
from workflows import amounts, best_channel, best_hour, days, free_spins, hours, journey, local, on, once

@journey(on(PlayerRegistered), entry=once, ends_after=days(9), control=0)
async def gives(player: Player, registered: PlayerRegistered) -> None:
    '''Gives twice and takes back what nobody claims.'''
    first = await player.grant(free_spins(10, max_win=500))
    second = await player.grant(free_spins(20, max_win=500))
    claimed = await player.event(RewardClaimed, of=second, within=hours(48))
    taken, kept = await player.revoke(first), await player.revoke(second)
    sizes = [player.amount(amounts(EUR=500, UAH=20_000)), player.fit(5, 10, of=12_345), player.amount(amounts(JPY=1))]
    await player.mark("over", claimed=claimed is not None, first=taken.status, second=kept.status, sizes=sizes)


@journey(on(KycChanged), entry=once, ends_after=days(9), control=0)
async def dated(player: Player, told: KycChanged) -> None:
    '''Waits for a date that moves.'''
    moment = await player.until(lambda p: p.kyc_deadline and p.kyc_deadline - days(2))
    await player.mark("came", at=moment.isoformat())


@journey(on(BadgeAwarded), entry=once, ends_after=days(9), control=0)
async def clocked(player: Player, badge: BadgeAwarded) -> None:
    '''Waits for ten in the evening.'''
    await player.sleep(hours(4))
    login = await player.event(SessionLogin, where=local(hours=(22, 23)), within=days(5))
    await player.mark("logged", hour=login and login.local.hour, zone=login and login.player_zone)


@journey(on(RewardCodeFailed), entry=once, ends_after=days(9), control=0)
async def at_best(player: Player, failed: RewardCodeFailed) -> None:
    '''Sends twice, each time at the best hour on the best channel.'''
    for _ in range(2):
        sent = await player.send("content-news", via=best_channel("email", "push"), at=best_hour("18:00"))
        await player.mark("sent", on=[*sent.channels] if isinstance(sent, Sent) else None)
        await player.sleep(days(2))
"""


async def test_what_becomes_of_rewards_is_the_same_in_both_theatres(
    package: Write, postgres_url: str, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll
) -> None:
    name = package(gives=CLAIMS)
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": name,
        "SHIPPED_JOURNEYS": "none",
        **catch_all.environment,
    }
    registry, began = reloaded(name), beginning(datetime.now(UTC))
    names = ("first", "neither", "second")
    runs = on_the_stage(registry, {one: [registers()] for one in (*names, "dated")}, began, hours(1)).runs
    run_of = {run_id.split(":")[2]: run_id for run_id in runs}
    claims = {one: f"{run_of[one]}/grant:free_spins#{number}" for one, number in (("first", 1), ("second", 2))}
    histories: dict[str, History] = {
        one: [registers(), *([happens(hours(5), RewardClaimed, grant_id=claims[one])] if one in claims else [])]
        for one in names
    }
    histories["dated"] = [
        registers(),
        happens(hours(1), KycChanged, status="submitted", due_at=began + days(5)),
        happens(days(2), KycChanged, status="submitted", due_at=began + days(7)),
    ]
    # Ten in the evening in Tokyo is five hours on. The run looks when the player has moved, and sees the zone of then.
    histories["tokyo"] = [
        registers(timezone="Asia/Tokyo"),
        happens(hours(3), BadgeAwarded),
        happens(hours(4), SessionLogin),
        happens(hours(5), SessionLogin),
        happens(hours(6), ProfileUpdated, changed={"timezone": "America/New_York"}),
    ]
    # Who agreed to profiling is drawn for, and who did not gets what was declared.
    visits = [happens(minutes(10 * number), SessionLogin) for number in range(12)]
    for one, agreed in (("unprofiled", False), ("who_agreed", True)):
        said = [happens(minutes(1), ConsentChanged, channel="profiling", opted_in=True)] if agreed else []
        histories[one] = [registers(), *said, *visits, happens(days(2) + hours(3), RewardCodeFailed)]
    async with await skipping() as environment, real(environment, variables, began) as (theatre, trace):
        server = await on_the_server(theatre, trace, histories, days(9))
    stage = on_the_stage(registry, histories, began, days(9))
    assert {one: [grant[2] for grant in stage.grants[run_of[one]]] for one in names} == {
        "first": ["confirmed", "revoked"],
        "neither": ["revoked", "revoked"],
        "second": ["revoked", "confirmed"],
    }
    (logged,) = (
        one["given"] for effects in stage.effects.values() for one in effects if one["step"].startswith("mark:logged")
    )
    assert logged["detail"] == {"hour": 22, "zone": "Asia/Tokyo"}
    chosen = [one for effects in stage.effects.values() for one in effects if one["effect"] == "choose"]
    assert {one["result"]["channel"]["chance"] < 1 for one in chosen} == {True, False}
    assert differences(stage, server) == []

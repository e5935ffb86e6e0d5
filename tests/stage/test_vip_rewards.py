"""A journey for players with a manager of their own gives nothing before enough is known of the player."""

from stage.testing.rehearsal import Rehearse, player
from workflows import AffordabilityChanged, KycChanged, Player, SessionLogin, days, hours, journey, on, points


@journey(on(SessionLogin), ends_after=days(2), vip=True)
async def gift_for_vips(player: Player, _: SessionLogin) -> None:
    """A gift at once, and one an hour later."""
    await player.grant(points(1))
    await player.sleep(hours(1))
    await player.grant(points(2))


@journey(on(SessionLogin), ends_after=days(2))
async def gift_for_all(player: Player, _: SessionLogin) -> None:
    """The same for everybody."""
    await player.grant(points(1))


async def test_in_great_britain_a_vip_is_given_nothing_before_the_checks_are_passed(rehearse: Rehearse) -> None:
    run = await rehearse(gift_for_vips, player(country="GB", birth_date="1980-01-01"))
    assert run.granted == []
    await run.happens(KycChanged, status="approved")
    await run.happens(AffordabilityChanged, stage="enhanced", result="pass", valid_until=None)
    await run.happens(AffordabilityChanged, stage="sof", result="pass", valid_until=None)
    await run.advance(hours(2))
    assert run.granted == ["points"]


async def test_elsewhere_and_in_other_journeys_nobody_asks(rehearse: Rehearse) -> None:
    assert (await rehearse(gift_for_vips, player(country="UA"))).granted == ["points"]
    assert (await rehearse(gift_for_all, player(country="GB"))).granted == ["points"]

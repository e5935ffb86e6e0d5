from workflows import DepositApproved, Player, hours, journey, on, per, points


@journey(on(DepositApproved), entry=per("payment_id"), ends_after=hours(3), control=0)
async def drill_once(player: Player, _deposit: DepositApproved) -> None:
    """A reward for each deposit, and over: such a run begins and ends while Postgres forgets it."""
    await player.grant(points(2))

"""How long a purchase of one hot item takes, p99 in milliseconds, at a hundred a second from as many players.

python bench/purchase.py [--rate N] [--seconds N]
"""

import argparse
from functools import partial

import httpx

from bench.harness import house
from bench.measuring import Figures, leave, main
from bench.player_load import have_points, steadily, tokens, told
from bench.traffic import players

ITEM, PRICE = "hot-badge", 10


async def measure(given: argparse.Namespace) -> Figures:
    async with house(journeys="bench.loyalty") as built:
        ids = players(int(given.rate * given.seconds) + given.warm)
        await have_points(built, ids)
        by_player = await tokens(built, ids)
        await built.settle()

        async def buy(client: httpx.AsyncClient, number: int, first: int) -> httpx.Response:
            player = ids[first + number]
            headers = {"Authorization": f"Bearer {by_player[player]}", "Idempotency-Key": f"buy-{player}"}
            return await client.post(f"/v1/me/shop/{ITEM}/purchases", json={"price": PRICE}, headers=headers)

        await steadily(given.rate, given.warm / given.rate, partial(buy, first=0), built.api_url)
        took = await steadily(given.rate, given.seconds, partial(buy, first=given.warm), built.api_url)
        sold = await built.count("SELECT count(*) FROM shop_purchases WHERE state = 'fulfilled'")
        assert sold == len(ids), f"{sold} purchases of {len(ids)}"
        return told("purchase", took)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=float, default=100)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--warm", type=int, default=200, help="purchases before it is measured")
    given = options.parse_args()
    leave(main(lambda: measure(given)))

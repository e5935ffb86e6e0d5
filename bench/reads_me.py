"""How long what a player's page reads takes, p99 in milliseconds: five reads in turn, three hundred a second in all.

python bench/reads_me.py [--rate N] [--seconds N] [--players N]
"""

import argparse

import httpx

from bench.harness import house
from bench.measuring import Figures, leave, main
from bench.player_load import have_points, steadily, tokens, told
from bench.traffic import players

READS = ("loyalty", "tier", "missions", "badges", "shop")


async def measure(given: argparse.Namespace) -> Figures:
    async with house(journeys="bench.loyalty") as built:
        ids = players(given.players)
        await have_points(built, ids)
        by_player = await tokens(built, ids)
        await built.settle()

        async def read(client: httpx.AsyncClient, number: int) -> httpx.Response:
            player = ids[number // len(READS) % len(ids)]
            headers = {"Authorization": f"Bearer {by_player[player]}"}
            return await client.get(f"/v1/me/{READS[number % len(READS)]}", headers=headers)

        await steadily(given.rate, 2, read, built.api_url)
        return told("reads_me", await steadily(given.rate, given.seconds, read, built.api_url))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=float, default=300)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--players", type=int, default=200)
    given = options.parse_args()
    leave(main(lambda: measure(given)))

"""One wheel that everybody spins: each spin takes of one budget, and some of a stock."""

from workflows import currency, days, points, seconds, sector, wheel

house_points = currency("bench_points", expires=days(365))
hot = wheel(
    "hot",
    sector(600, points(20)),
    sector(300, points(50)),
    sector(100, points(100), stock=1_000),
    otherwise=points(10),
    into=house_points,
    product="casino",
    plays=1_000,
    budget=10_000_000,
    pause=seconds(0),
)

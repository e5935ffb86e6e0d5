"""`journeys audience`: a segment as a list for an ad network, hashed."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli._console import fail
from cli._environment import open_database, run_on_database, settings
from content.ad_identifiers import HEADERS, Network


def audience(
    brand: Annotated[str, typer.Argument(help="Whose players.")],
    kind: Annotated[str, typer.Argument(help="seed or suppression.")],
    segment: Annotated[str, typer.Argument(help="Which segment; as a seed also top_decile.")],
    *,
    network: Annotated[str, typer.Option(help="google or meta: how addresses are written before hashing.")] = "google",
) -> None:
    """Write a segment as CSV for an ad network, as players are at this moment; changes nothing.

    A seed holds who agreed to ads and is not protected; a suppression list also everybody to whom nothing may be sold.
    """
    if kind not in {"seed", "suppression"} or network not in HEADERS:
        fail("The kinds are seed and suppression, the networks google and meta.")
    run_on_database(_write(brand, kind, segment, network))


async def _write(brand: str, kind: str, segment: str, network: str) -> None:
    from activities.audiences import Audience, piece_of
    from activities.engine import load_deployment
    from workflows.gate.policy_book import of_deployment

    given = settings()
    registry = load_deployment(given).registry
    policies = of_deployment(registry.policies, adults_only=given.adults_only, licences=given.brand_licences)
    known: Network = "google" if network == "google" else "meta"
    asked = Audience(brand, "seed" if kind == "seed" else "suppression", segment, known, given.product)
    if not asked.is_ranked and segment not in registry.segments:
        fail(f"There is no segment {segment}; those deployed are {', '.join(sorted(registry.segments))}.")
    writer = csv.writer(sys.stdout)
    writer.writerow(HEADERS[known])
    after: str | None = None
    async with open_database() as database:
        while True:
            async with database.reading() as connection:
                piece = await piece_of(connection, policies, asked, after, datetime.now(UTC))
            writer.writerows(piece.lines)
            if (after := piece.after) is None:
                return

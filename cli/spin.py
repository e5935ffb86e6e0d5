"""`journeys spin verify`: whether a spin landed where its record says."""

from pathlib import Path
from typing import Annotated

import typer

from cli._console import fail, say

app = typer.Typer(help="Spins of wheels.", no_args_is_help=True)


@app.callback()
def spin() -> None:
    """Spins of wheels."""


@app.command()
def verify(
    proof: Annotated[Path, typer.Argument(help="What GET /v1/me/spins/{id}/proof or a raffle's draw answered.")],
    pages: Annotated[list[Path] | None, typer.Argument(help="The pages of the draw's record after the first.")] = None,
) -> None:
    """Draw a spin or a raffle again from its record and its seed; exits with 1 where it did not come out so."""
    import orjson

    from workflows.loyalty.raffle_winners import fault_of_raffle
    from workflows.loyalty.spin_proofs import fault_of_spin

    try:
        told = orjson.loads(proof.read_bytes())
        for page in pages or ():
            told["tickets"] += orjson.loads(page.read_bytes())["tickets"]
    except (OSError, ValueError, LookupError, TypeError) as wrong:
        fail(f"{proof} cannot be read as a proof: {wrong}.")
    drawn = isinstance(told, dict) and "raffle" in told
    fault = (fault_of_raffle(told) if drawn else fault_of_spin(told)) if isinstance(told, dict) else "it is no proof"
    if fault is not None:
        fail(f"The {'draw' if drawn else 'spin'} does not follow from its record: {fault}.")
    if drawn:
        say(f"{len(told['winners'])} winners follow from the seed hashed as {told['seed_hash'][:16]}….")
        return
    say(f"Sector {told['drawn']} of {len(told['weights'])} follows from the seed hashed as {told['seed_hash'][:16]}….")

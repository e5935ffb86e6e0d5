"""`journeys up`: the stack with a casino's own site in front of it, until somebody stops it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from local.development_people import PEOPLE
from local.stack import Stack
from local.stand_in_processes import casino_site
from local.supervisor import Service


class StackWithSite(Stack):
    """The stack, and the page that shows a player what loyalty makes of them."""

    def app(self) -> list[Service]:
        """Our own processes, and the site behind them; a stack whose keys were made before there was one has none."""
        key = self.keys.get("site")
        site = [] if key is None else [casino_site(self.memory.ports["casino-site"], api_url=self.api_url, key=key)]
        return [*super().app(), *site]

    def addresses(self) -> dict[str, str]:
        """What a person opens, the site first."""
        site = f"http://127.0.0.1:{self.memory.ports['casino-site']}/?player=p-1"
        return ({"Casino's site": site} if "site" in self.keys else {}) | super().addresses()


async def run(folder: Path, *, console: Console) -> None:
    """Run the stack until SIGINT or SIGTERM, then stop it cleanly: `journeys up`."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signals = (signal.SIGINT, signal.SIGTERM)

    def leave() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: console.print("Still stopping."))
        console.print("Stopping.")
        if task is not None:
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, leave)
    with contextlib.suppress(asyncio.CancelledError):
        # Whoever names audiences or journeys of their own means those; the segment of ours may not be there.
        tells_ads = os.environ.keys().isdisjoint({"AD_AUDIENCES", "SHIPPED_JOURNEYS"})
        made = StackWithSite(folder, servers_from=os.environ, tells_ads=tells_ads, say=console.print)
        async with made as stack:
            show(console, "Addresses", stack.addresses())
            show(console, "People to sign in as, without a password", {one.name: one.about for one in PEOPLE})
            show(console, "API keys, by role", stack.keys)
            console.print("\nEverything runs. Ctrl-C stops it; the next start resumes every run.")
            await asyncio.Event().wait()
    console.print(f"Stopped. Data and logs are in {folder}.")


def show(console: Console, title: str, rows: Mapping[str, str]) -> None:
    """Two columns, never cut nor folded: addresses and keys are there to be copied."""
    console.print(f"\n[bold]{title}[/bold]")
    width = max(map(len, rows))
    for name, content in rows.items():
        console.print(f"  {name:{width}}  {content}", soft_wrap=True, markup=False, highlight=False)

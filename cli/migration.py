"""What `journeys release --migrate` and `--stop` do to the runs in flight; and `journeys migrations`, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli._bulk_jobs import JobWords, agree, how_long, job_commands
from cli._console import plural, say
from cli._environment import journeys_api
from cli.stop import STOPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli._api_client import Answer, BlockingApi


@dataclass(frozen=True)
class RunsInFlight:
    """What is to become of the runs that are on other versions, how fast, and who may be asked."""

    stop: bool
    do: Sequence[str]
    per_second: int
    reason: str | None
    yes: bool
    once: str | None
    url: str | None
    key: str | None

    def move(self, journey: str, version: int) -> int:
        """Show how many there are, ask, and have them moved to a version, or ended; the exit code."""
        with journeys_api(self.url, self.key) as api:
            return self._end(api, journey, version) if self.stop else self._migrate(api, journey, version)

    def _migrate(self, api: BlockingApi, journey: str, version: int) -> int:
        preview = api.post(f"/v1/journeys/{journey}/migrate/preview", {"version": version})
        runs = preview["runs"]
        if not runs:
            say(f"No run of {journey} in {preview['brand']} is on another version than v{version}.")
            return 0
        say(
            f"{journey}: {plural(runs, 'run')} of {preview['brand']} would move to v{version} at the next wait of each:"
        )
        for one in preview["coming_from"]:
            say(f"  {one['runs']:,} from v{one['version']}, the oldest of {one['oldest'][:10]}")
        if preview["waiting"]:
            say(f"It waits for the release to roll: {preview['waiting']}.")
        say(how_long(runs, self.per_second))
        agree("Move them?", "Nothing was moved.", yes=self.yes)
        body = {
            "version": version,
            "do": [*self.do],
            "reason": self.reason or f"Release of v{version}.",
            "per_second": self.per_second,
        }
        return MIGRATIONS.begin(api, f"/v1/journeys/{journey}/migrate", body, self.once)

    def _end(self, api: BlockingApi, journey: str, version: int) -> int:
        counts = api.post(f"/v1/journeys/{journey}/stop/preview?except_version={version}")
        runs = counts["treated"] + counts["control"]
        if not runs:
            say(f"No run of {journey} is on another version than v{version}.")
            return 0
        say(
            f"{journey}: {plural(runs, 'run')} on other versions than v{version} would end, and "
            f"{plural(counts['open_tasks'], 'open task')} would be closed. Players still enter."
        )
        say(how_long(runs, self.per_second))
        agree("End them?", "Nothing was ended.", yes=self.yes)
        reason = self.reason or f"Release of v{version}."
        body = {"reason": reason, "per_second": self.per_second, "except_version": version}
        return STOPS.begin(api, f"/v1/journeys/{journey}/stop", body, self.once)


def _counts(migration: Answer) -> str:
    return f"{plural(migration['moved'], 'run')} told to move, {migration['left']:,} were there or ending"


MIGRATIONS = JobWords(
    plural="migrations",
    noun="migration",
    unit="runs",
    columns={"journey": "journey", "to": "version", "by": "created_by"},
    counts=_counts,
    pause="Tell no further run until it is resumed.",
    resume="Go on with the runs whose turn has not come.",
    cancel="Tell no further run, ever; those that were told move.",
)
migrations = job_commands(MIGRATIONS)

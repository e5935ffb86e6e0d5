"""Whether the code of journeys is released, and the releases are as they were made."""

from collections.abc import Iterable, Iterator

from stage.flow.check import Finding
from workflows.declaration import Journey
from workflows.errors import DesignError
from workflows.source.journey_loading import Registry
from workflows.source.releases import spoilt_releases
from workflows.source.version_content import JourneyPackages, content_hash

RULE = "released"


def check_versions(journeys: Iterable[Journey], registry: Registry, packages: Iterable[str]) -> Iterator[Finding]:
    """What stands between journeys and a deployment: code that is no release, and releases that somebody edited."""
    sources = JourneyPackages(tuple(packages))
    for journey in journeys:
        if not journey.version:
            yield Finding(journey.name, RULE, _why_unreleased(journey, sources))
        for release, wrong in spoilt_releases(journey, registry.releases[journey.name]):
            mend = "take it from the commit that released it, and edit the journey itself"
            yield Finding(journey.name, RULE, f"v{release.number}: {wrong.rstrip('.')}; {mend}")


def _why_unreleased(journey: Journey, sources: JourneyPackages) -> str:
    try:
        content_hash(journey, sources)
    except DesignError as wrong:
        return str(wrong).removeprefix(f"{journey.name}: ").removesuffix(".")
    return (
        "its code is no release, so runs of it would follow every later edit; run "
        f"`journeys release {journey.name}` and commit what it writes"
    )

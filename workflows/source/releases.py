"""The releases of journeys: which versions there are, and the code of each.

They lie beside the code: in the folder `releases` of a package of journeys, or `NAME_releases` beside a module. There
`index.toml` lists them, and each version has a folder of its own that can be imported.
"""

import importlib
import importlib.resources
import importlib.util
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Literal, get_args

from workflows.declaration import Journey
from workflows.errors import DesignError
from workflows.source.frozen_source import FrozenSource, frozen_source
from workflows.source.verb_lint import VerbReading, read_verbs
from workflows.source.version_content import JourneyPackages, content_hash

INDEX: Final = "index.toml"
#: What a release does with the runs in flight: they stay on their versions, move to this one, or end. Nobody enters on
#: one that is for a `shadow` until it is released anew.
InFlight = Literal["pin", "migrate", "stop", "shadow"]


@dataclass(frozen=True)
class JourneyRelease:
    """One version of a journey as the index knows it. A version that is `gone` has no code any more."""

    number: int
    hash: str
    released: date
    in_flight: InFlight = "pin"
    author: str = ""
    gone: date | None = None

    @property
    def folder(self) -> str:
        """The name of its folder below that of the journey."""
        return f"v{self.number}_{self.hash[:8]}"


@dataclass(frozen=True)
class ReleaseIndex:
    """The releases of one package of journeys: by journey, oldest first. `package` is how their folder is imported."""

    package: str
    releases: Mapping[str, Sequence[JourneyRelease]]

    def of(self, journey: str) -> Sequence[JourneyRelease]:
        """The releases of a journey, the oldest first."""
        return self.releases.get(journey, ())

    def with_hash(self, journey: str, content: str) -> JourneyRelease | None:
        """The release that has this content, None if there is none."""
        return next((one for one in self.of(journey) if one.hash == content), None)

    def package_of(self, journey: str, release: JourneyRelease) -> str:
        """How the folder of a version is imported."""
        return f"{self.package}.{journey}.{release.folder}"

    def with_release(self, journey: str, release: JourneyRelease) -> "ReleaseIndex":
        """The index with a release added, or changed where it has the number."""
        others = [one for one in self.of(journey) if one.number != release.number]
        kept = sorted([*others, release], key=lambda one: one.number)
        return replace(self, releases=dict(sorted({**self.releases, journey: kept}.items())))

    def to_toml(self) -> str:
        """The index as its file holds it."""
        parts = ["# Written by `journeys release`; commit it with the code.\n"]
        for journey, releases in self.releases.items():
            for one in releases:
                parts.append(
                    f"\n[[{journey}]]\nnumber = {one.number}\nhash = {_quoted(one.hash)}\nreleased = {one.released}\n"
                )
                parts.append(f"in_flight = {_quoted(one.in_flight)}\n")
                parts += [f"author = {_quoted(one.author)}\n"] if one.author else []
                parts += [f"gone = {one.gone}\n"] if one.gone else []
        return "".join(parts)


@dataclass(frozen=True)
class ReleasedJourney:
    """A journey with its versions: the present code, what is wrong with them, and what their code was seen to do."""

    journey: Journey
    readings: Mapping[int, VerbReading]
    mistakes: Sequence[str]


def releases_package(module: str, packages: Sequence[str]) -> str:
    """How the folder with the releases of the journeys of a module is imported.

    A module that is named alone has them in the folder of its package, if there is one, and else beside itself.
    """
    owner = max((one for one in packages if module == one or module.startswith(f"{one}.")), key=len)
    spec = importlib.util.find_spec(owner)
    if spec is not None and spec.submodule_search_locations is not None:
        return f"{owner}.releases"
    common = f"{owner.rpartition('.')[0]}.releases"
    spec = importlib.util.find_spec(common) if "." in owner else None
    return common if spec is not None and spec.submodule_search_locations is not None else f"{owner}_releases"


def is_releases(module: str, package: str) -> bool:
    """Whether a module lies in the releases of a package rather than among its journeys."""
    return module == f"{package}.releases" or module.startswith(f"{package}.releases.")


def read_index(package: str) -> ReleaseIndex:
    """The releases in a folder, none where there is no such folder. Raises `DesignError` for a file it cannot read."""
    try:
        text = importlib.resources.files(package).joinpath(INDEX).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        return ReleaseIndex(package, {})
    try:
        tables = tomllib.loads(text)
        return ReleaseIndex(package, {name: [_release(row) for row in rows] for name, rows in tables.items()})
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as wrong:
        raise DesignError(
            f"{package}: its {INDEX} cannot be read ({wrong}); take it from the last commit and release again."
        ) from wrong


def with_versions(journey: Journey, packages: JourneyPackages, index: ReleaseIndex) -> ReleasedJourney:
    """The journey with the number of the version its code is, and with every other version that is not gone."""
    content = _content(journey, packages)
    present = None if content is None else index.with_hash(journey.name, content)
    versions: dict[int, Journey] = {}
    readings: dict[int, VerbReading] = {}
    mistakes: list[str] = []
    for release in index.of(journey.name):
        if release.gone is not None or release is present:
            continue
        try:
            frozen = _frozen(journey.name, index.package_of(journey.name, release))
        except DesignError as wrong:
            mistakes.append(f"{journey.name} v{release.number}: {wrong}")
            continue
        reading = readings[release.number] = read_verbs(frozen, (index.package,))
        versions[release.number] = replace(frozen, version=release.number, **reading.listening(frozen))
    number = present.number if present is not None and present.gone is None else 0
    live = (
        last_live(index.of(journey.name)) if number and present is not None and present.in_flight == "shadow" else None
    )
    return ReleasedJourney(replace(journey, version=number, versions=versions, live=live), readings, mistakes)


def last_live(releases: Sequence[JourneyRelease]) -> int | None:
    """The newest release that players enter on while a newer one is only shadowed; None if there is none."""
    return max((one.number for one in releases if one.gone is None and one.in_flight != "shadow"), default=None)


def next_release(
    journey: Journey, packages: JourneyPackages, index: ReleaseIndex, today: date, in_flight: InFlight, author: str = ""
) -> JourneyRelease:
    """The release that the present code is: the one with its content if there is one, else the next.

    One that is gone comes back under its number, and one that was for a shadow becomes what players enter on. Raises
    `DesignError` for code that cannot be frozen.
    """
    content = content_hash(journey, packages)
    known = index.with_hash(journey.name, content)
    if known is not None:
        promoted = known.in_flight == "shadow" != in_flight
        if known.gone is None and not promoted:
            return known
        return replace(known, gone=None, released=today, in_flight=in_flight if promoted else known.in_flight)
    number = max((one.number for one in index.of(journey.name)), default=0) + 1
    return JourneyRelease(number, content, today, in_flight, author)


def source_of(
    journey: Journey, packages: JourneyPackages, index: ReleaseIndex, release: JourneyRelease
) -> FrozenSource:
    """The files of a release of the present code. Raises `DesignError` for code that cannot be frozen."""
    return frozen_source(journey, packages, index.package_of(journey.name, release))


def spoilt_releases(journey: Journey, index: ReleaseIndex) -> Iterator[tuple[JourneyRelease, str]]:
    """The releases of a journey whose source is not what was released, or is lost, each with what is wrong with it."""
    for release in index.of(journey.name):
        if release.gone is not None:
            continue
        package = index.package_of(journey.name, release)
        try:
            frozen = journey.versions.get(release.number) or _frozen(journey.name, package)
            changed = content_hash(frozen, JourneyPackages((package,))) != release.hash
        except DesignError as wrong:
            yield release, str(wrong)
        else:
            if changed:
                yield release, f"its source in {package} was edited after it was released."


def _content(journey: Journey, packages: JourneyPackages) -> str | None:
    """The content of the present code; None where it cannot be a version, as `journeys check` will say."""
    try:
        return content_hash(journey, packages)
    except DesignError:
        return None


def _frozen(journey: str, package: str) -> Journey:
    """The journey in the folder of a version."""
    for module in _modules_in(package):
        found = vars(module).get(journey)
        definition = getattr(found, "definition", None)
        if isinstance(definition, Journey) and getattr(found, "__module__", "") == module.__name__:
            return definition
    raise DesignError(f"its source is not in {package}; take it from the last commit, or release the version as gone.")


def _modules_in(package: str) -> Iterator[Any]:
    try:
        folder = importlib.resources.files(package)
        files = sorted(one.name.removesuffix(".py") for one in folder.iterdir() if one.name.endswith(".py"))
    except (ModuleNotFoundError, FileNotFoundError):
        return
    for file in files:
        if file == "__init__":
            continue
        try:
            yield importlib.import_module(f"{package}.{file}")
        except Exception as failure:
            raise DesignError(
                f"its source in {package} cannot be imported: {type(failure).__name__}: {failure}. Put back what it "
                "imports, or move its runs to another version first."
            ) from failure


def _release(row: Mapping[str, Any]) -> JourneyRelease:
    release = JourneyRelease(**row)
    if release.in_flight not in get_args(InFlight) or not isinstance(release.number, int):
        raise ValueError(f"in_flight is one of {', '.join(get_args(InFlight))}, not {release.in_flight!r}")
    return release


def _quoted(value: str) -> str:
    """A string of TOML, whose escapes are those of JSON."""
    return '"' + "".join(_escaped(one) for one in value) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\u{ord(character):04x}"

"""Which module holds the code of each version of a journey, as this process has read it from the releases.

The table is filled once, when the journeys are loaded, and runs only read it: in their sandbox it is the process's own.
A version is named by its content, so it never means another module later.
"""

from collections.abc import Mapping

from workflows.declaration import Journey
from workflows.errors import JourneysError
from workflows.run_protocol import RunInput


class UnknownVersion(JourneysError):
    """This process does not have the code of a run's version; another may, or will after the release has rolled."""


#: By the module and the name of a journey: the module of each version, None where it is the present code.
_MODULES: dict[tuple[str, str], dict[int, str | None]] = {}


def publish(module: str, journey: str, versions: Mapping[int, str | None]) -> None:
    """Let runs of `journey`, declared in `module`, find the code of these versions."""
    _MODULES[module, journey] = dict(versions)


def module_of(module: str, journey: str, version: int) -> str | None:
    """The module with the code of a version, None for the present code; version 0 is whatever code is there.

    Raises `UnknownVersion`. It is no failure of the run: its workflow task fails and is tried again, by a worker that
    knows more.
    """
    versions = _MODULES.get((module, journey), {})
    if version and version not in versions:
        raise UnknownVersion(
            f"Version {version} of {journey} is not deployed here; deploy the release that has it in its releases/ "
            "folder, or wait until it has rolled."
        )
    return versions.get(version)


def modules_of(module: str) -> frozenset[str]:
    """The modules of every version of the journeys that are declared in one, and itself."""
    homes = (versions for (home, _), versions in _MODULES.items() if home == module)
    return frozenset({module}.union(*({one for one in versions.values() if one} for versions in homes)))


def version_of(journey: Journey, run: RunInput) -> int:
    """The version that a run plays; one from before there were releases does not say, and plays the first of them.

    That is the code as it was when it was first released, so an edit after it concerns no such run.
    """
    if "version" in run.model_fields_set:
        return run.version
    return 1 if 1 in _MODULES.get((journey.function.__module__, journey.name), {}) else 0

"""The build hook: an editable install of a checkout, and nothing else."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CheckoutOnly(BuildHookInterface[Any]):
    """Refuses every build but the editable one, which puts `journeys` on the path of a checkout's environment."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Raises RuntimeError for a wheel or an sdist; docs/decisions/0011 says why there is none."""
        if version != "editable":
            raise RuntimeError(
                "Player journeys is an application with its lock and is installed from a checkout, not from a "
                "package: run `make setup`, or `pip install --editable .` after the lock, or build the image."
            )

"""Which journeys and which message templates a deployment has, from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workflows.field_types import Product
from workflows.source.journey_loading import shipped_packages

SHIPPED_TEMPLATES = Path(__file__).parent.parent / "templates"
SHIPPED_SCRIPTS = Path(__file__).parent.parent / "scripts"


def split_at_commas(value: object) -> object:
    """What a variable lists, without the commas and the blanks around them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class ContentSettings(BaseSettings):
    """The settings that a rehearsal needs as much as production does. Nothing is read at import.

    A variable that is empty counts as not set.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    #: Further Python packages to scan for journeys, comma-separated.
    journeys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)] = ()
    #: Which of the journeys that the engine ships with are played: `all`, `none`, or their names, comma-separated. The
    #: segments it ships with come along unless it is `none`.
    shipped_journeys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)] = ("all",)
    #: The kind of gambling that a journey is about which does not say so itself.
    product: Product = "casino"
    #: Further folders of message templates; one there replaces the shipped template of its name.
    templates: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(split_at_commas)] = ()

    #: Further folders of scripts for conversations; one there replaces the shipped script of its name.
    scripts: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(split_at_commas)] = ()

    @property
    def script_folders(self) -> tuple[Path, ...]:
        """Every folder that holds scripts, the shipped one last."""
        return (*self.scripts, SHIPPED_SCRIPTS)

    @property
    def packages(self) -> tuple[str, ...]:
        """Every package that holds journeys, the shipped ones first. Raises `DesignError` for a wrong name of these."""
        return (*shipped_packages(self.shipped_journeys), *self.journeys)

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """Every folder that holds templates, the shipped one last."""
        return (*self.templates, SHIPPED_TEMPLATES)

"""What the stage knows of message templates: their class, not their words."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stage.errors import StageError
from stage.world.records import TemplateFacts
from workflows.events import MessageClass

SHIPPED = Path(__file__).parent.parent / "templates"
CLASS: TypeAdapter[MessageClass] = TypeAdapter(MessageClass)


def template_folders(environment: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Every folder of templates: those of the variable TEMPLATES, comma-separated, and the shipped one last."""
    named = (environment if environment is not None else os.environ).get("TEMPLATES", "")
    return (*(Path(part.strip()) for part in named.split(",") if part.strip()), SHIPPED)


def read_templates(folders: Iterable[Path] | None = None) -> dict[str, TemplateFacts]:
    """The gate's facts of every template below the folders; of two with one name the first folder's counts.

    Raises StageError for a declaration that cannot be read. Whether the texts are complete is judged when the
    worker loads them.
    """
    found: dict[str, TemplateFacts] = {}
    for folder in template_folders() if folders is None else folders:
        for path in sorted(folder.glob("*/template.toml")):
            found.setdefault(path.parent.name, _read(path))
    return found


def _read(path: Path) -> TemplateFacts:
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
        return TemplateFacts(
            CLASS.validate_python(declared.get("class")), bool(declared.get("suppress_if_active_today", False))
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StageError(f"{path} is not TOML ({error}); correct it.") from None
    except ValidationError:
        raise StageError(f'{path} has no class the gate knows; write class = "marketing" or one of its like.') from None

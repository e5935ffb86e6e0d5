"""Message templates: which there are, and what each says, by its own example."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented, undeclared
from content.mail_layout import COLOUR
from content.previews import preview
from content.templates import Catalogue, RenderError
from workflows.channels import Channel
from workflows.field_types import MessageClass

router = APIRouter(prefix="/v1/templates", tags=["templates"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]


class TemplateView(BaseModel):
    """A template of the deployment."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "welcome",
                    "message_class": "service",
                    "channels": ["email"],
                    "languages": ["en", "ru", "uk"],
                }
            ]
        },
    )

    name: str
    message_class: MessageClass
    channels: list[Channel]
    languages: list[str]


class TemplateList(BaseModel):
    """Every template of the deployment, by name."""

    items: list[TemplateView]


class TemplatePreview(BaseModel):
    """What a template says to a player; nothing is sent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"language": "en", "title": "Welcome to Northlight", "body": "Hello Olena, …"}]}
    )

    language: str = Field(description="The language it was found in.")
    title: str
    body: str
    html: str | None = Field(None, description="Of a mail: the whole page.")


class PreviewQuery(BaseModel):
    """Which text of the template."""

    model_config = ConfigDict(extra="forbid")

    channel: Channel | None = Field(None, description="Without a word its first.")
    language: str = Field("en", max_length=35, pattern="^[A-Za-z-]+$")


@router.get("", responses=COMMON)
async def list_templates(request: Request, engine: EngineOf, key: Reading) -> TemplateList:  # noqa: ARG001 - the key may
    """The templates of the deployment."""
    catalogue = await catalogue_of(request, engine)
    return TemplateList(items=[TemplateView.model_validate(catalogue[name]) for name in catalogue])


@router.get("/{template}/preview", responses={**COMMON, **documented(404)})
async def preview_template(
    template: str, request: Request, engine: EngineOf, key: Reading, query: Annotated[PreviewQuery, Query()]
) -> TemplatePreview:
    """What a template says on a channel and in a language, with the values of its own example."""
    catalogue = await catalogue_of(request, engine)
    if template not in catalogue:
        raise undeclared("template", template, catalogue.names)
    channel = query.channel or catalogue[template].channels[0]
    settings = engine.settings
    colour, named = settings.brand_colours.get(key.brand, COLOUR), settings.brand_names.get(key.brand, "")
    try:
        shown = preview(catalogue, template, channel, query.language, colour=colour, brand_name=named)
    except RenderError as unfit:
        raise Problem("invalid", str(unfit), errors=[{"parameter": "channel", "detail": str(unfit)}]) from None
    return TemplatePreview(language=shown.language, title=shown.text.title, body=shown.text.body, html=shown.html)


async def catalogue_of(request: Request, engine: ApiEngine) -> Catalogue:
    """The deployment's templates, read when somebody first asks: taking events needs none."""
    state = request.app.state
    if not hasattr(state, "catalogue"):
        state.catalogue = await asyncio.to_thread(Catalogue.load, *engine.settings.template_folders)
    catalogue: Catalogue = state.catalogue
    return catalogue

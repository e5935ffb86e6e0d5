"""Typed questions to people: a journey asks a `Form`, a person fills it in."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Form"]


class Form(BaseModel):
    """Base of every human task's answer; the docstring is the question the person reads.

    Fields become the form's JSON Schema, so give each a type a browser can show: `str`, `int`,
    `bool`, `Literal[...]`, `date`. A field without a default must be answered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

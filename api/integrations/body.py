"""Reads a JSON body with every fraction exactly as it was written."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Request

from api.json_text import BYTE_ORDER_MARK, is_json, media_type_of, read_json
from api.problems import Problem


async def read_document(request: Request) -> object:
    """The document of a request, fractions as `Decimal`. Raises `Problem` 400, 413 or 415.

    A text in it may hold half a character, as JSON may: the message that says it is refused where it is read.
    """
    if not is_json(media_type_of(request.headers.get("content-type", ""))):
        raise Problem("media-type", "Send application/json.")
    body = (await request.body()).removeprefix(BYTE_ORDER_MARK)
    try:
        # The standard library keeps fractions exact, but takes NaN, which nothing here can keep.
        _, suspect = read_json(body)
        return json.loads(body, parse_float=_fraction, object_pairs_hook=_each_once if suspect else None)
    except (ValueError, RecursionError):
        detail = "The body is not UTF-8 JSON; send one JSON document, not nested deeply, with each name once."
        raise Problem("malformed", detail) from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(whole := dict(pairs)) < len(pairs):
        raise ValueError("An object has a name twice.")
    return whole


def _fraction(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except InvalidOperation:
        # Grammatical all the same, as 1e-99999999999999999999 is: no amount of money, and nought to everybody else.
        return float(text)

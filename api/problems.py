"""Errors over HTTP: RFC 9457 problem details, one kind a reason, each with a sentence that says what to do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from content.nearest_name import LONGEST, nearest
from workflows.json_object import JsonObject

MEDIA_TYPE: Final = "application/problem+json"
TYPE: Final = "urn:journeys:problem:"
RETRY: Final = {"Retry-After": "1"}
CORRECT: Final = "Correct what errors lists and send the request again."
#: What is said when somebody else holds the row of a player.
HELD: Final = (
    "Somebody works on one of these players in Postgres and does not let go; send the request again, doing so is safe."
)
#: Faults of one request that are listed; a body of 256 KiB can have twenty thousand.
MOST_FAULTS: Final = 20

#: Every kind of problem: its status and its title. The kind is the last part of `type`.
KINDS: Final[Mapping[str, tuple[int, str]]] = {
    "malformed": (400, "The request cannot be read"),
    "page-token": (400, "The page token is not valid here"),
    "unauthenticated": (401, "No valid API key"),
    "scope": (403, "The key lacks a scope"),
    "task-not-yours": (403, "The task is for others"),
    "forged": (403, "The form cannot be believed"),
    "not-found": (404, "Not found"),
    "method": (405, "Method not allowed"),
    "other-brands": (409, "The person works in other brands too"),
    "task-claimed": (409, "The task is claimed by somebody else"),
    "task-closed": (409, "The task is closed"),
    "task-answered": (409, "The task was answered differently"),
    "player-protected": (409, "The player is left alone"),
    "due-fixed": (409, "The due time is not ours to move"),
    "run-ended": (409, "The run has ended"),
    "entry-refused": (409, "The player may not enter"),
    "enrolment-ended": (409, "The enrolment has ended"),
    "stop-ended": (409, "The stop has ended"),
    "shadowed": (409, "Another release is shadowed"),
    "migration-ended": (409, "The migration has ended"),
    "not-deployed": (409, "Nobody knows the release"),
    "wrong-channel": (409, "Not an in-app message"),
    "not-lost": (409, "The run is not lost"),
    "identity-taken": (409, "The identity belongs to another event"),
    "exclusion-ended": (409, "The exclusion has ended"),
    "too-early": (409, "The exclusion may not end yet"),
    "too-many": (409, "There are as many as there may be"),
    "stale": (412, "The task has changed"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "Unsupported content type"),
    "command-refused": (409, "It cannot be done now"),
    "invalid": (422, "The request is not valid"),
    "unknown-step": (422, "The release has no such step"),
    "key-reused": (422, "The idempotency key was used for something else"),
    "if-match-required": (428, "If-Match is required"),
    "head-too-large": (431, "The head of the request is too large"),
    "busy": (429, "Too much is waiting already"),
    "too-fast": (429, "That was too fast"),
    "fault": (500, "The engine made a mistake"),
    "away": (503, "Temporarily unavailable"),
}

_DESCRIPTIONS: Final = {
    400: "The request cannot be read.",
    401: "No API key was given, or it is unknown, expired or revoked.",
    403: "The key lacks the scope this needs.",
    404: "There is no such thing in the key's brand.",
    409: "It is not in a state that allows this.",
    412: "The task changed since its ETag was read.",
    413: "The body, or the batch in it, is larger than the published limits.",
    415: "The content type is not one of those listed.",
    422: "The request is readable but not valid; `errors` points at each fault.",
    428: "Send the ETag you read in If-Match.",
    429: "Deliveries have piled up, or one player was too fast; repeat after Retry-After seconds. "
    "What protects a player was taken all the same.",
    503: "Postgres is away or overloaded; nothing was changed. Repeat after Retry-After seconds.",
}


class Problem(HTTPException):
    """An answer that is not what was asked for; raise it anywhere below the edge."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        status, self.title = KINDS[kind]
        super().__init__(status, detail, dict(headers) if headers else None)
        self.kind = kind
        self.errors = errors
        self.members = members or {}

    def response(self) -> Response:
        """The problem as the client sees it."""
        body: JsonObject = {
            "type": f"{TYPE}{self.kind}",
            "title": self.title,
            "status": self.status_code,
            "detail": self.detail,
            **self.members,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return Response(orjson.dumps(body), self.status_code, self.headers, MEDIA_TYPE)


def missing(what: str) -> Problem:
    """404: not there, or another brand's, which is the same to the asker."""
    return Problem("not-found", f"There is no such {what}; check the id and the brand of the key.")


def undeclared(what: str, name: str, known: Iterable[str]) -> Problem:
    """404 for a name that no deployed package declares; it tells the known one that is nearest."""
    meant = nearest(name, known)
    hint = f"Did you mean {meant}?" if meant else f"GET /v1/{what}s lists what is deployed."
    return Problem("not-found", f"There is no {what} {name[:LONGEST]}. {hint}")


def away(
    detail: str = "Postgres does not answer; send the request again, doing so is safe.",
    members: Mapping[str, object] | None = None,
) -> Problem:
    """503 with Retry-After."""
    return Problem("away", detail, headers=RETRY, members=members)


def busy(retry_after: int, members: Mapping[str, object]) -> Problem:
    """429 with Retry-After, in seconds: the same request again is safe, and then is taken whole."""
    detail = (
        f"More is waiting than can be worked off at once; send the request again in {retry_after} seconds. What "
        "protects a player was taken all the same and will answer as a duplicate."
    )
    return Problem("busy", detail, headers={"Retry-After": str(retry_after)}, members=members)


def from_http(error: HTTPException) -> Problem:
    """What the framework refuses by itself: unknown paths, wrong methods, unreadable bodies."""
    if isinstance(error, Problem):
        return error
    match error.status_code:
        case 404:
            return Problem("not-found", "There is nothing at this path; see /openapi.json for what there is.")
        case 405:
            detail = "This path knows other methods; the Allow header lists them."
            return Problem("method", detail, headers=error.headers)
        case _:
            return Problem("malformed", "The body cannot be read; send UTF-8 JSON as the documentation shows.")


def from_validation(error: RequestValidationError) -> Problem:
    """422 with a pointer into the body, or the name of the parameter, for each fault."""
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Problem("malformed", "The body is not JSON; send a UTF-8 JSON document.")
    if any(fault["type"] == "missing" and fault["loc"] == ("header", "If-Match") for fault in faults):
        return Problem("if-match-required", "Read it and send its ETag in If-Match, so that nobody's edit is lost.")
    errors = [_fault(fault) for fault in faults[:MOST_FAULTS]]
    return Problem("invalid", CORRECT, errors=errors)


def pointer(parts: Sequence[int | str]) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def sentence(message: str) -> str:
    """A message of pydantic or jsonschema with a capital and a full stop."""
    message = message.removeprefix("Value error, ")
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."


def _fault(fault: Mapping[str, Any]) -> dict[str, str]:
    place, *path = fault["loc"]
    detail = sentence(str(fault["msg"]))
    if place == "body":
        return {"pointer": pointer(path), "detail": detail}
    return {"parameter": str(path[0]) if path else str(place), "detail": detail}


SCHEMA: Final[JsonObject] = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [f"{TYPE}{kind}" for kind in KINDS]},
        "title": {"type": "string"},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "A sentence that says what to do."},
        "errors": {
            "type": "array",
            "description": "Each fault, with a JSON Pointer into the body or the name of a parameter.",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string"},
                    "parameter": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def documented(*statuses: int) -> dict[int | str, JsonObject]:
    """The problem responses of an operation, for its OpenAPI entry."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> JsonObject:
    kind, title = next((kind, title) for kind, (code, title) in KINDS.items() if code == status)
    entry: JsonObject = {
        "description": _DESCRIPTIONS[status],
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": f"{TYPE}{kind}",
                    "title": title,
                    "status": status,
                    "detail": _DESCRIPTIONS[status],
                },
            }
        },
    }
    if status in {429, 503}:
        entry["headers"] = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait."}}
    if status == 401:
        entry["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return entry


COMMON: Final = documented(400, 401, 403, 413, 422, 503)

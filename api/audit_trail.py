"""Puts what each request does into the audit trail: changes of people and keys, and who looked at a player.

A change is written in its own transaction, whichever endpoint makes it; what somebody looked at is written before it is
shown, once in a quarter of an hour for each who looks and each that is looked at. What is refused leaves a line in the
log.
"""

import logging
import time
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.actors import Actor
from activities.audit.trail import Act, acting
from api.permissions import Key, scopes_asked

logger = logging.getLogger("journeys.audit")

FORBIDDEN, BAD = 403, 400
UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: What backends and sites do: events are their own record, and a message that was read is one.
NOT_PEOPLE: Final = frozenset({"events:write", "inbox:read"})
#: They change nothing: how many it would be.
PREVIEWS: Final = frozenset({"preview_stop", "preview_migration", "preview_enrolment"})
#: Operations that show what is personal, or what a player did, was sent or was given.
READS: Final = frozenset(
    {
        *("get_player", "list_players", "list_timeline", "get_player_policy", "get_points", "get_statement"),
        *("list_messages", "get_message", "list_inbox", "list_grants", "get_grant", "list_decisions"),
        *("list_tasks", "get_task", "list_task_history", "list_runs", "get_run", "list_erasures"),
        *("list_members", "export_members", "list_failed_events", "list_audit", "why_message"),
    }
)
#: Seconds for which somebody who looked is not written again for the same.
LOOKS_ONCE: Final = 900
#: Looks that a process remembers.
MOST: Final = 10_000


class Audited:
    """Has each request of a person or a key leave its trace."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        #: By who looked at what: when it was written.
        self._looks: dict[tuple[str, str, str, str], float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        key: Key | None = scope.get("state", {}).get("key") if scope["type"] == "http" else None
        if key is None:
            await self.app(scope, receive, send)
            return
        act = Act(key.actor(), "")
        act.described_by = lambda: _describe(act, scope)
        changes = scope["method"] in UNSAFE

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == FORBIDDEN:
                    _log_refusal(act.actor, scope)
                elif message["status"] < BAD and not changes:
                    await self._note_look(scope, act)
            await send(message)

        with acting(act, writes=changes):
            await self.app(scope, receive, watched)

    async def _note_look(self, scope: Scope, act: Act) -> None:
        """Write that somebody looks, before anything is shown. Raises what the database raises."""
        route = scope.get("route")
        if not isinstance(route, APIRoute) or route.name not in READS:
            return
        _describe(act, scope)
        look = (act.actor.brand, act.actor.id + act.actor.name, route.name, f"{act.player_id} {act.object}")
        now = time.monotonic()
        if now - self._looks.get(look, -LOOKS_ONCE) < LOOKS_ONCE:
            return
        act.kind = "read"
        engine: Any = scope["app"].state.engine
        with acting(act):
            async with engine.database.transaction():
                pass
        if len(self._looks) >= MOST:
            del self._looks[next(iter(self._looks))]
        self._looks[look] = now
        logger.info("%s looked: %s %s, with the key %s.", act.actor.name, act.action, look[3], act.actor.key_name)


def _describe(act: Act, scope: Scope) -> bool:
    """Name the act after the operation and what its path names; False for what leaves no entry."""
    route = scope.get("route")
    if not isinstance(route, APIRoute):
        return False
    scopes = {one for asked in scopes_asked(route) for one in asked.scopes}
    if act.kind == "change" and scope["method"] in UNSAFE and (scopes <= NOT_PEOPLE or route.name in PREVIEWS):
        return False
    named = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    act.action = route.name
    act.player_id = act.player_id or named.pop("player_id", None)
    act.object = act.object or ("/".join(named.values())[:LONGEST] or None)
    return True


#: Characters of what an act is done to.
LONGEST: Final = 300


def _log_refusal(actor: Actor, scope: Scope) -> None:
    action = getattr(scope.get("route"), "name", scope["method"])
    logger.warning("Refused: %s may not %s, with the key %s (%s).", actor.name, action, actor.key_name, actor.key_id)

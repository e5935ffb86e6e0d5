"""Puts what each request does into the audit trail: changes of people and keys, and who looked at a player.

A change is written in its own transaction, whichever endpoint makes it; what somebody looked at is written before it is
shown, once in a quarter of an hour for each who looks and each that is looked at. What is refused leaves a line in the
log.
"""

import logging
import time
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.actors import Actor
from activities.audit.trail import Act, acting
from api.permissions import PLAYER, Key, scopes_asked

logger = logging.getLogger("journeys.audit")

FORBIDDEN, BAD = 403, 400
CONSOLE: Final = "/console/"
#: Set where a part of a page is refreshed by itself: nobody looks.
POLLING: Final = "x-console-poll"
NOBODY: Final = Actor("", "")
UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: What backends, sites and players themselves do: events are their own record, and a message that was read is one.
NOT_PEOPLE: Final = frozenset({"events:write", "inbox:read", "players:tokens", PLAYER})
#: They change nothing that anybody else sees: how many it would be, and what somebody is still writing.
PREVIEWS: Final = frozenset(
    {"preview_stop", "preview_migration", "preview_enrolment", "save_draft", "forget_draft", "console.draft"}
)
#: Operations that show nothing of a player. Whatever else is read, what is added later too, is a look at somebody.
IMPERSONAL: Final = frozenset(
    {
        *(
            "get_limits",
            "list_event_types",
            "get_me",
            "list_people",
            "get_person",
            "get_work",
            "list_segments",
            "get_segment",
        ),
        *("list_journeys", "get_journey", "get_controls", "get_shadow", "get_step_counts", "list_caught"),
        *("list_dead_letters", "list_stops", "get_stop", "list_migrations", "get_migration"),
        *(
            "list_task_kinds",
            "list_enrolments",
            "get_enrolment",
            "list_webhooks",
            "get_webhook",
            "count_tasks",
            "get_draft",
        ),
        *("console.enter", "console.begin", "console.nothing", "console.listed", "console.journey", "console.picture"),
        *("console.stuck", "console.left", "console.finish", "console.template", "console.mail", "console.own_work"),
        *("console.segment_list", "list_keys", "list_templates", "preview_template"),
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
        if key is None and not scope.get("path", "").startswith(CONSOLE):
            await self.app(scope, receive, send)
            return
        # Who is at a page of the console is known when its session is read.
        act = Act(NOBODY if key is None else key.actor(), "")
        act.described_by = lambda: _describe(act, scope)
        changes = scope["method"] in UNSAFE

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == FORBIDDEN:
                    _log_refusal(act.actor, scope)
                elif message["status"] < BAD and not changes and POLLING not in Headers(scope=scope):
                    await self._note_look(scope, act)
            await send(message)

        with acting(act, writes=changes):
            await self.app(scope, receive, watched)

    async def _note_look(self, scope: Scope, act: Act) -> None:
        """Write that somebody looks, before anything is shown. Raises what the database raises."""
        if not _describe(act, scope) or act.action in IMPERSONAL:
            return
        look = (act.actor.brand, act.actor.id + act.actor.name, act.action, f"{act.player_id} {act.object}")
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
    if not isinstance(route, APIRoute) or act.actor is NOBODY:
        return False
    of_console = scope["path"].startswith(CONSOLE)
    name = f"console.{route.name}" if of_console else route.name
    scopes = {one for asked in scopes_asked(route) for one in asked.scopes}
    asked_of_people = scopes - NOT_PEOPLE
    if not of_console and not asked_of_people:
        return False
    if scope["method"] in UNSAFE:
        if name in PREVIEWS:
            return False
    elif not of_console and not act.actor.may(*asked_of_people):
        # A site that shows a player their own inbox is not somebody who looks at them.
        return False
    named = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    act.action = name
    named.pop("brand", None)
    act.player_id = act.player_id or named.pop("player_id", None)
    act.object = act.object or ("/".join(named.values())[:LONGEST] or None)
    return True


#: Characters of what an act is done to.
LONGEST: Final = 300


def _log_refusal(actor: Actor, scope: Scope) -> None:
    action = getattr(scope.get("route"), "name", scope["method"])
    logger.warning("Refused: %s may not %s, with the key %s (%s).", actor.name, action, actor.key_name, actor.key_id)

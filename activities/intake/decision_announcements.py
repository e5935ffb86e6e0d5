"""What others may hear of facts and decisions about players: entries, ends without a workflow, protection."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from activities.intake.backpressure import protects
from workflows.events import Event
from workflows.outgoing_events import OutgoingEvent
from workflows.player_state.decisions import Decision, Ended, Start
from workflows.player_state.state import Mode


def of_facts(brand: str, facts: Iterable[tuple[str, Event]], now: datetime, mode: Mode) -> Iterator[OutgoingEvent]:
    """That new facts protect their players; history tells nobody anything new."""
    if mode == "live":
        for player_id, fact in facts:
            if protects(fact):
                yield OutgoingEvent.about("player.protected", fact, now, brand=brand, player_id=player_id)


def of_decisions(brand: str, decisions: Iterable[tuple[str, Decision]]) -> Iterator[OutgoingEvent]:
    """That runs begin, and that those end which no workflow plays."""
    for player_id, decision in decisions:
        told = {"brand": brand, "player_id": player_id}
        if isinstance(decision, Start) and decision.refused is None:
            yield OutgoingEvent.about("run.started", decision, decision.entered_at, **told)
        elif isinstance(decision, Ended):
            told["journey"] = decision.run_id.partition(":")[0]
            yield OutgoingEvent.about("run.ended", decision, decision.at, **told)

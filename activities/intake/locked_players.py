"""The locked players of one transaction, and everything decided about them so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from activities.run_delivery.deliveries import DeliveryRow
from workflows.gate.comparison import is_held_out
from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import Decision, ReviewDue, Start
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.state import PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex


@dataclass
class LockedPlayers:
    """The locked players of one transaction, and everything decided about them so far."""

    states: dict[str, PlayerState]
    #: The rules of the brand now: of journeys that are closed nobody enters one, and some have a shadow.
    rules: RuleIndex
    profiles: dict[str, JsonObject] = field(default_factory=dict)
    decisions: list[tuple[str, Decision]] = field(default_factory=list)
    #: What runs are told that follows from no event: a person's answer, the end of a hold.
    messages: list[DeliveryRow] = field(default_factory=list)
    #: Rules that raised; they are counted and logged when the block is left.
    failures: list[RuleFailure] = field(default_factory=list)
    #: By run that begins, and by review that is due: what it is told of its player.
    facts: dict[str, PlayerFacts] = field(default_factory=dict)
    #: Those who were protected before anything was decided here.
    protected: frozenset[str] = frozenset()
    #: Runs that begin for players of the brand's holdout.
    held_out: set[str] = field(default_factory=set)
    #: No player of these is ticked before this moment.
    not_before: datetime | None = None

    def record(self, player_id: str, decisions: Iterable[Decision]) -> None:
        """Record decisions; they are written when the transaction ends.

        To be called after each event: a run is told what was known when it began, and not what the
        rest of the batch teaches.
        """
        for decision in decisions:
            self.decisions.append((player_id, decision))
            if isinstance(decision, Start):
                state = self.states[player_id]
                self.facts[decision.run_id] = journey_facts(state)
                whose = (state.brand, (player_id, *state.accounts), state.jurisdiction)
                if is_held_out(*whose, self.rules.policies, decision.entered_at):
                    self.held_out.add(decision.run_id)
                self.decisions += [(player_id, beside) for beside in state.begin_shadow(decision, self.rules)]
            elif isinstance(decision, ReviewDue):
                self.facts[decision.task_id] = journey_facts(self.states[player_id])

    def newly_protected(self, now: datetime) -> list[str]:
        """Whose protection begins in this transaction, whatever brought it."""
        return [one for one, state in self.states.items() if one not in self.protected and state.protected(now)]

    def answer(self, player_id: str, run_id: str, step: str, answer: JsonObject) -> bool:
        """Deliver a person's answer to a run, and to its shadow, which asks nobody; False when the run is over."""
        state = self.states[player_id]
        seq = state.next_seq(run_id)
        if seq is None:
            return False
        told = [(run_id, seq), *state.number_beside(run_id)]
        self.messages += [DeliveryRow.answer(one, number, step, answer) for one, number in told]
        return True

    def resume(self, player_id: str, run_id: str) -> bool:
        """Tell a held run to go on; False when it is over."""
        seq = self.states[player_id].next_seq(run_id)
        if seq is None:
            return False
        self.messages.append(DeliveryRow.resume(run_id, seq))
        return True

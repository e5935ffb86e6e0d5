"""What missions make of a player: progress with every event that counts, the player's word, and the claimed prize."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from workflows.events import Event, MissionCompleted
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.mission_progress import MissionRefusal, MissionState, claimable, move, opt_in, through_with
from workflows.loyalty.missions import Badge, Piece, PlayerMission
from workflows.loyalty.point_lots import lot_of
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.wheels import Wheel
from workflows.player_state.counting import derived_id
from workflows.player_state.loyal_player import LoyalPlayer
from workflows.rules.failures import RuleFailure
from workflows.rules.segments import Statistics


@dataclass(slots=True)
class MissionPlayer(LoyalPlayer):
    """A player with the missions they are on."""

    def move_missions(
        self, event: Event, program: LoyaltyProgram, now: datetime, failures: list[RuleFailure], *, live: bool
    ) -> list[MissionCompleted]:
        """Count an event in the missions it is about; those it completes. Who is protected or out gets no further."""
        about = program.missions_about.get(event.type, ())
        if not live or not about or self.left_alone(now):
            return []
        completed: list[MissionCompleted] = []
        left, only = about, program.only_steps_about.get(event.type, {})
        if self.loyalty is not None:
            left = self.loyalty.missions.tally(about, only, event, now, failures)
        present = self.present(now)
        for mission in left:
            state = None if self.loyalty is None else self.loyalty.missions.get(mission.name)
            if state is None:
                if mission.opt_in or self.mission_refusal(mission, program, now, failures) is not None:
                    continue
                state = self._mission(mission.name)
            elif mission.control and self.is_control(mission):
                continue
            completed += [
                MissionCompleted(
                    event_id=derived_id(event, f"{MissionCompleted.type}:{mission.name}:{one.opens:%Y%m%d}"),
                    event_source=event.event_source,
                    occurred_at=now,
                    entity_id=mission.name,
                )
                for one in move(mission, state, event, present, failures)
            ]
            if not state.occurrences and not state.completed and self.loyalty is not None:
                del self.loyalty.missions[mission.name]
        return completed

    def mission_refusal(
        self, mission: PlayerMission, program: LoyaltyProgram, now: datetime, failures: list[RuleFailure]
    ) -> MissionRefusal | None:
        """Why the player may not see a mission, or not begin it yet; None if they may.

        A function that raises shows it to nobody.
        """
        try:
            visible = bool(mission.function(Statistics(self, now)))
        except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
            failures.append(RuleFailure(mission.name, "segment", error))
            visible = False
        if not visible or self.is_control(mission):
            return "not_visible"
        missions = {} if self.loyalty is None else self.loyalty.missions
        before = [name for name in mission.after if name in program.missions]
        return "locked" if any(name not in missions or not missions[name].completed for name in before) else None

    def is_control(self, one: PlayerMission | Wheel) -> bool:
        """Whether the player is of the share that never sees it, which is the same for ever."""
        if not one.control:
            return False
        kind = "mission" if isinstance(one, PlayerMission) else "wheel"
        digest = hashlib.sha256(f"{self.brand}:{kind} {one.name}:{self.player_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % 100 < one.control

    def is_through_with(self, mission: PlayerMission, now: datetime) -> bool:
        """Whether the player has completed the mission and it cannot begin again yet."""
        state = None if self.loyalty is None else self.loyalty.missions.get(mission.name)
        return state is not None and through_with(mission, state, now)

    def open_mission(self, mission: PlayerMission, now: datetime) -> None:
        """Begin a mission that was given as a prize, whoever may see it; one that has begun stays as it is."""
        opt_in(mission, self._mission(mission.name), self.present(now))

    def begin_mission(self, mission: PlayerMission, now: datetime) -> MissionRefusal | None:
        """Begin a mission by the player's word. The caller has asked the gate, and who may see it."""
        return opt_in(mission, self._mission(mission.name), self.present(now))

    def claim_refusal(self, mission: PlayerMission, now: datetime) -> MissionRefusal | None:
        """Why there is no prize of a mission to claim; None if there is."""
        state = None if self.loyalty is None else self.loyalty.missions.get(mission.name)
        came = "not_completed" if state is None else claimable(state, now)
        return came if isinstance(came, str) else None

    def claim_mission(self, mission: PlayerMission, ref: str, now: datetime) -> list[PointTransfer]:
        """Give the prize of a completed mission. The caller has asked `claim_refusal`, the gate and the budget."""
        came = claimable(self._mission(mission.name), now)
        assert not isinstance(came, str), came
        came.claimed_at = now
        if isinstance(mission.gives, Badge | Piece):
            self.present_with(mission.gives, now)
            return []
        assert mission.into is not None
        postings, present = self._postings(now), self.present(now)
        lot = lot_of(mission.product, present.today, mission.into.expires, present)
        postings.credit(mission.into.name, mission.points, lot, "issued:mission", "mission", ref)
        return postings.transfers

    def present_with(self, gives: Badge | Piece, now: datetime) -> None:
        """Give a badge, or a piece of a set; what the player has already changes nothing."""
        self.loyalty = self.loyalty or LoyaltyState()
        if isinstance(gives, Badge):
            self._wear(gives, now)
        else:
            self._collect(gives, now)

    def _mission(self, name: str) -> MissionState:
        self.loyalty = self.loyalty or LoyaltyState()
        return self.loyalty.missions.setdefault(name, MissionState())

    def _wear(self, badge: Badge, now: datetime) -> None:
        assert self.loyalty is not None
        self.loyalty.badges.setdefault(badge.name, now)

    def _collect(self, piece: Piece, now: datetime) -> None:
        assert self.loyalty is not None
        held = self.loyalty.pieces.setdefault(piece.collection.name, [])
        if piece.name not in held:
            held.append(piece.name)
        if set(piece.collection.pieces) <= set(held):
            self._wear(piece.collection.gives, now)

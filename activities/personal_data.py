"""Which column of which table holds personal data, and what becomes of it when a player is erased.

One declaration for erasure, export and the page docs/privacy.md. A test walks the tables and fails for a column that is
not classified: whoever adds one says here what it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import TextClause

from activities import messages, player_notes, seeds, shadows, standings, step_log, task_drafts, tasks
from activities.intake import decision_writes, device_owners, failed_events
from activities.loops import enrolment
from activities.outgoing import webhook_queue
from activities.run_delivery import dead_letters

#: `personal`: names a person, or is a text that may. `pseudonymous`: says something of a player under their id.
#: `none`: says nothing of any player.
DataClass = Literal["personal", "pseudonymous", "none"]


@dataclass(frozen=True)
class TableData:
    """The columns of a table by class, and how it forgets a player.

    `erase` are statements that take `:brand`, `:player`, `:before` and `:limit`, repeated until they find nothing.
    """

    #: What becomes of the rows, as certificates and the page say it.
    becomes: str
    personal: str = ""
    pseudonymous: str = ""
    none: str = ""
    erase: Sequence[TextClause] = ()
    #: The column that says whose a row is; empty where rows are about nobody.
    player: str = "player_id"

    @property
    def columns(self) -> dict[str, DataClass]:
        """The class of each column."""
        classes: dict[DataClass, str] = {
            "personal": self.personal,
            "pseudonymous": self.pseudonymous,
            "none": self.none,
        }
        return {column: name for name, columns in classes.items() for column in columns.split()}


_RUN: Final = "id player_id run_id step"
#: In the order in which they are erased; events come before, and the profile went with the request.
PERSONAL_DATA: Final[Mapping[str, TableData]] = {
    "events": TableData(
        "money and protection stay without what is personal; everything else is deleted",
        personal="data",
        pseudonymous="source id player_id type occurred_at received_at unique_value",
        none="brand seq history key_id",
    ),
    "kept_events": TableData(
        "stay without what is personal",
        personal="data",
        pseudonymous="source id player_id type occurred_at received_at",
        none="brand seq history key_id",
    ),
    "event_ids": TableData(
        "stay: a digest that makes an event count once", pseudonymous="identity fact seq received_at", player=""
    ),
    "failed_events": TableData(
        "deleted",
        personal="event error",
        pseudonymous="id player_id source event_id at retried_at",
        none="brand history key_id",
        erase=(failed_events.ERASE,),
    ),
    "players": TableData(
        "the profile is emptied at once; of the row what protects stays",
        personal="profile",
        pseudonymous="id state next_moment created_at updated_at",
        none="brand",
        player="id",
    ),
    "dead_letters": TableData(
        "deleted",
        personal="payload",
        pseudonymous="id run_id seq kind reason at retried_at",
        none="brand",
        erase=(dead_letters.ERASE,),
        player="",
    ),
    "deliveries": TableData(
        "gone when Temporal has them; they carry what Temporal may know",
        pseudonymous="run_id seq id kind payload priority attempts last_error due_at created_at",
        none="brand",
        player="",
    ),
    "steps": TableData(
        "stay without their details",
        personal="detail",
        pseudonymous="run_id step line outcome player_id at seq",
        none="brand",
        erase=(step_log.ERASE,),
    ),
    "runs": TableData(
        "stay; what was wrong with one goes with its end",
        pseudonymous="id player_id journey arm state entered_at ends_at trigger ended_at outcome goal_until goal_at "
        "input check_at problem problem_since problem_detail problem_step version moving_from played "
        "arm_share segments held_out",
        none="brand",
    ),
    "memberships": TableData(
        "deleted",
        pseudonymous="seq segment player_id entered_at left_at",
        none="brand",
        erase=(decision_writes.ERASE_STAYS,),
    ),
    "messages": TableData(
        "stay without their texts",
        personal="subject body html",
        pseudonymous=f"{_RUN} journey channel template message_class language status reason decision handed_over_at "
        "delivered_at read_at delivery delivery_at created_at arrived_at opened_at clicked_at machine_opened_at "
        "bounced_at unsubscribed_at complained_at",
        none="brand",
        erase=(messages.ERASE,),
    ),
    "stray_texts": TableData(
        "gone after 30 days; they are from numbers that no player had",
        personal="number text",
        pseudonymous="id channel stops received_at",
        player="",
    ),
    "seed_players": TableData("deleted", pseudonymous="name player_id taken_on", none="brand", erase=(seeds.ERASE,)),
    "seeds": TableData("about no player", none="brand name currency taken_on ranked_by why ranked players", player=""),
    "audience_members": TableData(
        "stay until the ad network has taken the player out, which it is told at once; else 30 days",
        pseudonymous="player_id email phone checked_at due_at asked_at told_at",
        none="brand audience wanted attempts",
    ),
    "audience_syncs": TableData("about no player", pseudonymous="after", none="brand audience compared_at", player=""),
    "device_owners": TableData(
        "deleted", pseudonymous="device player_id since", none="brand", erase=(device_owners.ERASE,)
    ),
    "stray_refusals": TableData(
        "deleted with the answer, for the player's addresses; else gone after 1,100 days",
        pseudonymous="digest channel said_at",
        none="brand",
        player="",
    ),
    "gate_decisions": TableData(
        "stay: why something was sent or not",
        pseudonymous="id player_id effect_id run_id journey subject outcome policy at release reason rule detail "
        "rules seen",
        none="brand",
    ),
    "grants": TableData(
        "stay: money",
        pseudonymous=f"{_RUN} journey kind reward status reason decision provider_ref reserved_at asked_at resolved_at "
        "created_at revoke_reason revoke_due value_minor currency claimed_at activated_at expires_at ended_at ended_as "
        "cost_minor cost_currency stage stage_reason stage_at told_currency worth_minor wager_required_minor "
        "wagered_minor converted_minor",
        none="brand",
    ),
    "tasks": TableData(
        "stay without question, reason, what was shown and the answer",
        personal="question reason snapshot answer proposal",
        pseudonymous=f"{_RUN} journey form form_schema team skill forbidden state assignee priority due_at "
        "follow_up_at reminded_at escalated_at escalate_to answered_by closed_at version created_at "
        "approvals round not_by told tell_at",
        none="brand",
        erase=(tasks.ERASE, tasks.ERASE_OF_OTHER),
    ),
    # After the tasks: whoever was answering one has committed then, with the line of its history.
    "task_history": TableData(
        "stays without texts: who did what when",
        personal="text detail",
        pseudonymous="id task_id at actor actor_id key_id action",
        none="brand",
        erase=(tasks.ERASE_HISTORY, tasks.ERASE_HISTORY_OF_OTHER),
        player="",
    ),
    "task_drafts": TableData(
        "deleted",
        personal="fields",
        pseudonymous="task_id person player_id task_version saved_at",
        none="brand",
        erase=(task_drafts.ERASE, task_drafts.ERASE_OF_OTHER),
    ),
    "notices": TableData(
        "gone after 30 days; they name a task by its id",
        pseudonymous="id task_id occasion",
        none="brand person_id state due_at claimed_until attempts last_error created_at ended_at",
        player="",
    ),
    "task_signatures": TableData(
        "stay: who signed when",
        pseudonymous="task_id round signer signer_id key_id step at",
        none="brand",
        player="",
    ),
    "player_notes": TableData(
        "deleted",
        personal="text source",
        pseudonymous="id player_id author kind at",
        none="brand",
        erase=(player_notes.ERASE,),
    ),
    "player_hosts": TableData(
        "stay: who looked after whom",
        pseudonymous="id player_id person_id since given_by until",
        none="brand",
    ),
    "held_runs": TableData("gone with the run", pseudonymous="run_id journey player_id step since", none="brand"),
    "shadow_steps": TableData(
        "deleted, when the shadow run is over",
        personal="detail answer",
        pseudonymous="run_id step line outcome at",
        erase=(shadows.ERASE_STEPS,),
        player="",
    ),
    "shadow_runs": TableData(
        "deleted, when they are over",
        pseudonymous="id player_id beside ends_at ended_at outcome",
        none="shadow_id brand",
        erase=(shadows.ERASE_RUNS,),
    ),
    "enrolment_players": TableData("deleted", pseudonymous="player_id", none="job_id brand", erase=(enrolment.ERASE,)),
    "jobs": TableData(
        "stay; they name players by id at most",
        pseudonymous="detail cursor",
        none="id brand kind subject state total done counts created_by created_at updated_at ended_at",
        player="",
    ),
    "erasures": TableData(
        "stay: the certificates",
        pseudonymous="id player_id ground reference asked_by asked_at suppressed progress counts done_at hash",
        none="brand",
    ),
    "suppressions": TableData(
        "stay until the exclusion ends: a keyed digest of an address",
        pseudonymous="digest kind scope until since places",
        none="brand",
        player="",
    ),
    "journey_controls": TableData("about no player", none="brand journey closed held", player=""),
    "journey_control_history": TableData(
        "about no player", none="id brand journey at actor action reason job_id request", player=""
    ),
    "shadows": TableData(
        "about no player",
        none="id brand journey version percent started_by started_at stopped_by stopped_at",
        player="",
    ),
    "processes": TableData("about no player", none="id build role knows started_at seen_at", player=""),
    "point_transfers": TableData(
        "stay: the journal of points, which expire by themselves",
        pseudonymous="player_id number at currency debit credit cause ref amount slices bucket units",
        none="brand",
    ),
    "outgoing_events": TableData(
        "stay without what journeys said in their own words, until RETAIN_WEBHOOKS has passed; they say ids and codes",
        personal="data",
        pseudonymous="seq id player_id type at created_at",
        none="brand",
        erase=(webhook_queue.ERASE,),
    ),
    "webhook_deliveries": TableData(
        "gone with their event",
        pseudonymous="subscription_id event_seq player_id state again attempts last_status last_error due_at "
        "claimed_until created_at ended_at",
        none="brand",
    ),
    "webhook_subscriptions": TableData(
        "about no player",
        none="id brand url types description state reason secrets failures failing_since last_error due_at created_by "
        "created_at updated_at format teams",
        player="",
    ),
    "audit_entries": TableData(
        "stay: a chain that nothing is taken out of; they name fields, never what stands in them",
        pseudonymous="n at kind action object player_id actor actor_kind actor_id key_id request_id detail prev hash",
        none="brand lane",
    ),
    "audit_heads": TableData("about no player", none="brand lane n hash", player=""),
    "player_commands": TableData(
        "gone after 90 days: what a player's site asked for, and the answer",
        pseudonymous="player_id key digest answer at",
        none="brand",
    ),
    "standings": TableData(
        "deleted: who stood where",
        pseudonymous="player_id board neg_score reached_at rounds draw state named place points badge outcome late",
        none="brand",
        erase=(standings.ERASE,),
    ),
    "tournaments": TableData(
        "about no player",
        none="board brand name instance opens_at closes_at cut_at terms state closed_at ended_at entries reason",
        player="",
    ),
    "budget_slices": TableData("about no player", none="brand journey currency day slice quota used", player=""),
    "point_corrections": TableData(
        "stay: the journal's own reasons, written by people of the house",
        pseudonymous="id player_id currency amount reason state asked_by asked_by_id asked_at decided_by decided_by_id "
        "decided_at",
        none="brand",
    ),
    "point_days": TableData(
        "about no player", none="brand currency day debit credit amount transfers players counted_at", player=""
    ),
    "point_months": TableData(
        "about no player", none="brand currency month debit credit amount transfers players counted_at", player=""
    ),
    "player_days": TableData(
        "stay: sums of money and visits by day",
        pseudonymous="player_id day currency known_on registered logins deposits rounds bets reward_ends harm_signals "
        "deposited fees reversed withdrawn staked won bet_staked bet_paid bonus_cost nps",
        none="brand",
    ),
    "run_changes": TableData(
        "gone when they are counted", pseudonymous="run_id kind version at noted_at", none="brand seq", player=""
    ),
    "run_places": TableData("gone with the run's end", pseudonymous="run_id version step", player=""),
    "journey_days": TableData(
        "about no player: counts",
        none="brand journey day version arm split_by part step what reason currency runs amount",
        player="",
    ),
    "journey_places": TableData("about no player: counts", none="brand journey version arm step runs", player=""),
    "figures": TableData(
        "about no player: figures; those of a manager by their address, which go with the figures",
        personal="part",
        none="brand name period starts split_by currency as_of value low high n of immature reason taken_at",
        player="",
    ),
    "followers": TableData("about no player", none="name seq beside as_of closed", player=""),
    "loyalty_limits": TableData("about no player", none="brand name used", player=""),
    "spins": TableData(
        "stay: draws that anybody may recompute",
        pseudonymous="id player_id wheel day nonce client_seed weights drawn instead points version at reason blanks "
        "prize given_by",
        none="brand",
    ),
    "raffle_tickets": TableData(
        "stay: what a draw is made of",
        pseudonymous="ticket raffle period player_id ref count at",
        none="brand",
    ),
    "raffle_draws": TableData(
        "stay: holders stand there under names that only a secret of the draw leads to",
        pseudonymous="tickets passed_over alias_key",
        none="brand raffle period seed drawn_at places terms",
        player="",
    ),
    "raffle_winners": TableData(
        "stay: draws that anybody may recompute",
        pseudonymous="raffle period place player_id ticket prize settled_at withheld due_at failures",
        none="brand",
    ),
    "shop_purchases": TableData(
        "stay: what points were paid for",
        pseudonymous="id player_id item version currency state price slices gives run_id due_at reason at settled_at",
        none="brand",
    ),
    "experiments": TableData(
        "about no player", none="brand name version arms stopped closed started_at looked_at", player=""
    ),
    "assignments": TableData(
        "stay: who was drawn into which arm by chance, without which no result can be checked",
        pseudonymous="player_id arm run_id chance shares why at",
        none="brand experiment version",
    ),
    "experiment_looks": TableData(
        "about no player", none="brand experiment version number at counted findings", player=""
    ),
    "score_models": TableData(
        "about no player: sums over thousands",
        none="brand name version state artifact why learned_at drift scored_at",
        player="",
    ),
    "score_trainings": TableData(
        "about no player: sums over thousands",
        none="brand name tried_at became says version looked_at windows",
        player="",
    ),
    "changes": TableData("about no player", none="brand kind subject found_on says told_at", player=""),
    "wheel_days": TableData("about no player", none="brand wheel day seed", player=""),
    "api_keys": TableData(
        "about no player",
        none="id brand name hash scopes sources created_at expires_at revoked_at teams skills created_by revoked_by "
        "last_used_at",
        player="",
    ),
    "people": TableData(
        "about no player: who works here",
        personal="subject email name",
        none="id brands left_brands issuer locale zone active created_at updated_at",
        player="",
    ),
    "sign_ins": TableData(
        "about no player", none="state_hash browser_hash verifier nonce return_to created_at", player=""
    ),
    "sessions": TableData(
        "about no player: who works here",
        personal="subject",
        none="id_hash person_id issuer sid authenticated_at created_at seen_at ended_at",
        player="",
    ),
    "work_profiles": TableData(
        "about no player: how who works here works",
        none="brand person_id languages minutes_a_day told_of quiet_from quiet_until digest_at updated_at",
        player="",
    ),
    "absences": TableData(
        "about no player: when who works here is away",
        none="id brand person_id since until stand_in given_by created_at ended_at",
        player="",
    ),
    "person_grants": TableData(
        "about no player: what who works here may do",
        none="id person_id brand kind name until reason granted_at granted_by granted_by_id revoked_at revoked_by",
        player="",
    ),
}

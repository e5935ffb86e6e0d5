"""What people ask each other about a player by hand: twenty kinds of task, each with its form, its team and its time.

Declarations alone. A journey asks its own forms (`player.ask`); these are the house's, for a task that somebody opens.
What they may say in the conversation stands in `scripts/`, under the name of the form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from workflows.events.base import Pii
from workflows.forms import Form

#: Minutes of work that a task takes of which no kind says more.
USUAL_MINUTES: Final = 15
#: How the step of such a task begins, which no run has.
BY_HAND: Final = "by-hand"

#: `contact` has somebody approach the player, whom a protected player must not have; `protective` is owed to everybody:
#: their money, their documents, their complaint, their safety.
Purpose = Literal["contact", "protective"]
Note = Annotated[str, Pii(), Field(max_length=4000)]


class Conversation(Form):
    """What came of speaking with a player."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined", "escalated"]
    note: Note = ""
    next_step: Note = ""


class PieceOfWork(Form):
    """What came of work for a player that is no conversation."""

    outcome: Literal["done", "not_possible", "escalated"]
    note: Note = ""


class VipWelcomeCall(Conversation):
    """Introduce yourself as the player's host, and learn how they like to be reached."""


class BirthdayCall(Conversation):
    """Wish a happy birthday, on the day and between ten and seven where the player is."""


class LossCall(Conversation):
    """After days of losing: ask how the player is. Sell nothing."""

    limit_wanted: bool = False


class BigWinCongratulation(Conversation):
    """Congratulate on a big win, and say when the money arrives."""


class LargeLossTalk(Conversation):
    """After a large loss: listen for signs of harm, and offer limits and a break."""

    signs_of_harm: bool


class WithdrawalUpdate(Conversation):
    """Tell the player where their withdrawal is and what it still waits for."""


class DisputedTransaction(PieceOfWork):
    """Find out what happened to the transaction that the player disputes, and tell them."""

    told_player: bool


class BigWinFault(PieceOfWork):
    """A fault broke a big win: make sure that the money is right, and tell the player before they ask."""

    told_player: bool


class VipInactivityCall(Conversation):
    """The player has stayed away much longer than usual: ask how they are."""


class TierUpNote(PieceOfWork):
    """Write a few personal words on the player's new tier."""


class HandwrittenGift(PieceOfWork):
    """Send a handwritten note or a gift within the budget; two people approve it."""

    cost_minor: Annotated[int, Field(ge=0, le=100_000_000)]


class EventInvite(Conversation):
    """Invite the player to the event, and write down with whom they come."""

    comes: bool = False


class SpendReview(Form):
    """Is this player's spend affordable and sustainable as leisure spend?"""

    outcome: Literal["affordable", "not_affordable", "more_documents"]
    note: Annotated[Note, Field(min_length=1)]


class SourceOfFundsRequest(Form):
    """Ask for proof of where the money comes from, and judge it."""

    outcome: Literal["proven", "not_proven", "no_documents"]
    evidence: Note = ""


class IdentityHelp(Conversation):
    """Help the player to prove who they are: which document, and why it was not enough."""


class SaferPlayTalk(Conversation):
    """Speak with the player about their play: what you saw, what could help, and what they want to do."""

    agreed: Literal["limit", "time_out", "self_exclusion", "nothing"]


class UnhappyPlayerCall(Conversation):
    """The player would not recommend us: ask what went wrong, and say what you will do."""

    to_mend: Note = ""


class OfferCodeHelp(PieceOfWork):
    """An offer's code failed: find out why, and tell the player."""

    told_player: bool


class ComplaintHandling(PieceOfWork):
    """Answer the player's complaint: what was wrong, what is mended, and where else they may turn."""

    told_player: bool


class PortfolioReview(Form):
    """Once a month: is this player looked after as they should be, and is their play still healthy?"""

    outcome: Literal["keep", "change_host", "leave_programme", "protect"]
    note: Note = ""


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What a task of a kind asks, of whom, and how long they have."""

    form: type[Form]
    due: timedelta
    team: str = "vip"
    skill: str | None = None
    #: Who has it when the time is over; None: nobody else.
    escalate_to: str | None = "vip-head"
    priority: int = 50
    #: Minutes of somebody's day.
    minutes: int = USUAL_MINUTES
    forbidden: tuple[str, ...] = ()
    #: How many people must give the same answer.
    approvals: int = 1
    #: Whether it is for a player who may be approached, or done for one who is protected too.
    purpose: Purpose = field(kw_only=True)

    @property
    def question(self) -> str:
        """What the person reads."""
        return (self.form.__doc__ or "").strip()


_NO_OFFER: Final = ("offer a bonus", "invite to play")
_NO_REWARD: Final = ("promise a VIP reward before this is decided",)


def _hours(number: float) -> timedelta:
    return timedelta(hours=number)


#: By the name under which a task is opened.
TASK_KINDS: Final[Mapping[str, TaskKind]] = MappingProxyType(
    {
        "vip_welcome_call": TaskKind(VipWelcomeCall, _hours(24), minutes=20, purpose="contact"),
        "birthday_call": TaskKind(BirthdayCall, _hours(12), minutes=10, purpose="contact"),
        "loss_checkin": TaskKind(LossCall, _hours(4), priority=70, forbidden=_NO_OFFER, purpose="contact"),
        "big_win_call": TaskKind(BigWinCongratulation, _hours(2), priority=60, minutes=10, purpose="contact"),
        "large_loss_talk": TaskKind(
            LargeLossTalk, _hours(4), skill="rg", priority=80, minutes=30, forbidden=_NO_OFFER, purpose="protective"
        ),
        "withdrawal_comfort": TaskKind(WithdrawalUpdate, _hours(1), priority=70, minutes=10, purpose="protective"),
        "disputed_transaction": TaskKind(
            DisputedTransaction, _hours(0.5), "payments", priority=90, minutes=30, purpose="protective"
        ),
        "technical_fault_big_win": TaskKind(BigWinFault, _hours(0.25), priority=95, minutes=30, purpose="protective"),
        "vip_inactivity_call": TaskKind(VipInactivityCall, _hours(24), purpose="contact"),
        "tier_up_personal_note": TaskKind(TierUpNote, _hours(24), minutes=10, purpose="contact"),
        "handwritten_note": TaskKind(HandwrittenGift, _hours(5 * 24), minutes=30, approvals=2, purpose="contact"),
        "event_invite": TaskKind(EventInvite, _hours(3 * 24), purpose="contact"),
        "affordability_review": TaskKind(
            SpendReview, _hours(48), skill="aml", priority=80, minutes=60, forbidden=_NO_REWARD, purpose="protective"
        ),
        "source_of_funds_request": TaskKind(
            SourceOfFundsRequest,
            _hours(72),
            skill="aml",
            priority=70,
            minutes=60,
            forbidden=_NO_REWARD,
            purpose="protective",
        ),
        "kyc_help": TaskKind(IdentityHelp, _hours(24), "support", escalate_to="vip-head", purpose="protective"),
        "rg_interaction": TaskKind(
            SaferPlayTalk,
            _hours(1),
            "safer-play",
            skill="rg",
            escalate_to="compliance",
            priority=95,
            minutes=30,
            forbidden=_NO_OFFER,
            purpose="protective",
        ),
        "nps_detractor_call": TaskKind(UnhappyPlayerCall, _hours(24), purpose="contact"),
        "offer_code_failed": TaskKind(OfferCodeHelp, _hours(1), "support", priority=70, minutes=10, purpose="contact"),
        "complaint": TaskKind(ComplaintHandling, _hours(24), "support", priority=80, minutes=30, purpose="protective"),
        "portfolio_review": TaskKind(PortfolioReview, _hours(30 * 24), priority=30, minutes=20, purpose="protective"),
    }
)
#: Those that a protected player must not have.
CONTACT_KINDS: Final = frozenset(name for name, kind in TASK_KINDS.items() if kind.purpose == "contact")
#: The same forms by their names, for whoever has a task in hand.
HOUSE_FORMS: Final[Mapping[str, type[Form]]] = MappingProxyType(
    {kind.form.__name__: kind.form for kind in TASK_KINDS.values()}
)
_MINUTES: Final[Mapping[str, int]] = {kind.form.__name__: kind.minutes for kind in TASK_KINDS.values()}


def minutes_of(form: str) -> int:
    """How many minutes of somebody's day a task of this form takes."""
    return _MINUTES.get(form, USUAL_MINUTES)

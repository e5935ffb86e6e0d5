"""What happened, in a few plain words for each type of event: the names of texts in the catalogues of the console."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from workflows.events import CATALOGUE

#: A word for every type of event, as a sentence may begin with it.
EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "compliance.affordability_changed": "Affordability was checked",
        "compliance.exclusion_ended": "Exclusion ended",
        "compliance.exclusion_set": "Exclusion began",
        "compliance.harm_reviewed": "Signs of harm were reviewed",
        "compliance.harm_signal": "Sign of harm",
        "compliance.kyc_changed": "Identity check",
        "compliance.limit_changed": "Limit was changed",
        "compliance.limit_reached": "Limit was reached",
        "compliance.promotions_paused": "Promotions were paused",
        "compliance.reality_check": "Reminder of time played",
        "consent.changed": "Consent was changed",
        "content.viewed": "Page was viewed",
        "derived.anniversary": "Anniversary of the account",
        "derived.birthday": "Birthday of the player",
        "derived.day_streak": "Days in a row",
        "derived.inactive": "Has not been here for some time",
        "derived.item_purchased": "Bought in the shop of points",
        "derived.loss_streak": "Losses in a row",
        "derived.scheduled": "The calendar said so",
        "derived.segment_entered": "Entered a segment",
        "derived.segment_left": "Left a segment",
        "derived.tier_at_risk": "Tier may be lost",
        "derived.win_streak": "Wins in a row",
        "feedback.answered": "Feedback was given",
        "game.big_win": "Big win",
        "game.fault": "Fault of a game",
        "game.round_completed": "Round of a game",
        "game.round_voided": "Round was voided",
        "game.session_started": "Game was opened",
        "loyalty.badge_awarded": "Badge was awarded",
        "loyalty.mission_completed": "Mission was completed",
        "loyalty.mission_progress": "Progress of a mission",
        "loyalty.points_changed": "Points were changed",
        "loyalty.tier_changed": "Tier was changed",
        "loyalty.tournament_result": "Result of a tournament",
        "message.received": "Player wrote to us",
        "message.status": "News of a message",
        "payment.deposit_abandoned": "Deposit was abandoned",
        "payment.deposit_approved": "Deposit arrived",
        "payment.deposit_failed": "Deposit failed",
        "payment.deposit_initiated": "Deposit was begun",
        "payment.reversed": "Payment was reversed",
        "payment.withdrawal_cancelled_by_player": "Player cancelled a withdrawal",
        "payment.withdrawal_completed": "Withdrawal was paid",
        "payment.withdrawal_rejected": "Withdrawal was rejected",
        "payment.withdrawal_requested": "Withdrawal was asked for",
        "player.contact_verified": "Address or number was confirmed",
        "player.device_registered": "Device was registered",
        "player.device_removed": "Device was removed",
        "player.merged": "Accounts were merged",
        "player.password_reset": "Password was reset",
        "player.profile_updated": "Profile was changed",
        "player.registered": "Player registered",
        "player.status_changed": "State of the account was changed",
        "reward.activated": "Reward became active",
        "reward.cancelled": "Reward was cancelled",
        "reward.claimed": "Reward was taken",
        "reward.code_failed": "Code of an offer failed",
        "reward.completed": "Reward was wagered to its end",
        "reward.expired": "Reward has expired",
        "reward.failed": "Reward could not be delivered",
        "reward.forfeited": "Reward was given up",
        "reward.lost": "Reward was lost",
        "reward.offered": "Reward was offered",
        "reward.wagering_progress": "Progress of wagering",
        "score.changed": "Score was changed",
        "session.ended": "Visit ended",
        "session.login": "Login",
        "sport.bet_placed": "Bet was placed",
        "sport.bet_settled": "Bet was settled",
        "support.case_closed": "Support closed a case",
        "support.case_opened": "Support opened a case",
        "task.breached": "Task was not done in time",
        "task.claimed": "Task was taken",
        "task.completed": "Task was done",
        "task.created": "Task was opened",
    }
)
#: The type of an event, by the name that journeys call it by.
TYPES: Final[Mapping[str, str]] = MappingProxyType({kind.__name__: kind.type for kind in CATALOGUE.values()})
#: Which field of a type is worth a word, and the words for what may stand in it.
CODES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = MappingProxyType(
    {
        "compliance.exclusion_set": (
            "kind",
            {
                "self_exclusion": "self-exclusion",
                "time_out": "time-out",
                "register": "a national register",
                "operator": "by the operator",
            },
        ),
        "compliance.harm_signal": ("strength", {"weak": "weak", "medium": "medium", "strong": "strong"}),
        "compliance.kyc_changed": (
            "status",
            {
                "none": "not begun",
                "submitted": "documents were sent",
                "approved": "approved",
                "rejected": "rejected",
                "expired": "documents have expired",
            },
        ),
        "payment.deposit_failed": (
            "failure",
            {
                "insufficient": "not enough money",
                "declined": "the bank declined it",
                "3ds": "the bank's check of the cardholder failed",
                "limit": "a limit stood against it",
                "expired_card": "the card has expired",
                "technical": "a technical fault",
                "fraud": "suspected fraud",
            },
        ),
        "player.status_changed": (
            "to",
            {
                "active": "active",
                "blocked": "blocked",
                "suspended": "suspended",
                "closed": "closed",
                "self_excluded": "self-excluded",
                "pending": "pending",
                "deceased": "deceased",
            },
        ),
        "reward.code_failed": (
            "reason",
            {
                "unknown": "no such code",
                "expired": "the code has expired",
                "not_eligible": "it is not for this player",
                "used": "it was used already",
                "technical": "a technical fault",
            },
        ),
    }
)
#: What steps of a run do, by their verb; what is no verb is named as it is.
VERBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "send": "message",
        "survey": "survey",
        "grant": "reward",
        "revoke": "taking a reward back",
        "award": "reward for loyalty",
        "multiply": "points that count more",
        "give_spin": "spin as a gift",
        "spin": "spin of a wheel",
        "pause_promotions": "pause of promotions",
        "ask": "question to colleagues",
        "event": "waiting for",
        "first": "waiting for the first of",
        "sleep": "pause",
        "until": "waiting for a moment",
        "split": "split",
        "arm": "experiment",
        "amount": "size of the offer",
        "fit": "size that fits the player",
        "matches": "membership of a segment",
        "value": "a number of the player",
        "score": "score of the player",
        "usual": "what is usual for the player",
        "changed": "whether the player plays in another way",
        "mark": "mark",
        "webhook": "word to other systems",
        "refresh": "second look at the player",
        "start": "start of another journey",
    }
)
#: Kinds of rewards.
REWARDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "free_spins": "Free spins",
        "reload": "Reload bonus",
        "deposit_match": "Bonus on a deposit",
        "bonus_money": "Bonus money",
        "cashback": "Cashback",
        "rakeback": "Rakeback",
        "free_bet": "Free bet",
        "cash": "Cash",
        "points": "Points",
        "multiplier": "Points multiplier",
        "mini_game": "Mini-game",
        "tournament_ticket": "Ticket to a tournament",
        "raffle_ticket": "Ticket of a raffle",
        "mission": "Mission",
        "tier_upgrade": "Rise in tier",
        "gift": "Gift",
    }
)
#: Ways to somebody that are no channel of messages, and uses of their data that need a consent.
OTHER_CONSENTS: Final[Mapping[str, str]] = MappingProxyType(
    {"phone": "Phone calls", "post": "Letters by post", "ads": "Ads elsewhere", "profiling": "Profiling"}
)
#: What measures look at in an event; a name that stands for a function of the event among them.
FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "amount_minor": "amount",
        "stake_minor": "stake",
        "win_minor": "win",
        "payout_minor": "payout",
        "net_loss": "net loss",
        "game_id": "game",
        "category": "kind of game",
        "provider": "provider",
        "days": "day",
        "duration": "time",
        "deposits_minor": "deposits",
        "delta": "points",
    }
)

"""What undoes an event that earned: a round that was voided, a deposit that went back."""

from workflows.events import DepositApproved, Event, PaymentReversed, RoundCompleted, RoundVoided


def undone_by(event: Event) -> Event | None:
    """The event that this one takes back, or a part of it, with the moment it happened; None for all others.

    A deposit is found by the day it was paid on: one of which that is not told is not taken back.
    """
    match event:
        case RoundVoided():
            return RoundCompleted(
                event_id=event.event_id,
                event_source=event.event_source,
                occurred_at=event.played_at,
                round_id=event.round_id,
                game_id=event.game_id,
                category=event.category,
                provider=event.provider,
                stake_minor=event.stake_minor,
                bonus_stake_minor=event.bonus_stake_minor,
                win_minor=event.win_minor,
                bonus_win_minor=event.bonus_win_minor,
                currency=event.currency,
                grant_id=event.grant_id,
            )
        case PaymentReversed() if event.of == "deposit" and event.paid_at is not None:
            return DepositApproved(
                event_id=event.event_id,
                event_source=event.event_source,
                occurred_at=event.paid_at,
                payment_id=event.payment_id,
                amount_minor=event.amount_minor,
                currency=event.currency,
            )
        case _:
            return None

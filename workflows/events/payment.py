"""Money in and out (catalogue rows 10-16). Amounts are minor units; no currency means the account's own."""

from typing import Literal

from workflows.events.base import Event
from workflows.field_types import Currency, Id, Instant, Label, Money, Number, Seconds

__all__ = [
    "DepositAbandoned",
    "DepositApproved",
    "DepositFailed",
    "DepositInitiated",
    "PaymentReversed",
    "WithdrawalCancelledByPlayer",
    "WithdrawalCompleted",
    "WithdrawalRejected",
    "WithdrawalRequested",
]


class Deposit(Event):
    """What the three deposit events with a payment behind them share; a base, not an event."""

    #: The cashier's id of this payment, the same in every event about it.
    payment_id: Id
    amount_minor: Money
    #: None: the currency of the player's account.
    currency: Currency | None = None
    method: Label = ""
    provider: Label = ""


class DepositInitiated(
    Deposit,
    type="payment.deposit_initiated",
    example={"payment_id": "pay-1", "amount_minor": 5000, "currency": "EUR", "method": "card", "provider": "acme"},
):
    """The player pressed pay; `amount_minor` in minor units. From the cashier."""


class DepositApproved(
    Deposit,
    type="payment.deposit_approved",
    unique="payment_id",
    example={
        "payment_id": "pay-1",
        "amount_minor": 5000,
        "currency": "EUR",
        "method": "card",
        "provider": "acme",
        "deposit_number": 1,
        "is_first": True,
        "balance_after_minor": 5000,
    },
):
    """The money arrived; amounts in minor units. From the cashier.

    A payment is approved once: told again under another id it is a duplicate.

    The engine counts deposits itself: `deposit_number` and `is_first` are what the sender believes.
    """

    deposit_number: Number | None = None
    is_first: bool | None = None
    bonus_code: Label | None = None
    fee_minor: Money = 0
    balance_after_minor: Money | None = None


class DepositFailed(
    Deposit,
    type="payment.deposit_failed",
    example={
        "payment_id": "pay-2",
        "amount_minor": 5000,
        "currency": "EUR",
        "method": "card",
        "provider": "acme",
        "failure": "declined",
        "consecutive_failures": 2,
    },
):
    """A payment was refused; `amount_minor` in minor units. From the cashier.

    `consecutive_failures` is the sender's count, this one included; the engine keeps its own streak.
    """

    failure: Literal["insufficient", "declined", "3ds", "limit", "expired_card", "technical", "fraud"]
    consecutive_failures: Number | None = None


class DepositAbandoned(
    Event,
    type="payment.deposit_abandoned",
    example={"amount_minor": 5000, "currency": "EUR", "method": "card", "cashier_open": 90},
):
    """The cashier was opened and left. From the cashier after 15 silent minutes.

    `amount_minor` in minor units if one was typed, `cashier_open` in seconds.
    """

    amount_minor: Money | None = None
    currency: Currency | None = None
    method: Label | None = None
    cashier_open: Seconds | None = None


class WithdrawalRequested(
    Event,
    type="payment.withdrawal_requested",
    example={
        "payment_id": "pay-3",
        "amount_minor": 20000,
        "currency": "EUR",
        "method": "card",
        "withdrawal_number": 1,
        "kyc_required": False,
        "eta": 86400,
    },
):
    """The player asked for their money; `amount_minor` in minor units, `eta` in seconds. From the cashier."""

    payment_id: Id
    amount_minor: Money
    currency: Currency | None = None
    method: Label = ""
    withdrawal_number: Number | None = None
    kyc_required: bool = False
    eta: Seconds | None = None


class WithdrawalEnd(Event):
    """What the three ends of a withdrawal share; a base, not an event."""

    payment_id: Id
    amount_minor: Money
    currency: Currency | None = None
    #: Seconds from the request to this end.
    processing: Seconds | None = None
    #: A code, never a sentence about the person: it is not redacted.
    reason: Label | None = None


class WithdrawalCompleted(
    WithdrawalEnd,
    type="payment.withdrawal_completed",
    unique="payment_id",
    example={"payment_id": "pay-3", "amount_minor": 20000, "currency": "EUR", "processing": 7200},
):
    """The money left; minor units, `processing` in seconds. From the cashier."""


class WithdrawalRejected(
    WithdrawalEnd,
    type="payment.withdrawal_rejected",
    example={"payment_id": "pay-3", "amount_minor": 20000, "currency": "EUR", "reason": "documents_missing"},
):
    """The operator refused; minor units, `processing` in seconds. From the cashier."""


class WithdrawalCancelledByPlayer(
    WithdrawalEnd,
    type="payment.withdrawal_cancelled_by_player",
    example={"payment_id": "pay-3", "amount_minor": 20000, "currency": "EUR", "processing": 600},
):
    """The player took the money back into play; minor units, `processing` in seconds. From the cashier.

    A known marker of harm when it repeats: never answer it with an offer.
    """


class PaymentReversed(
    Event,
    type="payment.reversed",
    unique="reversal_id",
    example={"payment_id": "pay-1", "kind": "chargeback", "amount_minor": 5000, "currency": "EUR"},
):
    """A settled payment was undone; `amount_minor` in minor units. From the cashier or the bank.

    A payment may be reversed in parts. With `reversal_id` each of them counts once, whoever tells it under whatever id.
    """

    payment_id: Id
    kind: Literal["rollback", "chargeback", "refund"]
    amount_minor: Money
    currency: Currency | None = None
    #: The id of this reversal, the same in every system that tells of it.
    reversal_id: Id | None = None
    of: Literal["deposit", "withdrawal"] = "deposit"
    #: When the payment was settled: points that it earned are taken back of that day, and of none where it is not told.
    paid_at: Instant | None = None

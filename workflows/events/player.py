"""Who the player is and when they are here: registration, profile, sessions (catalogue rows 1-9)."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

from workflows.channels import ConsentChannel
from workflows.events.base import Event, Pii
from workflows.field_types import (
    AccountStatus,
    BasisPoints,
    Count,
    Country,
    Currency,
    Device,
    Facts,
    Id,
    Instant,
    Jurisdiction,
    Label,
    Language,
    Money,
    Product,
    Seconds,
    Text,
    Timezone,
)

__all__ = [
    "ContactVerified",
    "ContentViewed",
    "DeviceRegistered",
    "DeviceRemoved",
    "PasswordReset",
    "PlayerMerged",
    "PlayerRegistered",
    "ProfileUpdated",
    "SessionEnded",
    "SessionLogin",
    "StatusChanged",
]


class PlayerRegistered(
    Event,
    type="player.registered",
    example={
        "username": "lucky_anna",
        "email": "anna@example.com",
        "first_name": "Anna",
        "country": "UA",
        "language": "uk",
        "timezone": "Europe/Kyiv",
        "birth_date": "1990-05-17",
        "currency": "EUR",
        "device": "mobile",
        "opted_in": ["email", "in_app"],
    },
):
    """An account was opened. From the registration service, once a player.

    `opted_in` lists the channels whose marketing box was ticked on the form, `opted_in_for` the products those boxes
    named; a registration that is sent again consents to nothing and changes nothing that was said since. A player
    without `timezone` gets no marketing on channels with quiet hours: unknown means no.
    """

    username: Annotated[Label | None, Pii()] = None
    email: Annotated[Text | None, Pii()] = None
    #: E.164, `+380501234567`.
    phone: Annotated[Label | None, Pii()] = None
    first_name: Annotated[Label | None, Pii()] = None
    birth_date: Annotated[date | None, Pii()] = None
    country: Country | None = None
    #: Where the law of the player is not that of `country`, or of a region of it: `CA-ON`.
    jurisdiction: Jurisdiction | None = None
    language: Language = "en"
    timezone: Timezone | None = None
    currency: Currency | None = None
    affiliate_id: Id | None = None
    signup_code: Label | None = None
    device: Device | None = None
    #: A test account: counted nowhere, contacted never.
    is_test: bool = False
    opted_in: Annotated[tuple[ConsentChannel, ...], Field(max_length=16)] = ()
    #: What those boxes were for; none: they named no product.
    opted_in_for: Annotated[tuple[Product, ...], Field(max_length=4)] = ()


def _no_consent(value: object) -> None:
    if value is not None:
        raise ValueError("a box that was ticked is consent.changed, one event a channel; send that")


class ProfileChanges(BaseModel):
    """What a profile update may change: what a registration has, by the same types, and None to erase it."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    username: Label | None = None
    email: Text | None = None
    phone: Label | None = None
    first_name: Label | None = None
    birth_date: date | None = None
    country: Country | None = None
    jurisdiction: Jurisdiction | None = None
    language: Language | None = None
    timezone: Timezone | None = None
    currency: Currency | None = None
    affiliate_id: Id | None = None
    signup_code: Label | None = None
    device: Device | None = None
    is_test: bool | None = None
    opted_in: Annotated[Any, AfterValidator(_no_consent)] = None
    opted_in_for: Annotated[Any, AfterValidator(_no_consent)] = None


def _as_registration_reads(changed: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    judged = ProfileChanges.model_validate(changed, context=info.context)
    return changed | judged.model_dump(mode="json", include=judged.model_fields_set)


class ProfileUpdated(
    Event,
    type="player.profile_updated",
    example={"changed": {"first_name": "Hanna", "language": "uk"}, "reason": "player"},
):
    """The profile changed. `changed` maps field names to new values, at most 50. From the account service.

    What a registration has is read as there, and None erases it; other names are kept for people and journeys.
    Redacted, the names of the changed fields stay and every value is None.
    """

    changed: Annotated[Facts, AfterValidator(_as_registration_reads), Pii()]
    reason: Literal["player", "support", "kyc", "merge"] = "player"


class ContactVerified(
    Event,
    type="player.contact_verified",
    example={"channel": "email", "verified_at": "2026-01-15T12:00:00Z"},
):
    """The player proved that an e-mail address or a phone is theirs. From the account service."""

    channel: Literal["email", "phone"]
    #: None: the moment of the event itself.
    verified_at: Instant | None = None


#: By which a push service finds an app on a device.
DeviceToken = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,1000}$")]


class DeviceRegistered(
    Event,
    type="player.device_registered",
    example={"token": "fMEp8rT3R0a:APA91bH-example", "platform": "android"},
):
    """The player's app, or browser, may be sent push messages under this token. From the app's backend.

    Where push goes to an API of devices (`PUSH_API_URL`, `APNS_KEY`) it goes to each of the player's, the newest 20. A
    gateway knows the devices itself, and needs no such event. Tell `player.device_removed` when the player logs out:
    what they get would be read by whoever uses the device next. A token that is registered for another player of the
    brand is theirs from then on, and we tell the removal from the earlier one.
    """

    token: Annotated[DeviceToken | None, Pii()] = None
    platform: Literal["web", "ios", "android"] | None = None


class DeviceRemoved(
    Event,
    type="player.device_removed",
    example={"token": "fMEp8rT3R0a:APA91bH-example", "reason": "logout"},
):
    """A token leads to the player no more. From the app's backend, and from us when the push service says so.

    Of this and a registration of the same token the later one counts, in whatever order they come.
    """

    token: Annotated[DeviceToken | None, Pii()] = None
    reason: Literal["logout", "uninstalled", "unregistered", "moved"] = "logout"


class PlayerMerged(
    Event,
    type="player.merged",
    example={"survivor_id": "p-1001", "absorbed_id": "p-1002", "rule": "same_document", "score": 9800},
):
    """Two accounts turned out to be one person. `score` is certainty in basis points. From data quality.

    From here on what protects one of them protects both: exclusions, withdrawn consents, signs of harm, the end of the
    account. What lifts is told for each. What the absorbed one did, and does from now on, counts for the survivor; told
    again, or the other way round, it changes nothing more. An account that is closed only because it was merged says so
    in the `reason` of its status.
    """

    survivor_id: Id
    absorbed_id: Id
    rule: Label = ""
    score: BasisPoints | None = None


class StatusChanged(
    Event,
    type="player.status_changed",
    example={"from": "active", "to": "suspended", "reason": "document_check", "until": "2026-02-01T00:00:00Z"},
):
    """The account's status changed; `from_status` is `from` on the wire. From the account service.

    `deceased` is for good: nothing of any class goes to the player again, in no brand of the group, and no other
    status takes its place but one with the `reason` `correction`.

    `closed`, `self_excluded` and `deceased` count whenever they come; with the `reason` `merge`, `merged` or
    `duplicate` they end this account only, not the person's others. `reason` is a code, never a sentence about the
    person: it is not redacted.
    """

    from_status: Annotated[AccountStatus | None, Field(alias="from")] = None
    to: AccountStatus
    reason: Label = ""
    until: Instant | None = None


class PasswordReset(Event, type="player.password_reset", example={"stage": "requested"}):
    """The player forgot the password. From the account service, one event a stage."""

    stage: Literal["requested", "done", "failed"]


class SessionLogin(
    Event,
    type="session.login",
    example={"method": "password", "device": "mobile", "platform": "ios", "days_since_last": 3},
):
    """The player logged in. From the session service; a page reload is not a login.

    `failed_attempts` counts wrong tries before this one, `days_since_last` whole days since the last login.
    """

    method: Label = ""
    device: Device | None = None
    platform: Literal["web", "ios", "android"] | None = None
    new_device: bool = False
    failed_attempts: Count = 0
    days_since_last: Count | None = None


class SessionEnded(
    Event,
    type="session.ended",
    example={
        "duration": 1800,
        "bets": 120,
        "stake_minor": 6000,
        "win_minor": 5400,
        "deposits_minor": 2000,
        "currency": "EUR",
        "reason": "logout",
    },
):
    """A session closed. `duration` in seconds, money in minor units. From the session service."""

    duration: Seconds
    bets: Count = 0
    stake_minor: Money = 0
    win_minor: Money = 0
    deposits_minor: Money = 0
    #: None: the currency of the player's account.
    currency: Currency | None = None
    reason: Literal["logout", "timeout", "limit"] = "logout"


class ContentViewed(
    Event,
    type="content.viewed",
    example={"page": "/games/blackjack-classic", "item_id": "blackjack-classic", "item_type": "game", "dwell": 45},
):
    """The player looked at something. `dwell` in seconds. From the site or the app."""

    page: Text
    item_id: Id | None = None
    item_type: Literal["game", "promo", "guide", "cashier", "help"] | None = None
    dwell: Seconds | None = None

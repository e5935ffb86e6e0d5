"""The channels messages travel on: one row each, and everything that treats a channel in its own way reads it here.

A new channel is its name in `Channel`, its row in `CHANNELS`, and for one behind a webhook its address among the
settings. A name without a row is refused when this module is imported, a row without a figure by the type checker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator

from workflows.errors import DesignError

#: Messengers, each behind a gateway of its own, which a deployment may do without.
MessengerChannel = Literal["whatsapp", "telegram", "viber"]
#: Handed to a gateway as a signed webhook; the setting `<channel>_webhook_url` is its address.
WebhookChannel = Literal["sms", "push", MessengerChannel]
#: Leaves the house through a provider of its own.
ExternalChannel = Literal["email", WebhookChannel]
#: A way to send a player a message.
Channel = Literal[ExternalChannel, "in_app", "popup"]


_SPELLINGS: Final[Mapping[str, str]] = MappingProxyType({"inapp": "in_app"})


def channel_name(name: str) -> str:
    """A channel as we spell it, whatever way the outside spells it; an unknown name comes back as it is."""
    return _SPELLINGS.get(name, name)


#: What a player may opt in to: a channel, a way we never send on, or a use of the data with a consent of its own.
ConsentChannel = Annotated[
    Literal[Channel, "phone", "post", "ads", "profiling"],
    BeforeValidator(lambda name: channel_name(name) if isinstance(name, str) else name),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """How one channel differs from the others."""

    #: What people call it, by language tag; every language that templates must speak.
    labels: Mapping[str, str]
    #: The parts of a text for it: the `body` last, and before it a `subject` or a `title` where there is one.
    blocks: tuple[str, ...]
    #: The most characters of a body. Against a runaway text, not a style guide: ten parts of an SMS, a push that the
    #: platforms still carry.
    longest: int
    #: The provider it leaves the house through. None: it stays inside and waits on the site until the player comes.
    provider: ExternalChannel | None
    #: The field of the player's profile that holds the address; None: it finds the player by the player's id.
    address_field: str | None
    #: Whether it may wake the player, so that it keeps quiet hours.
    interrupts: bool
    #: Whether its receiver drops a repetition by its key, so that a message in doubt may be handed over again.
    has_keys: bool
    #: Whether a marketing text for it must itself show the way out.
    shows_unsubscribe: bool
    #: The most marketing contacts in seven days unless a policy says otherwise; None: as many as on all together.
    per_week: int | None = None
    #: Whether its provider may want the tokens of the player's devices in the place of an address.
    to_devices: bool = False
    #: What stands before the number of who writes to us on it, at a provider that takes several; None: nobody does.
    sender_prefix: str | None = None
    #: Whether a deployment may have no gateway for it: then nobody is reached there.
    optional: bool = False
    #: How long it waits on the site for the player to see it; None: for as long as its designer says.
    shown_for: timedelta | None = None
    #: Whose consent is asked for until the player says something of this channel itself.
    consent_of: str | None = None

    @property
    def external(self) -> bool:
        """Whether it leaves the house."""
        return self.provider is not None

    def label(self, language: str) -> str:
        """Its name in a language, in English where it has none in that."""
        return self.labels.get(language, self.labels["en"])


def _messenger(label: str, longest: int, *, address_field: str | None, sender_prefix: str | None = None) -> ChannelSpec:
    return ChannelSpec(
        labels={"en": label, "ru": label, "uk": label},
        blocks=("body",),
        longest=longest,
        provider=label.lower(),  # type: ignore[arg-type]  # named like its channel, which a test holds
        address_field=address_field,
        interrupts=True,
        has_keys=True,
        shows_unsubscribe=True,
        per_week=2,
        sender_prefix=sender_prefix,
        optional=True,
    )


CHANNELS: Final[Mapping[Channel, ChannelSpec]] = MappingProxyType(
    {
        "email": ChannelSpec(
            labels={"en": "E-mail", "ru": "Письмо", "uk": "Лист"},
            blocks=("subject", "body"),
            longest=50_000,
            provider="email",
            address_field="email",
            interrupts=True,
            # SMTP promises nothing about a mail that is handed over twice.
            has_keys=False,
            shows_unsubscribe=True,
        ),
        "sms": ChannelSpec(
            labels={"en": "SMS", "ru": "SMS", "uk": "SMS"},
            blocks=("body",),
            longest=670,
            provider="sms",
            address_field="phone",
            interrupts=True,
            has_keys=True,
            shows_unsubscribe=True,
            per_week=2,
            sender_prefix="",
        ),
        "push": ChannelSpec(
            labels={"en": "Push message", "ru": "Push-уведомление", "uk": "Push-сповіщення"},
            blocks=("title", "body"),
            longest=1_000,
            provider="push",
            address_field=None,
            interrupts=True,
            has_keys=True,
            shows_unsubscribe=False,
            per_week=3,
            to_devices=True,
        ),
        "in_app": ChannelSpec(
            labels={"en": "In-app message", "ru": "Сообщение на сайте", "uk": "Повідомлення на сайті"},
            blocks=("title", "body"),
            longest=5_000,
            provider=None,
            address_field=None,
            interrupts=False,
            has_keys=False,
            shows_unsubscribe=False,
        ),
        "popup": ChannelSpec(
            labels={"en": "Pop-up", "ru": "Всплывающее окно", "uk": "Спливаюче вікно"},
            blocks=("title", "body"),
            longest=600,
            provider=None,
            address_field=None,
            interrupts=False,
            has_keys=False,
            shows_unsubscribe=False,
            # About what the player does now: later it would be about something else.
            shown_for=timedelta(minutes=10),
            consent_of="in_app",
        ),
        # As long as their own manuals let a business's text be.
        "whatsapp": _messenger("WhatsApp", 1_024, address_field="phone", sender_prefix="whatsapp:"),
        "telegram": _messenger("Telegram", 4_096, address_field=None),
        "viber": _messenger("Viber", 1_000, address_field="phone"),
    }
)
#: Channels of text from a house to a person's own telephone or account, beside SMS.
MESSENGERS: Final[tuple[MessengerChannel, ...]] = get_args(MessengerChannel)
WEBHOOK_CHANNELS: Final[tuple[WebhookChannel, ...]] = get_args(WebhookChannel)
#: The inbox on the site, which API clients read.
IN_APP: Final[Channel] = "in_app"
#: What opens before the player at once, or never.
POPUP: Final[Channel] = "popup"


def first_turn(via: Sequence[Channel], fallback: Sequence[Channel]) -> Channel | None:
    """Whose queue a message waits in first: the first channel that leaves the house, and what stays inside goes too."""
    return next((channel for channel in via if CHANNELS[channel].external), next(iter([*via, *fallback]), None))


def check_every_channel_has_a_row(names: tuple[str, ...], rows: Mapping[Channel, ChannelSpec]) -> None:
    """Refuse a table with a channel too few or too many, as a sentence, before anything reads it.

    Raises:
        DesignError: naming the channels.
    """
    if missing := [name for name in names if name not in rows]:
        raise DesignError(f"No row of CHANNELS describes {', '.join(missing)}; add one in workflows/channels.py.")
    if unnamed := [name for name in rows if name not in names]:
        raise DesignError(f"CHANNELS describes {', '.join(unnamed)}, which Channel does not name; add it to Channel.")


check_every_channel_has_a_row(get_args(Channel), CHANNELS)

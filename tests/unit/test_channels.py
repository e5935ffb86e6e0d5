"""The table of channels is whole, and everything that treats a channel in its own way covers every row of it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from pydantic import TypeAdapter

from activities.channel_adapters import channel_adapters
from activities.gate_facts import addresses
from activities.settings import Settings
from activities.ways_out import WaysOut
from api.timeline_text import sentence_of
from content.templates import LANGUAGES
from stage.world.effects import EVERYWHERE
from workflows.channels import (
    CHANNELS,
    MESSENGERS,
    WEBHOOK_CHANNELS,
    Channel,
    ChannelSpec,
    ConsentChannel,
    channel_name,
    check_every_channel_has_a_row,
)
from workflows.errors import DesignError
from workflows.events import MessageReceived, parse_event
from workflows.gate.policy import Policy
from workflows.gate.quiet_hours import nights_on
from workflows.player_state.consents import is_closed, withdraws
from workflows.player_state.projection import PERSONAL
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
ENVELOPE: dict[str, Any] = {"event_id": "e-1", "event_source": "/test", "occurred_at": NOON}
ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
#: What makes the files that the processes of the compose file read their secrets from.
SECRETS = (ROOT / "compose" / "make-secrets.sh").read_text()


def test_a_channel_without_a_row_is_named_at_start_up() -> None:
    with pytest.raises(DesignError, match="No row of CHANNELS describes carrier_pigeon"):
        check_every_channel_has_a_row((*get_args(Channel), "carrier_pigeon"), CHANNELS)
    with pytest.raises(DesignError, match="CHANNELS describes in_app, which Channel does not name"):
        check_every_channel_has_a_row(tuple(one for one in CHANNELS if one != "in_app"), CHANNELS)


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_row_is_whole(channel: Channel) -> None:
    spec = CHANNELS[channel]
    assert set(spec.labels) == set(LANGUAGES), f"Say in {LANGUAGES} what people call {channel}."
    assert spec.blocks[-1] == "body"
    assert set(spec.blocks) <= {"subject", "title", "body"}
    assert spec.longest > 0
    assert spec.address_field in {*PERSONAL, None}
    assert spec.external or not (spec.interrupts or spec.has_keys), "Nobody is handed what stays on the site."


@pytest.mark.parametrize("channel", CHANNELS)
def test_everything_that_tells_channels_apart_knows_every_row(channel: Channel) -> None:
    spec = CHANNELS[channel]
    reachable = addresses("p-1", dict.fromkeys(PERSONAL, "somewhere"))
    assert reachable[channel] == ("p-1" if spec.address_field is None else "somewhere")
    assert (channel in addresses("p-1", {})) is (spec.address_field is None)
    assert bool(nights_on(channel, Policy().nights)) is spec.interrupts
    assert Policy().channel_per_week.get(channel) == spec.per_week
    assert channel in EVERYWHERE
    detail = {"channel": channel, "status": "sent"}
    assert sentence_of("message", "welcome", None, detail).startswith(spec.label("en"))
    assert TypeAdapter(ConsentChannel).validate_python(channel) == channel


@pytest.mark.parametrize("channel", WEBHOOK_CHANNELS)
def test_every_channel_behind_a_webhook_has_an_address_here_and_in_production(channel: Channel) -> None:
    assert CHANNELS[channel].external
    assert f"{channel}_webhook_url" in Settings.model_fields
    assert f"{channel}_webhook_secret" in Settings.model_fields
    assert f"{channel.upper()}_WEBHOOK_URL" in COMPOSE
    [gateways] = [line for line in SECRETS.splitlines() if line.startswith("for gateway in ")]
    assert channel in gateways.removesuffix("; do").split()


def test_each_gateway_has_a_secret_of_its_own_or_the_one_for_all() -> None:
    settings = Settings(database_url="postgres://x", webhook_secret="whsec_YWxs", sms_webhook_secret="whsec_c21z")
    of = {channel: settings.webhook_secret_of(channel) for channel in WEBHOOK_CHANNELS}
    assert of == dict.fromkeys(WEBHOOK_CHANNELS, "whsec_YWxs") | {"sms": "whsec_c21z"}
    with pytest.raises(DesignError, match="set PUSH_WEBHOOK_SECRET, or WEBHOOK_SECRET for every gateway"):
        Settings(database_url="postgres://x", sms_webhook_secret="whsec_c21z").webhook_secret_of("push")


def test_a_webhook_channel_without_a_setting_is_named_at_start_up() -> None:
    with pytest.raises(DesignError, match="add carrier_pigeon_webhook_url to the settings"):
        Settings(database_url="postgres://x").webhook_url("carrier_pigeon")  # type: ignore[arg-type]


async def test_every_channel_that_leaves_the_house_has_an_adapter() -> None:
    settings = Settings(database_url="postgres://x", webhook_secret="whsec_c2VjcmV0")
    outside = {name for name, spec in CHANNELS.items() if spec.external}
    async with httpx.AsyncClient() as client:
        assert set(channel_adapters(settings, client, client)) == outside - {*MESSENGERS}
        every = settings.model_copy(
            update={f"{one}_webhook_url": f"https://gateway.example/{one}" for one in MESSENGERS}
        )
        assert set(channel_adapters(every, client, client)) == outside


def test_on_a_messenger_without_a_gateway_nobody_is_reached() -> None:
    profile = {"phone": "+380501234567"}
    settings = Settings(database_url="postgres://x", viber_webhook_url="https://gateway.example/viber")
    reached = addresses("p-1", profile, ways=WaysOut.of(settings))
    assert {one: reached.get(one) for one in MESSENGERS} == {
        "whatsapp": None,
        "telegram": None,
        "viber": "+380501234567",
    }
    everywhere = settings.model_copy(update={f"{one}_webhook_url": "https://gateway.example" for one in MESSENGERS})
    assert addresses("p-1", profile, ways=WaysOut.of(everywhere))["telegram"] == "p-1"


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_provider_is_named_like_its_channel(channel: Channel) -> None:
    assert CHANNELS[channel].provider in {channel, None}


@pytest.mark.parametrize("channel", MESSENGERS)
def test_stop_ends_a_messenger_at_once(channel: Channel) -> None:
    said = parse_event(MessageReceived.wire_type, {"channel": channel, "text": "Стоп"}, **ENVELOPE)
    assert withdraws(said)
    state = PlayerState("acme", "p-1")
    state.advance(said, RuleIndex({}), NOON, [])
    assert is_closed(state.consents, channel)


def test_a_label_falls_back_to_english() -> None:
    assert CHANNELS["sms"].label("de") == CHANNELS["sms"].label("en")
    spec: ChannelSpec = replace(CHANNELS["email"], labels={"en": "E-mail"})
    assert spec.label("uk") == "E-mail"


def test_the_outside_may_spell_a_channel_in_its_own_way() -> None:
    assert channel_name("inapp") == "in_app"
    assert channel_name("anything") == "anything"


@pytest.mark.parametrize("wrong", ["whsec_c2VjcmV0c", "whsec_", "whsec_c2VjcmV0 whsec_a"])
def test_a_secret_that_is_no_base64_is_told_in_a_sentence(wrong: str) -> None:
    own = Settings(database_url="", sms_webhook_secret=wrong)
    with pytest.raises(DesignError, match=r"Secret . of SMS_WEBHOOK_SECRET is not whsec_ and base64"):
        own.webhook_secret_of("sms")
    with pytest.raises(DesignError, match=r"Secret . of WEBHOOK_SECRET is not"):
        Settings(database_url="", webhook_secret=wrong).webhook_secret_of("push")

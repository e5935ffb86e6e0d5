"""Who takes the messages of each channel that leaves the house: a gateway, a server or a provider's API."""

import httpx

from activities.providers.adapter import Adapter
from activities.providers.apns import ApnsAdapter
from activities.providers.device_push import DevicePush
from activities.providers.email import EmailAdapter
from activities.providers.mail_api import MailApiAdapter
from activities.providers.push_api import PushApiAdapter
from activities.providers.sms_api import SmsApiAdapter
from activities.providers.webhook import WebhookAdapter
from activities.settings import Settings
from workflows.channels import CHANNELS, WEBHOOK_CHANNELS, Channel
from workflows.errors import DesignError


def channel_adapters(settings: Settings, http: httpx.AsyncClient, http2: httpx.AsyncClient) -> dict[Channel, Adapter]:
    """An adapter for each, but for messengers that the settings say nothing of. `http2` speaks HTTP/2 alone.

    Raises DesignError for settings that are half given.
    """
    adapters: dict[Channel, Adapter] = {
        channel: WebhookAdapter(settings.webhook_url(channel), settings.webhook_secret_of(channel), http)
        for channel in WEBHOOK_CHANNELS
        if not {"sms": settings.sms_api_url, "push": settings.push_api_url or settings.has_apns}.get(channel)
        and (settings.webhook_url(channel) or not CHANNELS[channel].optional)
    }
    try:
        if (push := _push(settings, http, http2)) is not None:
            adapters["push"] = push
        if settings.sms_api_url:
            adapters["sms"] = SmsApiAdapter(
                settings.sms_api_url,
                settings.sms_api_account,
                settings.sms_api_token,
                http,
                sender=settings.sms_from,
                callback=settings.sms_status_callback,
            )
        if settings.mail_api_url:
            adapters["email"] = MailApiAdapter(
                settings.mail_api_url, settings.mail_api_key, http, sender=settings.mail_from
            )
        else:
            adapters["email"] = EmailAdapter(
                settings.smtp_url, sender=settings.mail_from, password=settings.smtp_password
            )
    except ValueError as wrong:
        raise DesignError(str(wrong)) from None
    return adapters


def _push(settings: Settings, http: httpx.AsyncClient, http2: httpx.AsyncClient) -> Adapter | None:
    """Who takes push to devices; None where a gateway does, which knows them itself."""
    others = None
    if settings.push_api_url:
        others = PushApiAdapter(settings.push_api_url, settings.push_api_account, http)
    if not settings.has_apns:
        return others
    apple = ApnsAdapter(
        settings.apns_url,
        http2,
        key=settings.apns_key,
        key_id=settings.apns_key_id,
        team_id=settings.apns_team_id,
        topic=settings.apns_topic,
    )
    return DevicePush(apple, others)

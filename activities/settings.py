"""Settings of every process, from the environment, read once."""

import base64
import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SecretsSettingsSource

from activities.deployment_names import DEFAULT, queue_in
from activities.roles import ROLES
from content.ad_identifiers import Network
from content.settings import ContentSettings, split_at_commas
from workflows.channels import WebhookChannel
from workflows.effect_queues import Provider
from workflows.effects import GRANT_UNKNOWN_AFTER
from workflows.errors import DesignError
from workflows.field_types import BRAND, Jurisdiction
from workflows.player_state.identities import WINDOW
from workflows.record_keeping import RecordClass
from workflows.task_rights import GIVEN

#: The variable that names the folder with a file for each setting that is secret.
SECRETS_FOLDER: Final = "SECRETS_FOLDER"
TASK_QUEUE = DEFAULT
#: Of what recurs on a calendar and of bulk jobs, so that they never take a slot from an effect. The name stays, because
#: workflows that are under way wait there.
MAINTENANCE_QUEUE = f"{DEFAULT}-upkeep"
#: Of what forgets: it drops months of events, which only their owner may.
RETENTION_QUEUE = f"{DEFAULT}-retention"


#: Forms of ours whose task is time with a player: a call, a note, a greeting.
FORMS_WITH_PLAYERS: Final = (
    *("BigWinCall", "DetractorCall", "GreetingCall", "HostCall", "InactivityCall", "LiveHelp", "LossCheckin"),
    *("PersonalNote", "WinBackCall", "WithdrawalComfort"),
)

#: For how long the identity of an event is remembered at least.
LEAST_IDENTITIES: Final = WINDOW + timedelta(days=1)


def _long_enough(given: timedelta) -> timedelta:
    if given and given < LEAST_IDENTITIES:
        raise ValueError(
            f"RETAIN_IDENTITIES must be {LEAST_IDENTITIES.days} days (P{LEAST_IDENTITIES.days}D) or more, or 0 for "
            "ever: whoever sends an event again within a month counts on its being known"
        )
    return given


def _networks(given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        try:
            ip_network(one, strict=False)
        except ValueError:
            raise ValueError(f"{one!r} in WEBHOOK_NETWORKS is no network; write it as 10.20.0.0/16") from None
    return given


def _role(given: str) -> str:
    if given not in ROLES:
        raise ValueError(f"{given!r} in OIDC_GROUPS is no role; the roles are {', '.join(ROLES)}")
    return given


class ProviderLimits(BaseModel):
    """How much of one provider's work there may be at a time."""

    model_config = ConfigDict(extra="forbid")

    #: Effects under way at a time in each worker process.
    slots: int = Field(20, ge=1)
    #: Effects begun a second by all workers together; None: as many as come.
    per_second: float | None = Field(None, gt=0)


class GroupGrant(BaseModel):
    """What a group of the identity provider gives in a brand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    brand: Annotated[str, Field(pattern=rf"^{BRAND}$")]
    roles: tuple[Annotated[str, AfterValidator(_role)], ...] = ()
    teams: tuple[Annotated[str, Field(pattern=rf"^{GIVEN}$")], ...] = ()
    skills: tuple[Annotated[str, Field(pattern=rf"^{GIVEN}$")], ...] = ()


class AdAudience(BaseModel):
    """An audience of ours and what it is at an ad network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,60}$")]
    brand: Annotated[str, Field(pattern=rf"^{BRAND}$")]
    use: Literal["seed", "suppression"]
    segment: str
    #: The id of the audience at the network.
    there: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
    network: Network = "meta"
    #: With Google: the advertiser's account that has it, in digits.
    account: Annotated[str, Field(pattern=r"^[0-9]{0,20}$")] = ""

    @model_validator(mode="after")
    def _has_its_account(self) -> Self:
        if (self.network == "google") != bool(self.account):
            raise ValueError("An audience has an account with network google, and there alone; correct AD_AUDIENCES.")
        return self

    @property
    def called(self) -> str:
        """What its network's adapter calls it."""
        return f"{self.account}/{self.there}" if self.account else self.there


class Settings(ContentSettings):
    """What differs between development and production: addresses, keys, limits.

    Temporal's address, namespace and TLS come from Temporal's own `TEMPORAL_*` variables and are
    not repeated here. Nothing is read at import; the process that needs settings makes one. A variable
    that is empty counts as not set. What no variable says may stand in a file of the setting's name, in the folder
    that the variable `SECRETS_FOLDER` names: secrets, which a variable would show to whoever sees the process.
    """

    #: This deployment, where several share a Temporal namespace: its queues, schedules and workflows bear its name.
    deployment_name: str = Field(DEFAULT, pattern=r"^[a-z][a-z0-9-]{0,40}$")
    #: SQLAlchemy or libpq URL of Postgres.
    database_url: str
    #: Role of Postgres that `journeys migrate`, run as the owner, grants what the application needs; unset where the
    #: application is the owner.
    application_role: str = Field("", max_length=63)
    #: The bonus engine that pays grants out.
    bonus_engine_url: str = "http://127.0.0.1:7501"
    #: Where mail is handed over: smtp://[user[:password]@]host:port or smtps://…
    smtp_url: str = "smtp://127.0.0.1:7502"
    #: The password of its user, where the address has none.
    smtp_password: str = ""
    mail_from: str = "casino@example.com"
    #: A provider's HTTP API for mail instead of SMTP, as SendGrid's https://api.sendgrid.com/v3/mail/send, and its key.
    mail_api_url: str = ""
    mail_api_key: str = ""
    #: With which it signs what it tells of each mail (SendGrid's verification key); unset: it tells us nothing.
    mail_events_key: str = ""
    #: A provider's HTTP API for SMS instead of a gateway, as Twilio's
    #: https://api.twilio.com/2010-04-01/Accounts/AC…/Messages.json; who we are there, and the sender or its pool (MG…).
    sms_api_url: str = ""
    sms_api_account: str = ""
    sms_api_token: str = ""
    sms_from: str = ""
    #: Where it is to tell what became of each SMS (an address of yours that sends us message.status); unset: nobody.
    sms_status_callback: str = ""
    #: A push service's HTTP API instead of a gateway, as Firebase's
    #: https://fcm.googleapis.com/v1/projects/…/messages:send, and the service account it knows us by, as JSON.
    push_api_url: str = ""
    push_api_account: str = ""
    #: Apple's own push service, for devices with a token of it: the signing key as its .p8 file has it, the ids of key
    #: and team, and the bundle id of the app. An app under development is at https://api.sandbox.push.apple.com.
    apns_key: str = ""
    apns_key_id: str = ""
    apns_team_id: str = ""
    apns_topic: str = ""
    apns_url: str = "https://api.push.apple.com"
    #: An ad network's API of Meta's shape (https://graph.facebook.com/v25.0), what it knows us by, and the audiences
    #: that it is told of, as JSON: [{"name": "best", "brand": "acme", "use": "seed", "segment": "vip", "there": "12"}].
    ad_network_url: str = ""
    ad_network_token: str = ""
    #: Google's Data Manager, and the service account it knows us by, as JSON.
    data_manager_url: str = "https://datamanager.googleapis.com/v1"
    data_manager_account: str = ""
    ad_audiences: tuple[AdAudience, ...] = ()
    #: After how long a whole audience is compared again with what its network was told.
    audiences_compared_every: timedelta = timedelta(hours=1)
    #: Where to ask whether a mail with the key `{key}` was taken over; unset where nobody can say.
    mail_lookup_url: str | None = None
    #: What players call each brand, as JSON: {"acme": "Acme Casino"}.
    brand_names: dict[str, str] = Field(default_factory=dict)
    #: Whether the account service lets in nobody under 18, so that an unknown age is an adult's; else it means no.
    adults_only: bool = False
    #: By brand, or "*" for every other one: the jurisdiction of its licence, whose law holds for players of whom none
    #: is known, as JSON: {"acme": "MT"}; without it nothing is sold to them.
    brand_licences: dict[Annotated[str, Field(pattern=rf"^({BRAND}|\*)$")], Jurisdiction] = Field(default_factory=dict)
    #: Which brands are one group, as JSON: {"acme": ["acme-casino", "acme-bingo"]}. An id is one person in all of them.
    brand_groups: dict[str, tuple[Annotated[str, Field(pattern=rf"^{BRAND}$")], ...]] = Field(default_factory=dict)
    #: Gateways of national registers of excluded players, as JSON: {"spelpaus": "https://registers.internal/spelpaus"}.
    register_urls: dict[str, str] = Field(default_factory=dict)
    #: What these gateways know us by, and the key of the hashes by which they are told about a person.
    register_token: str = ""
    register_hash_key: str = ""
    #: The colour of each brand in mails, as JSON: {"acme": "#7a1f2b"}.
    brand_colours: dict[str, Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]] = Field(default_factory=dict)
    #: Endpoints of the SMS and push gateways; messages are signed after Standard Webhooks.
    sms_webhook_url: str = "http://127.0.0.1:7503/sms"
    push_webhook_url: str = "http://127.0.0.1:7503/push"
    #: Those of messengers; unset: nobody is reached there. Telegram's finds the player by the player's id.
    whatsapp_webhook_url: str = ""
    telegram_webhook_url: str = ""
    viber_webhook_url: str = ""
    #: whsec_… secret each gateway knows us by; two separated by a space sign side by side while they change.
    sms_webhook_secret: str = ""
    push_webhook_secret: str = ""
    whatsapp_webhook_secret: str = ""
    telegram_webhook_secret: str = ""
    viber_webhook_secret: str = ""
    #: The same for a gateway without a secret of its own.
    webhook_secret: str = ""
    #: What signs the links in messages, comma-separated, 24 bytes or more each: the first signs, all are read.
    link_secrets: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)] = ()
    #: What makes digests of people who were erased, so that an exclusion finds them when they come back; written as
    #: LINK_SECRETS, which serve where these are unset.
    identity_secrets: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)] = ()
    #: What the secrets of webhook subscriptions are made of, comma-separated, 24 bytes or more each: the first makes
    #: new ones, all make known ones. Without a word they are LINK_SECRETS.
    webhook_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)] = ()
    #: Networks of ours that webhooks may reach, comma-separated, such as 10.20.0.0/16; else only public addresses.
    webhook_networks: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(split_at_commas), AfterValidator(_networks)
    ] = ()
    #: Base address players reach us at, for links in messages.
    public_url: str = "http://127.0.0.1:7500"
    #: Who signs people in to the console, by OpenID Connect: the address of the issuer. Unset: nobody signs in.
    oidc_issuer: str = ""
    #: How the provider knows the console.
    oidc_client_id: str = "journeys-console"
    oidc_client_secret: str = ""
    #: What groups of the provider give who signs in, as JSON: {"vip-hosts": [{"brand": "acme", "roles": ["manager"],
    #: "teams": ["vip"]}]}. Who is in one of them works here from their first sign-in on.
    oidc_groups: dict[str, tuple[GroupGrant, ...]] = Field(default_factory=dict)
    #: Where people open the console, such as https://journeys.example.com; unset: at `public_url`.
    console_url: str = ""
    #: Address of the development catch-all; unset in production.
    catch_all_url: str | None = None

    #: By brand, who gets the weekly report by mail, as JSON: {"acme": ["olena@example.com"]}.
    report_recipients: dict[Annotated[str, Field(pattern=rf"^{BRAND}$")], tuple[str, ...]] = Field(default_factory=dict)
    #: Forms whose task is time with a player, comma-separated; all others are tables and papers.
    forms_with_players: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_at_commas)] = FORMS_WITH_PLAYERS
    #: Names of Segment events to types of the catalogue, as JSON: {"Order Completed": "payment.deposit_approved"}.
    segment_events: dict[str, str] = Field(default_factory=dict)
    #: Kinds of game in other systems' feeds to categories of ours, as JSON: {"arcade": "slot"}.
    game_types: dict[str, str] = Field(default_factory=dict)

    #: What this release is called, such as its commit; shown with the processes that run it.
    build_id: str = ""
    #: Whether workers tell Temporal their build, so that a release of the engine is ramped up and undone there.
    worker_versioning: bool = False
    #: Events in one request.
    batch_limit: int = 1_000
    #: Bytes in one request.
    body_limit: int = 4 * 1024 * 1024
    #: How long after its last imported event a player is called absent by nobody, for more may be on its way.
    import_settles_after: timedelta = timedelta(hours=1)
    #: How long a self-exclusion lasts before anybody may end it; 0 where the law or the account service sees to it.
    self_exclusion_minimum: timedelta = timedelta(hours=24)
    #: Deliveries Temporal has not taken at which intake tells callers to come again (429) and the sweep holds back;
    #: about what Temporal takes in a minute.
    backlog_high: int = Field(20_000, ge=1)
    #: Deliveries below which it takes everything in again.
    backlog_low: int = Field(15_000, ge=1)
    #: How much more than another a brand may have of what all share, as JSON: {"acme": 3}; without a word 1.
    brand_weights: dict[str, Annotated[float, Field(ge=0.001, le=1000)]] = Field(default_factory=dict)
    #: Players a second that a process's sweep ticks at most.
    sweep_rate: int = Field(500, ge=1)
    #: Players a second that the nightly look at all players takes.
    rearm_rate: int = Field(200, ge=1)
    #: Runs a second that are compared with Temporal at most.
    reconcile_rate: int = Field(50, ge=1)
    #: How long the identity of an event is remembered: sent again later, it is taken for new.
    #: Run ids count on 31 days at least.
    retain_identities: Annotated[timedelta, AfterValidator(_long_enough)] = timedelta(days=90)
    #: How long events are kept at least; they go by the month. 0 is for ever, here and below.
    retain_events: timedelta = timedelta(days=400)
    #: How long runs are kept after their end, with their steps, and stays in segments.
    retain_runs: timedelta = timedelta(days=400)
    #: How long marketing messages are kept, with their texts.
    retain_messages: timedelta = timedelta(days=400)
    #: How long the gate's decisions about messages and rewards are kept; they go by the month.
    retain_decisions: timedelta = timedelta(days=400)
    #: How long days of players, counts of journeys and figures are kept.
    retain_figures: timedelta = timedelta(days=1_100)
    #: How long outgoing events are kept, told or not, to be told again.
    retain_webhooks: timedelta = timedelta(days=30)
    #: How long records are kept that a regulator may ask for: events about protection and money, grants, tasks.
    retain_records: timedelta = timedelta(0)
    #: By jurisdiction, or "*" for everybody: how long records of a class (`money`, `protection`) are kept at most where
    #: no law has them kept longer, as JSON: {"GB": {"money": "P2200D"}}. The shortest of these and the above counts.
    retain_most: dict[Jurisdiction | Literal["*"], dict[RecordClass, Annotated[timedelta, Field(gt=timedelta(0))]]] = (
        Field(default_factory=dict)
    )
    #: How sure a pair of accounts must be one person's for a task to be opened, in basis points; 0 opens none.
    doubles_from: int = Field(9_000, ge=0, le=10_000)
    #: Postgres connections a process may hold.
    pool_size: int = 10
    #: Those a worker's effects share: half as many as it has slots for what needs the database alone.
    worker_pool_size: int = Field(20, ge=2)
    #: What each provider takes, as JSON: {"sms": {"slots": 5, "per_second": 30}}; without a word 20 slots and no rate.
    provider_limits: dict[Provider, ProviderLimits] = Field(default_factory=dict)
    #: A provider that has not answered by then may or may not have acted.
    provider_timeout: timedelta = timedelta(seconds=10)
    #: A grant unanswered for so long counts as unknown; the run goes on without it.
    unknown_after: timedelta = GRANT_UNKNOWN_AFTER
    #: File with the API key that Temporal knows us by, read again when it changes; TEMPORAL_API_KEY is read once.
    temporal_api_key_file: str = ""
    #: module:attribute of a Temporal PayloadCodec, or of what makes one: it encodes all that Temporal keeps.
    payload_codec: str = ""
    #: Port of the worker's metrics; 0 turns them off.
    metrics_port: int = 0
    #: Port of the Temporal SDK's own metrics, which need one to themselves; 0 turns them off.
    sdk_metrics_port: int = 0
    #: An OTLP collector over HTTP that takes traces, such as http://collector:4318/v1/traces; unset: there are none.
    traces_endpoint: str = ""
    #: Address both listen on; in a container 0.0.0.0, so that a scraper outside may come.
    metrics_host: str = "127.0.0.1"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments come first, then variables, then files. Raises DesignError."""
        folder = os.environ.get(SECRETS_FOLDER)
        if not folder:
            return init_settings, env_settings
        try:
            for file in Path(folder).iterdir():
                if file.name in cls.model_fields:
                    file.read_bytes()
        except OSError as error:
            raise DesignError(
                f"{SECRETS_FOLDER} names {folder}, and {error.filename} cannot be read here ({error.strerror}): it and "
                "what is in it must be readable by the user that this process runs as."
            ) from None
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    @property
    def has_apns(self) -> bool:
        """Whether anything is said of Apple's push service; half of it is an error of whoever makes its adapter."""
        return any((self.apns_key, self.apns_key_id, self.apns_team_id, self.apns_topic))

    def webhook_url(self, channel: WebhookChannel) -> str:
        """Where the gateway of this channel listens.

        Raises:
            DesignError: the channel has no setting yet.
        """
        url: str | None = getattr(self, f"{channel}_webhook_url", None)
        if url is None:
            raise DesignError(f"Nobody says where {channel} is handed over; add {channel}_webhook_url to the settings.")
        return url

    def webhook_secret_of(self, channel: WebhookChannel) -> str:
        """What signs messages for the gateway of this channel.

        Raises:
            DesignError: nothing does.
        """
        own: str = getattr(self, f"{channel}_webhook_secret", "")
        secret = own or self.webhook_secret
        if not secret.strip():
            raise DesignError(
                f"The {channel} gateway needs a secret to know us by; set {channel.upper()}_WEBHOOK_SECRET, or "
                "WEBHOOK_SECRET for every gateway without one, to whsec_ and base64."
            )
        for place, one in enumerate(secret.split(), 1):
            if not _is_base64(one.removeprefix("whsec_")):
                name = f"{channel.upper()}_WEBHOOK_SECRET" if own else "WEBHOOK_SECRET"
                raise DesignError(
                    f"Secret {place} of {name} is not whsec_ and base64; copy it again from the gateway, or make one: "
                    "`openssl rand -base64 32`, with whsec_ before it."
                )
        return secret

    @property
    def console_origin(self) -> str:
        """Scheme, host and port under which browsers know the console."""
        return (self.console_url or self.public_url).rstrip("/")

    @property
    def task_queue(self) -> str:
        """Where the runs of this deployment wait for a worker."""
        return queue_in(self.deployment_name, TASK_QUEUE)

    @property
    def maintenance_queue(self) -> str:
        """Where its maintenance and its bulk jobs do."""
        return queue_in(self.deployment_name, MAINTENANCE_QUEUE)

    @property
    def retention_queue(self) -> str:
        """Where what forgets waits for a process that owns the tables."""
        return queue_in(self.deployment_name, RETENTION_QUEUE)

    def limits_of(self, provider: Provider) -> ProviderLimits:
        """What this provider takes."""
        return self.provider_limits.get(provider, ProviderLimits())

    @property
    def sqlalchemy_url(self) -> str:
        """`database_url` as SQLAlchemy wants it, with the psycopg driver."""
        scheme, _, rest = self.database_url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in {"postgres", "postgresql"} else self.database_url


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text))
    except ValueError:
        return False


def settings_from(environment: dict[str, str] | None = None) -> Settings:
    """Settings from the process environment, or from `environment` in tests."""
    if environment is None:
        return Settings()
    return Settings.model_validate({name.lower(): value for name, value in environment.items()})

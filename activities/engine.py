"""The engine put together from its settings, once, for the API, the worker, the dispatcher and tests.

`load_deployment` reads journeys and templates and holds them against each other; `build` makes what every process
works with; `worker_engine` adds what only a worker has: effects, the sweep and what recurs.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
from temporalio.client import Client

from activities.awards import Awards
from activities.channel_adapters import channel_adapters
from activities.clock import Clock, DatabaseClock
from activities.database import RETENTION_LIMITS, WORKER_LIMITS, Database
from activities.dead_devices import take_away
from activities.figures.followers import Followers
from activities.identity_digests import IdentityDigests
from activities.intake.backpressure import Pressure
from activities.intake.exclusion_minimum import SelfExclusionMinimum
from activities.intake.intake import Intake
from activities.learned_parts import LearnedParts
from activities.loops.audience_push import AudiencePush, audience_push
from activities.loops.bulk_work import BulkJobs
from activities.loops.change_watch import ChangeWatch
from activities.loops.double_search import DoubleSearch
from activities.loops.enrolment import Enrolments
from activities.loops.figure_reports import FigureReports
from activities.loops.journey_jobs import HeldRuns, RunStops
from activities.loops.maintenance import Maintenance
from activities.loops.migration import RunMoves
from activities.loops.nightly_retention import Forgetting
from activities.loops.prize_payments import PrizePayments
from activities.loops.raffle_drawing import RaffleDrawing
from activities.loops.reconcile_runs import RunReconciliation
from activities.loops.seed_taking import SeedTaking
from activities.loops.shadow_stops import ShadowStops
from activities.loops.shop_settlement import ShopSettlement
from activities.loops.sweeper import Sweeper
from activities.loops.telling_people import TellingPeople
from activities.loops.tournament_closing import TournamentClosing
from activities.loops.tournament_opening import TournamentOpening
from activities.messages import Messages
from activities.outgoing.signing_secrets import SigningSecrets
from activities.outgoing.webhook_dispatcher import WebhookDispatcher
from activities.outgoing.webhook_effect import WebhookEffects
from activities.point_economy import PointEconomy
from activities.processes import Processes, Role
from activities.promotion_pauses import PromotionPauses
from activities.providers.adapter import Adapter
from activities.providers.apns import KEPT_OPEN
from activities.providers.bonus_engine import BonusEngine
from activities.providers.breaker import Breaker
from activities.providers.email import MailLookup
from activities.registers import Registers
from activities.rewards import Grants
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.run_gauges import RunGauges
from activities.run_problems import RunProblems
from activities.settings import Settings
from activities.shadow_effects import ShadowEffects
from activities.spin_offers import SpinOffers
from activities.task_effects import TaskEffects
from activities.tracing import TracedTransport
from activities.unsubscribe_links import UnsubscribeLinks
from activities.ways_out import WaysOut
from content.templates import Catalogue
from workflows.channels import Channel
from workflows.effect_queues import PROVIDERS, Provider
from workflows.errors import DesignError
from workflows.field_types import MessageClass
from workflows.gate.policy_book import PolicyBook, of_deployment
from workflows.player_state.brand_groups import BrandGroups
from workflows.source.journey_loading import Registry, load

# An effect that finds no connection waits as long as an attempt may last: failing would only make it come again.
EFFECT_PATIENCE = timedelta(seconds=20)
# One for its passes, one to spare.
DISPATCH_CONNECTIONS = 2
# One for each follower; none is open where nobody follows.
FOLLOWING_CONNECTIONS = 3
# As many as subscriptions write what came of their attempts at a moment.
WEBHOOK_CONNECTIONS = 4
# One for what forgets, one for erasures, one to spare; none is open before there is work.
RETENTION_CONNECTIONS = 3


@dataclass(frozen=True)
class Deployment:
    """What designers have written: journeys and the texts they send."""

    registry: Registry
    templates: Catalogue


def load_deployment(settings: Settings) -> Deployment:
    """The journeys and templates of a deployment. Raises DesignError with every mistake, one a line.

    It opens no connection, so whoever only wants to know whether a design is sound needs no Postgres.
    """
    registry = load(settings.packages)
    templates = Catalogue.load(*settings.template_folders)
    mistakes = _unknown_texts(registry, templates) or _wrong_variables(registry, templates)
    if mistakes:
        raise DesignError("\n".join(mistakes))
    return Deployment(registry, templates)


def _unknown_texts(registry: Registry, templates: Catalogue) -> list[str]:
    """Templates, or channels of one, that a journey sends and nobody has written."""
    used: dict[str, set[Any]] = {}
    named_by: dict[str, str] = {}
    for use in registry.templates:
        used.setdefault(use.template, set()).update(use.channels)
        named_by.setdefault(use.template, f"Journey {use.journey}, line {use.line},")
    return templates.check(used, named_by)


def _wrong_variables(registry: Registry, templates: Catalogue) -> list[str]:
    """Variables that a text needs and a journey does not give, or gives and no text knows."""
    mistakes: list[str] = []
    for use in registry.templates:
        if use.asks != (templates[use.template].question is not None):
            verb, what = ("send", "asks nothing") if use.asks else ("survey", "asks something")
            mistakes.append(f"Journey {use.journey}, line {use.line}: {use.template} {what}; use player.{verb}.")
        if use.variables is None:
            continue
        where = f"Journey {use.journey}, line {use.line}: the template {use.template}"
        forgotten = templates.forgotten(use.template, use.channels, use.variables)
        mistakes += [f"{where} needs {name}; add {name}=… to the send." for name in forgotten]
        known = ", ".join(sorted(templates[use.template].variables))
        unknown = templates.unknown(use.template, use.variables)
        mistakes += [f"{where} says nothing with {name}; it knows {known}." for name in unknown]
    return mistakes


@dataclass(frozen=True)
class Engine:
    """What every process of a deployment works with."""

    settings: Settings
    registry: Registry
    database: Database
    intake: Intake
    pressure: Pressure
    clock: Clock
    processes: Processes
    policies: PolicyBook


def build(
    settings: Settings,
    registry: Registry,
    database: Database,
    clock: Clock | None,
    protection: Database | None = None,
    watching: Database | None = None,
    *,
    role: Role = "all",
) -> Engine:
    """The parts of every process around its pool of connections, of which none is opened yet.

    What protects players, and what looks how much is waiting, use `protection` and `watching` where they are given.
    Without a clock it is the database's.
    """
    given = clock or DatabaseClock()
    pressure = Pressure(watching or database, settings)
    processes = Processes(
        watching or database,
        registry.rules,
        role=role,
        build=settings.build_id,
        clock=given if isinstance(given, DatabaseClock) else None,
    )
    groups = BrandGroups(settings.brand_groups)
    policies = of_deployment(
        registry.policies, adults_only=settings.adults_only, licences=settings.brand_licences, groups=groups
    )
    intake = Intake(
        database,
        registry.rules.under(policies),
        settings.import_settles_after,
        pressure,
        self_exclusion_minimum=SelfExclusionMinimum(settings.self_exclusion_minimum, policies),
        protection=protection,
        groups=groups,
        digests=IdentityDigests(settings.identity_secrets or settings.link_secrets),
        processes=processes,
    )
    return Engine(settings, registry, database, intake, pressure, given, processes, policies)


@dataclass(frozen=True)
class WorkerEngine(Engine):
    """An engine that plays journeys: with effects, and with what a worker does of itself."""

    #: The dispatcher's own connections: it holds one while it calls Temporal, and no effect may keep it from that.
    dispatching: Database
    messages: Messages
    grants: Grants
    awards: Awards
    pauses: PromotionPauses
    tasks: TaskEffects
    runs: RunEffects
    learned: LearnedParts
    shadows: ShadowEffects
    maintenance: Maintenance
    reconciliation: RunReconciliation
    forgetting: Forgetting
    bulk_jobs: BulkJobs
    tournament_opening: TournamentOpening
    tournament_closing: TournamentClosing
    problems: RunProblems
    gauges: RunGauges
    followers: Followers
    figure_reports: FigureReports
    changes: ChangeWatch
    seeds: SeedTaking
    audiences: AudiencePush
    webhooks: WebhookDispatcher
    webhook_effects: WebhookEffects
    telling: TellingPeople

    def activities_of(self, provider: Provider) -> Sequence[Callable[..., Any]]:
        """The effects that wait in this provider's queue."""
        return [self.grants.give, self.grants.revoke] if provider == "bonus_engine" else [self.messages.send]

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """Every effect a journey may ask for, as a Temporal activity."""
        return [
            self.messages.send,
            self.grants.give,
            self.grants.revoke,
            self.awards.award,
            self.spins.offer,
            self.spins.close,
            self.pauses.pause,
            self.tasks.open,
            self.tasks.move,
            self.runs.end,
            self.runs.mark,
            self.runs.match,
            *self.learned.effects,
            self.runs.refresh,
            self.runs.value,
            self.runs.start,
            self.webhook_effects.say,
            self.shadows.withhold,
        ]

    @property
    def message_classes(self) -> dict[str, MessageClass]:
        """What each template is for."""
        catalogue = self.messages.catalogue
        return {name: catalogue[name].message_class for name in catalogue.names}

    def dispatcher(self, client: Client) -> Dispatcher:
        """What hands deliveries to Temporal."""
        return Dispatcher(
            self.dispatching, client, self.registry, processes=self.processes, weights=self.settings.brand_weights
        )

    @property
    def spins(self) -> SpinOffers:
        """What gives spins of wheels, and takes them back."""
        return SpinOffers(self.database, self.intake, self.policies, self.settings.product, self.clock)

    def prizes(self) -> PrizePayments:
        """What has prizes of money given that no run gives."""
        return PrizePayments(self.grants)

    def raffles(self) -> RaffleDrawing:
        """What draws raffles whose period is over."""
        return RaffleDrawing(self.database, self.intake, self.policies, self.grants.registers, self.clock)

    def settlement(self) -> ShopSettlement:
        """What settles purchases whose delivery is over."""
        return ShopSettlement(self.database, self.intake, self.clock)

    def economy(self) -> PointEconomy:
        """What adds the journal of points up."""
        return PointEconomy(self.database, self.registry.loyalty, self.clock)

    @property
    def doubles(self) -> DoubleSearch:
        """What searches for accounts that are likely one person's."""
        return DoubleSearch(self.database, self.intake, self.clock, least=self.settings.doubles_from)

    def sweeper(self) -> Sweeper:
        """What ticks players whose moment has come, at the rate of the settings."""
        return Sweeper(
            self.database,
            self.intake,
            self.clock,
            rate=self.settings.sweep_rate,
            pressure=self.pressure,
            processes=self.processes,
        )


@asynccontextmanager
async def worker_engine(
    settings: Settings, clock: Clock | None = None, role: Role = "all"
) -> AsyncIterator[WorkerEngine]:
    """The engine of a worker for as long as the block lasts. Raises DesignError.

    Nothing is connected before it is used, so neither Postgres nor a provider need be there yet.
    """
    deployment = load_deployment(settings)
    async with AsyncExitStack() as stack:
        database, dispatching, retaining = _worker_databases(settings, stack)
        http = await stack.enter_async_context(_http_client(settings))
        http2 = await stack.enter_async_context(_http2_client(settings))
        core = build(settings, deployment.registry, database, clock, role=role)
        clock, policies, journeys = core.clock, core.policies, core.registry.journeys
        breakers = {provider: Breaker(provider) for provider in PROVIDERS}
        bonus_engine = _bonus_engine(settings, http, breakers)
        templates, adapters = deployment.templates, channel_adapters(settings, http, http2)
        registers = Registers.over(http, settings, core.intake, clock)
        grants = Grants(database, journeys, bonus_engine, policies, settings, registers, clock)
        yield WorkerEngine(
            **vars(core),
            dispatching=dispatching,
            messages=_messages(core, templates, adapters, http, breakers, registers),
            grants=grants,
            awards=Awards(database, core.intake, policies, settings.product, registers, clock),
            pauses=PromotionPauses(database, core.intake, clock),
            tasks=TaskEffects(database, clock, core.registry.forms),
            runs=RunEffects(database, core.intake, clock, processes=core.processes),
            learned=_learned(core, templates),
            shadows=_shadow_effects(core, templates),
            forgetting=Forgetting(retaining, settings),
            maintenance=Maintenance(
                database, core.intake, grants, clock, rate=settings.rearm_rate, processes=core.processes
            ),
            reconciliation=RunReconciliation(database, core.intake, clock, rate=settings.reconcile_rate),
            bulk_jobs=_bulk_jobs(core),
            tournament_opening=TournamentOpening(database, core.intake.rules, clock),
            tournament_closing=TournamentClosing(database, core.intake, policies, registers, clock),
            problems=RunProblems(database, clock, deployment=settings.deployment_name),
            gauges=RunGauges(database, clock),
            followers=_followers(settings, stack),
            figure_reports=FigureReports(retaining, core.registry, templates, adapters["email"], settings),
            audiences=audience_push(settings, deployment.registry, retaining, policies, http, clock),
            seeds=SeedTaking(retaining, policies, settings.product, clock),
            changes=ChangeWatch(retaining, core.registry, adapters["email"], settings, clock),
            webhooks=_webhook_dispatcher(settings, stack),
            webhook_effects=WebhookEffects(database, clock),
            telling=TellingPeople(database, adapters["email"], settings, clock),
        )


def _worker_database(settings: Settings) -> Database:
    """What effects work with."""
    return Database(settings, connections=settings.worker_pool_size, limits=WORKER_LIMITS, patience=EFFECT_PATIENCE)


def _worker_databases(settings: Settings, stack: AsyncExitStack) -> tuple[Database, Database, Database]:
    """The pools of effects, of dispatching and of what works through whole tables, closed with the stack."""
    pools = (
        _worker_database(settings),
        Database(settings, connections=DISPATCH_CONNECTIONS, limits=WORKER_LIMITS),
        Database(settings, connections=RETENTION_CONNECTIONS, limits=RETENTION_LIMITS),
    )
    for pool in pools:
        stack.push_async_callback(pool.close)
    return pools


def _http_client(settings: Settings) -> httpx.AsyncClient:
    """What calls providers, traced where there is a collector."""
    timeout = settings.provider_timeout.total_seconds()
    transport = TracedTransport(httpx.AsyncHTTPTransport()) if settings.traces_endpoint else None
    return httpx.AsyncClient(timeout=timeout, transport=transport)


def _http2_client(settings: Settings) -> httpx.AsyncClient:
    """The same for whom speaks HTTP/2 alone, over connections that stay for a while."""
    following = httpx.AsyncHTTPTransport(
        http1=False, http2=True, limits=httpx.Limits(keepalive_expiry=KEPT_OPEN.total_seconds())
    )
    transport = TracedTransport(following) if settings.traces_endpoint else following
    return httpx.AsyncClient(timeout=settings.provider_timeout.total_seconds(), transport=transport)


def _messages(
    core: Engine,
    templates: Catalogue,
    adapters: Mapping[Channel, Adapter],
    http: httpx.AsyncClient,
    breakers: Mapping[Provider, Breaker],
    registers: Registers,
) -> Messages:
    """What sends, over the channels of the settings. Raises DesignError."""
    settings = core.settings
    return Messages(
        core.database,
        core.registry.journeys,
        templates,
        adapters,
        breakers,
        MailLookup(settings.mail_lookup_url, http) if settings.mail_lookup_url else None,
        core.policies,
        settings,
        unsubscribe_links(settings),
        core.clock,
        registers=registers,
        bury=partial(take_away, core.intake),
    )


def _learned(core: Engine, templates: Catalogue) -> LearnedParts:
    """What learns, and chooses by what was learned."""
    return LearnedParts.of(
        core.database,
        core.intake,
        core.registry,
        core.policies,
        core.clock,
        templates=templates,
        product=core.settings.product,
        ways=WaysOut.of(core.settings),
    )


def _shadow_effects(core: Engine, templates: Catalogue) -> ShadowEffects:
    """What answers the effects of shadows."""
    given = (core.database, core.intake, templates.__getitem__, core.policies, core.settings.product, core.clock)
    return ShadowEffects(*given, ways=WaysOut.of(core.settings))


def _bonus_engine(settings: Settings, http: httpx.AsyncClient, breakers: Mapping[Provider, Breaker]) -> BonusEngine:
    """What pays grants out."""
    breaker = breakers["bonus_engine"]
    return BonusEngine(settings.bonus_engine_url, http, timeout=settings.provider_timeout, breaker=breaker)


def _followers(settings: Settings, stack: AsyncExitStack) -> Followers:
    """What counts behind everything else, with connections of its own."""
    database = Database(settings, connections=FOLLOWING_CONNECTIONS, limits=WORKER_LIMITS)
    stack.push_async_callback(database.close)
    return Followers(database)


def _webhook_dispatcher(settings: Settings, stack: AsyncExitStack) -> WebhookDispatcher:
    """What tells webhooks, with connections of its own."""
    database = Database(settings, connections=WEBHOOK_CONNECTIONS, limits=WORKER_LIMITS)
    stack.push_async_callback(database.close)
    console, networks = settings.console_origin, settings.webhook_networks
    return WebhookDispatcher(database, signing_secrets(settings), networks=networks, console=console)


def _bulk_jobs(core: Engine) -> BulkJobs:
    """Every kind of work over many players or runs."""
    return BulkJobs(
        core.database,
        [
            kind(core.database, core.intake, core.pressure, core.clock, processes=core.processes)
            for kind in (Enrolments, RunStops, HeldRuns, RunMoves, ShadowStops)
        ],
    )


def unsubscribe_links(settings: Settings) -> UnsubscribeLinks:
    """What makes and reads the links of the way out. Raises DesignError."""
    return UnsubscribeLinks(settings.link_secrets, settings.webhook_secret)


def signing_secrets(settings: Settings) -> SigningSecrets:
    """What makes the secrets of webhook subscriptions. Raises DesignError."""
    return SigningSecrets(settings.webhook_keys or settings.link_secrets)

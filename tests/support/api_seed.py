"""One player with something of everything, for tests that look at every endpoint."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audience_links import AudienceLinks
from activities.audiences import Audience
from activities.bulk_jobs import Job
from activities.experiment_rows import assigned, begun
from activities.figures.figure_store import store
from activities.loops.enrolment import KIND, enrol
from activities.loops.journey_jobs import STOP, begin_stop
from activities.loops.migration import MIGRATE, begin_migration
from activities.loyalty_tables import point_months, shop_purchases
from activities.outgoing import webhook_queue, webhook_subscriptions
from activities.people import add_person
from activities.seeds import TOP_DECILE, Seed, write_seed
from activities.shadows import start_shadow
from activities.step_log import record_steps
from activities.tables import dead_letters, deliveries, failed_events, gate_decisions, grants, messages, runs
from activities.task_drafts import save_draft
from activities.task_effects import TaskEffects
from activities.tournaments import open_instance
from activities.work_profiles import add_absence
from tests.support.api_client import Api
from tests.support.api_journeys import TRIED, Affordability
from tests.support.engine import done
from tests.support.tournament_program import race
from workflows.effects import AssignArm, Mark, OpenTask
from workflows.events import DepositApproved, DepositFailed, PlayerRegistered
from workflows.figures.definitions import Taken, week_of
from workflows.outgoing_events import OutgoingEvent
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import StoryLine

PLAYER = "p-seed"
JOURNEY = "api_review"
SEGMENT = "api_depositor"
#: Path parameters of which the brand has nothing.
NOTHING_OF = ("wheel_id", "spin_id", "mission_id", "item_id", "correction_id", "raffle_id", "answer")


async def draw_arm(connection: AsyncConnection, step: dict[str, Any], now: datetime) -> None:
    """Draw the player into an arm of the experiment."""
    asking = AssignArm(**step, experiment=TRIED.name, experiment_version=TRIED.version, arms=dict(TRIED.arms))
    await assigned(connection, asking, await begun(connection, asking, now), now)


async def seeded(api: Api) -> dict[str, str]:
    """Seed the brand of `api`; the path parameters that name what is there."""
    brand, now = api.brand, datetime.now(UTC)
    facts = [
        PlayerRegistered.example().model_copy(update={"occurred_at": now - timedelta(hours=2)}),
        DepositFailed.example().model_copy(update={"event_id": "failed-1", "occurred_at": now - timedelta(hours=1)}),
        DepositApproved.example().model_copy(update={"event_id": "approved-1", "occurred_at": now}),
    ]
    await api.engine.intake.ingest(brand, [(PLAYER, fact) for fact in facts], now)
    async with api.engine.database.reading() as connection:
        mine = (runs.c.brand == brand, runs.c.player_id == PLAYER, runs.c.journey == JOURNEY)
        run_id: str = (await connection.execute(select(runs.c.id).where(*mine))).scalar_one()
    step: dict[str, Any] = {"brand": brand, "player_id": PLAYER, "journey": JOURNEY, "run_id": run_id}
    task = await TaskEffects(api.engine.database, lambda: now).open(
        OpenTask(
            **step,
            step="ask:Affordability#1",
            form="Affordability",
            question="Is this player's spend affordable and sustainable?",
            form_schema=Affordability.model_json_schema(),
            team="vip",
            due_at=now + timedelta(hours=48),
            facts=PlayerFacts(player_id=PLAYER),
        )
    )
    message: dict[str, Any] = {**step, "step": "send:welcome#1", "template": "welcome"}
    message |= {
        "message_class": "marketing",
        "decision": {},
        "created_at": now,
        "subject": "Hello",
        "body": "Hello Anna",
    }
    in_app, email = (f"{run_id}/send:welcome#1/{channel}" for channel in ("in_app", "email"))
    grant_id = f"{run_id}/grant:free_spins#1"
    async with api.engine.database.transaction() as connection:
        told = StoryLine(line=1, step="event:DepositApproved#1", at=now, outcome="timed_out")
        await record_steps(connection, Mark(**step, step="mark:seen#1", name="seen", story=[told]), now, "marked")
        sent = {"id": in_app, "channel": "in_app", "status": "sent", "reason": None}
        refused = {"id": email, "channel": "email", "status": "suppressed", "reason": "no_consent"}
        await connection.execute(insert(messages), [message | sent, message | refused])
        await connection.execute(
            insert(grants).values(
                **step,
                id=grant_id,
                step="grant:free_spins#1",
                kind="free_spins",
                reward={"kind": "free_spins", "count": 10},
                status="unknown",
                reason="the bonus engine never answered",
                decision={"rule": None},
                created_at=now,
            )
        )
        start = (await connection.execute(select(deliveries).where(deliveries.c.run_id == run_id).limit(1))).one()
        letter = await connection.execute(
            insert(dead_letters)
            .values(run_id=run_id, seq=99, brand=brand, kind="event", payload=start.payload, reason="Refused.")
            .returning(dead_letters.c.id)
        )
        letter_id = letter.scalar_one()
        decision = {
            "effect_id": email,
            "subject": "email",
            "outcome": "refused",
            "reason": "no_consent",
            "rule": "consent",
            "rules": ["consent"],
            "policy": "house",
            "release": 0,
            "seen": {},
        }
        known = {name: value for name, value in step.items() if name != "step"}
        await connection.execute(insert(gate_decisions).values(at=now, **known, **decision))
        failed = {
            "player_id": PLAYER,
            "source": "/test",
            "event_id": f"failed-{brand}",
            "event": DepositFailed.example().to_wire(),
            "error": "It raised.",
        }
        await connection.execute(insert(failed_events).values(brand=brand, **failed))
        purchase_id = await _bought(connection, brand, now)
        person = await add_person(connection, brand, f"seed@{brand}.example", "Seed", now)
        absence_id = await add_absence(
            connection, brand, person.id, now, now + timedelta(days=7), stand_in=None, by="seed"
        )
        webhook_id = f"wh_{brand}"
        hook: dict[str, Any] = {"id": webhook_id, "brand": brand, "url": "https://x.example", "types": ["run.*"]}
        await webhook_subscriptions.create(connection, hook, api.engine.webhook_secrets.first())
        await webhook_queue.write_for(
            connection, webhook_id, OutgoingEvent(brand, PLAYER, "run.ended", now, {"run_id": run_id})
        )
        typed = {"answer.note": "Called, she moves"}
        await save_draft(connection, (brand, done(task).task_id, "tester"), PLAYER, typed, 1, now)
        instance = race.newest(now)
        await open_instance(connection, brand, race, instance)
        await draw_arm(connection, {**step, "step": "arm:x#1"}, now)
        await start_shadow(connection, brand, {"journey": JOURNEY, "version": 1, "percent": 5.0}, "seed", now)
    job = Job(
        id=f"enrolment-{brand}",
        brand=brand,
        kind=KIND,
        subject="api_offer",
        detail={"segment": SEGMENT, "per_second": 50},
        created_at=now,
        updated_at=now,
    )
    async with api.engine.database.transaction() as connection:
        enrolment = await enrol(connection, job)
        stop = await begin_stop(
            connection,
            job.model_copy(
                update={
                    "id": f"stop-{brand}",
                    "kind": STOP,
                    "subject": JOURNEY,
                    "detail": {"reason": "It was wrong.", "per_second": 50},
                }
            ),
        )
        migration = await begin_migration(
            connection,
            job.model_copy(
                update={
                    "id": f"migration-{brand}",
                    "kind": MIGRATE,
                    "subject": JOURNEY,
                    "detail": {"version": 1, "do": [], "reason": "It was better.", "per_second": 50},
                }
            ),
            now,
        )
    assert migration is not None
    assert stop is not None
    assert enrolment is not None
    assert enrolment.total == 1
    return {
        "person_id": person.id,
        "absence_id": str(absence_id),
        "kind": "teams",
        "given": "vip",
        "task_id": done(task).task_id,
        "player_id": PLAYER,
        "run_id": run_id,
        "message_id": in_app,
        "grant_id": grant_id,
        "letter_id": str(letter_id),
        "instance_id": instance.id,
        "instance": instance.id,
        "name": JOURNEY,
        "as_of": await _take_figures(api, now),
        "segment": SEGMENT,
        "use": "seed",
        "link": AudienceLinks(api.engine.settings.link_secrets).token(Audience(brand, "seed", SEGMENT, "google"), now),
        "what": "seen",
        "experiment": TRIED.name,
        "currency": "points",
        "purchase_id": purchase_id,
        **dict.fromkeys(NOTHING_OF, "nothing-here"),
        "period": now.date().isoformat(),
        "enrolment_id": enrolment.id,
        "stop_id": stop.id,
        "migration_id": migration.id,
        "webhook_id": webhook_id,
        "template": "welcome",
        "channel": "mails",
        "token": api.engine.links.token(brand, PLAYER, "email"),
    }


async def _bought(connection: AsyncConnection, brand: str, now: datetime) -> str:
    """Something that the player has bought, and the month it was in; its id."""
    made: dict[str, Any] = {"item": "mug", "version": "v", "currency": "points", "state": "fulfilled", "price": 200}
    made |= {"id": f"o-{brand}", "slices": {"@never": 200}, "at": now, "settled_at": now}
    await connection.execute(insert(shop_purchases).values(brand=brand, player_id=PLAYER, **made))
    flow = {"debit": "issued:wager", "credit": "available", "amount": 200, "transfers": 1, "players": 1}
    month = insert(point_months).values(brand=brand, currency="points", month=now.date().replace(day=1), **flow)
    await connection.execute(month.values(counted_at=now))
    return str(made["id"])


async def _take_figures(api: Api, now: datetime) -> str:
    """A figure and a seed that were taken of the brand; of which day."""
    taken = Taken("churn_30", "week", week_of(now.date()), 120, 0.4, 0.31, 0.49, of=120)
    async with api.engine.database.transaction() as connection:
        await store(connection, api.brand, now.date(), [taken])
        seed = Seed(TOP_DECILE, "EUR", now.date(), "ngr", None, 120, 1)
        await write_seed(connection, api.brand, TOP_DECILE, [seed], [PLAYER], now.date())
    return f"{now:%Y-%m-%d}"

"""The program of a service centre: the engine is not only for casinos. `JOURNEYS=workflows.programs.service_centre`.

Customers get points for each contact, purchase, review and survey, and levels by how often they come; who reaches a
level is served first. Read it from top to bottom: events of your own, what earns, the levels, and what follows.
"""

from typing import Annotated

from pydantic import Field

from workflows import (
    Event,
    FeedbackAnswered,
    Player,
    TierChanged,
    always,
    count,
    currency,
    days,
    earn,
    goal,
    journey,
    ladder,
    on,
    tier,
)

__all__ = ["ContactHandled", "PurchaseMade", "ReviewWritten"]

# ---- what happens: events of your own, told by your systems with POST /v1/events ---------------


class ContactHandled(Event, type="service.contact_handled", example={"case_id": "c-1"}):
    """A customer called, wrote or came by, and was served."""

    case_id: str


class PurchaseMade(Event, type="service.purchase_made", example={"order_id": "o-1", "amount_minor": 4_900}):
    """A customer bought something; minor units."""

    order_id: str
    amount_minor: Annotated[int, Field(ge=0, le=10**12)]


class ReviewWritten(Event, type="service.review_written", example={"order_id": "o-1", "stars": 4}):
    """A customer wrote a review, whatever it says."""

    order_id: str
    stars: Annotated[int, Field(ge=1, le=5)]


# ---- what earns: at most so much a day, so that nobody finds a loop ----------------------------

loyalty_points = currency("service_points", expires=days(365))


def once(_happened: Event) -> int:
    """Each counts the same, whatever it says: five stars earn no more than one."""
    return 1


contacts = earn(loyalty_points, ContactHandled, once, rate=(5, 1), most=20, name="contacts")
purchases = earn(loyalty_points, PurchaseMade, "amount_minor", rate=(1, 100), most=5_000, name="purchases")
reviews = earn(loyalty_points, ReviewWritten, once, rate=(20, 1), most=40, name="reviews")
surveys = earn(loyalty_points, FeedbackAnswered, once, rate=(10, 1), most=10, name="surveys")

# ---- levels: by how often a customer comes, never by points that can be spent ------------------

levels = ladder(
    "service",
    by=count(ContactHandled),
    tiers=[tier("guest", 1), tier("regular", 5), tier("partner", 20)],
)

# ---- what follows: who reaches a level is served first -----------------------------------------


@journey(
    on(TierChanged, where=lambda change: change.direction == "up" and change.to != "guest"),
    entry=always,
    goal=goal(ContactHandled, within=days(30)),
    ends_after=days(1),
    control=0,
)
async def served_first(player: Player, change: TierChanged) -> None:
    """Tell the telephone system who is served first from now on."""
    await player.webhook("served_first", level=change.to)

"""Whether a player agreed to be written to: on this channel, about this product, where they are, and not profiled."""

from collections.abc import Mapping

from workflows.channels import CHANNELS
from workflows.field_types import Product
from workflows.gate.decision import Refusal
from workflows.gate.facts import GateFacts, MessageFacts
from workflows.gate.policy import Policy, within
from workflows.gate.reasons import Reason
from workflows.player_state.consents import consent_key, said


def not_agreed(
    facts: GateFacts, message: MessageFacts, channel: str, policy: Policy, asked: list[str]
) -> Refusal | None:
    """The rule by which the player has not, None if they have. Those looked at write their ids into `asked`."""
    asked.append("consent")
    consents, product = facts.consents or {}, message.product
    channel = _spoken_of(consents, channel, product)
    whole, own = said(consents, channel), None
    if product is not None:
        own = said(consents, channel, product)
    if own is False or (own is None and not whole):
        about = f" for {product}" if own is False else ""
        return Refusal(Reason.NO_CONSENT, "consent", f"The player has not opted in to {channel}{about}.")
    if channel in policy.product_consent:
        asked.append("product-consent")
        if not own:
            what = "the message does not say for what" if product is None else f"not for {product}"
            return Refusal(
                Reason.NO_PRODUCT_CONSENT, "product-consent", f"The player has opted in to {channel}, and {what}."
            )
    if policy.consent_given_here or policy.consent_given_in is not None:
        asked.append("consent-place")
        place = (facts.consent_places or {}).get(consent_key(channel, product) if own else channel)
        if not _given_here(place, facts.jurisdiction, policy):
            given = "nobody knows where" if place is None else f"in {place}"
            return Refusal(Reason.CONSENT_ELSEWHERE, "consent-place", f"The consent to {channel} was given {given}.")
    if policy.profiling_objection:
        asked.append("profiling")
        if said(consents, "profiling") is False:
            why = "The player objected to profiling, and journeys go by behaviour."
            return Refusal(Reason.PROFILING, "profiling", why)
    return None


def _spoken_of(consents: Mapping[str, bool], channel: str, product: Product | None) -> str:
    """The channel whose consent counts: its own where the player said anything of it, else that of its like."""
    like = next((spec.consent_of for name, spec in CHANNELS.items() if name == channel), None)
    if like is None or said(consents, channel) is not None or said(consents, channel, product) is not None:
        return channel
    return like


def _given_here(place: str | None, jurisdiction: str | None, policy: Policy) -> bool:
    if place is None or (policy.consent_given_here and place != jurisdiction):
        return False
    return policy.consent_given_in is None or any(within(place, one) for one in policy.consent_given_in)

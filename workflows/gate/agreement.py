"""Whether a player agreed to be written to: on this channel, about this product, where they are, and not profiled."""

from workflows.gate.decision import Refusal
from workflows.gate.facts import GateFacts, MessageFacts
from workflows.gate.policy import Policy
from workflows.gate.reasons import Reason
from workflows.player_state.consents import consent_key, said


def not_agreed(facts: GateFacts, message: MessageFacts, channel: str, policy: Policy) -> Refusal | None:
    """The rule by which the player has not, None if they have."""
    consents, product = facts.consents or {}, message.product
    whole, own = said(consents, channel), None
    if product is not None:
        own = said(consents, channel, product)
    if own is False or (own is None and not whole):
        about = f" for {product}" if own is False else ""
        return Refusal(Reason.NO_CONSENT, "consent", f"The player has not opted in to {channel}{about}.")
    if channel in policy.product_consent and not own:
        what = "the message does not say for what" if product is None else f"not for {product}"
        return Refusal(
            Reason.NO_PRODUCT_CONSENT, "product-consent", f"The player has opted in to {channel}, and {what}."
        )
    if policy.consent_given_here:
        places = facts.consent_places or {}
        place = places.get(consent_key(channel, product) if own else channel)
        if facts.jurisdiction is None or place != facts.jurisdiction:
            given = "nobody knows where" if place is None else f"in {place}"
            return Refusal(Reason.CONSENT_ELSEWHERE, "consent-place", f"The consent to {channel} was given {given}.")
    if policy.profiling_objection and said(consents, "profiling") is False:
        return Refusal(Reason.PROFILING, "profiling", "The player objected to profiling, and journeys go by behaviour.")
    return None

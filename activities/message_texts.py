"""What a message says to its player, and what of it goes to a channel."""

from datetime import datetime

from activities import gate_facts
from activities.answer_links import OPEN_FOR, AnswerLinks, SurveyLink
from activities.message_offers import in_words
from activities.message_rows import MessageRow
from activities.providers.adapter import OutgoingMessage
from activities.settings import Settings
from activities.unsubscribe_links import UnsubscribeLinks
from activities.ways_out import WaysOut
from content.mail_layout import COLOUR, MailText, mail_html
from content.templates import Catalogue, Rendered
from workflows.channels import Channel
from workflows.effects import Send
from workflows.gate.policy import NECESSARY
from workflows.local_time import zone


class MessageTexts:
    """Renders the texts of a deployment's templates for one player at a time."""

    def __init__(self, catalogue: Catalogue, settings: Settings, links: UnsubscribeLinks) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self.links = links
        self.answers = AnswerLinks(settings.link_secrets)
        self.ways = WaysOut.of(settings)

    def render(self, request: Send, player: gate_facts.GatedPlayer, channel: Channel) -> Rendered:
        """The text for a player whom the gate let pass. Raises `RenderError`."""
        facts, profile = player.state.facts, player.profile
        language, clock, currency = facts.get("language", "en"), zone(facts.get("timezone")), facts.get("currency")
        return self.catalogue.render(
            request.template,
            channel,
            language,
            {
                **in_words(request.variables, language, clock, currency),
                "first_name": profile.get("first_name"),
                "brand_name": self._brand_name(request.brand),
                "unsubscribe_url": self._unsubscribe_url(request.brand, request.player_id, channel),
                "answer_url": self._answer_url(request),
            },
            zone=clock,
            currency=currency,
        )

    def outgoing(
        self, row: MessageRow, player: gate_facts.GatedPlayer | None, good_until: datetime | None = None
    ) -> OutgoingMessage:
        """A rendered message as its channel takes it, too late from `good_until` on."""
        profile = player.profile if player else {}
        unsubscribe = self._unsubscribe_url(row.brand, row.player_id, row.channel)
        return OutgoingMessage(
            key=row.id,
            brand=row.brand,
            brand_name=self._brand_name(row.brand),
            channel=row.channel,
            message_class=row.message_class,
            to=gate_facts.addresses(row.player_id, profile, ways=self.ways).get(row.channel, ""),
            title=row.subject or "",
            body=row.body or "",
            language=row.language or "en",
            html=self._html(row, unsubscribe) if row.channel == "email" else None,
            unsubscribe_url=None if row.message_class in NECESSARY else unsubscribe,
            good_until=good_until,
        )

    def _html(self, row: MessageRow, unsubscribe_url: str) -> str:
        """A mail as HTML: made of its text, or of the twin that was rendered beside it."""
        return mail_html(
            MailText(
                title=row.subject or "",
                body=row.body or "",
                language=row.language or "en",
                brand_name=self._brand_name(row.brand),
                colour=self.settings.brand_colours.get(row.brand, COLOUR),
                twin=row.html,
                unsubscribe_url=unsubscribe_url,
            )
        )

    def _brand_name(self, brand: str) -> str:
        return self.settings.brand_names.get(brand, brand)

    def _unsubscribe_url(self, brand: str, player_id: str, channel: str) -> str:
        token = self.links.token(brand, player_id, channel)
        return f"{self.settings.public_url.rstrip('/')}/v1/unsubscribe/{token}"

    def _answer_url(self, request: Send) -> str | None:
        """Where the player answers what the message asks; None where it asks nothing."""
        if request.survey is None or request.asked_at is None:
            return None
        until = int((request.asked_at + OPEN_FOR).timestamp())
        about = request.survey.about
        asked = SurveyLink(request.brand, request.player_id, request.key, request.template, about, until)
        return f"{self.settings.public_url.rstrip('/')}/v1/answers/{self.answers.token(asked)}"

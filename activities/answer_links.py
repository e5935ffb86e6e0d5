"""Links in surveys by which a player answers without a log-in: signed, so that nobody can answer for another."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from itsdangerous import BadData, URLSafeSerializer

#: For how long a question can be answered; the run that asked it waits as long as its journey says.
OPEN_FOR: Final = timedelta(days=90)


class SurveyLink(NamedTuple):
    """Whom a link asks what: the template has the words, `question_id` is the step that asked."""

    brand: str
    player_id: str
    question_id: str
    template: str
    about: str | None
    #: Whole seconds since 1970, until when it can be answered.
    until: int

    @property
    def asked_at(self) -> datetime:
        """When it was asked."""
        return datetime.fromtimestamp(self.until, UTC) - OPEN_FOR

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be answered."""
        return now <= datetime.fromtimestamp(self.until, UTC)


class AnswerLinks:
    """Makes and reads the tokens of answer links. The first of `secrets` signs and all of them are read."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._serializers = [URLSafeSerializer(secret, salt="answer") for secret in secrets]

    def token(self, asked: SurveyLink) -> str:
        """A token that answers one question of one player, and can do nothing else."""
        return self._serializers[0].dumps([*asked])

    def read(self, token: str) -> SurveyLink | None:
        """Whom a genuine token asks what, None for any other text."""
        for serializer in self._serializers:
            try:
                return SurveyLink(*serializer.loads(token))
            except (BadData, TypeError):
                continue
        return None

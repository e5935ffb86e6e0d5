"""Whether a message to us says nothing but that its sender wants no more of ours."""

import unicodedata
from typing import Final

from workflows.channels import CHANNELS

#: A whole message of these takes every consent to its channel back; carriers and WhatsApp know the first.
STOP_WORDS: Final = frozenset(
    {"stop", "stopall", "unsubscribe", "unsub", "cancel", "end", "quit", "revoke", "optout"}
    | {"stopp", "abmelden", "arrêt", "arret", "baja", "parar", "sair", "avsluta", "afmelden"}
    | {"стоп", "отписаться", "отписка", "отписать", "отпишите", "отмена", "отказ"}
    | {"відписатися", "відписатись", "відписка", "відмова", "скасувати", "припинити", "зупинити"}
)
#: Said in two words.
PHRASES: Final = {"opt out": "optout", "stop all": "stopall"}
#: What may stand beside them and changes nothing. No word that could say what else is meant belongs here.
FILLERS: Final = frozenset(
    {"please", "pls", "thanks", "thank", "you", "now", "all", "text", "texts", "message", "messages", "me"}
    | frozenset(CHANNELS)
    | {"пожалуйста", "спасибо", "все", "смс", "меня", "сообщения", "рассылку"}
    | {"будь", "ласка", "дякую", "всі", "мене", "повідомлення", "розсилку"}
)
#: Cyrillic letters, and the Latin ones that look like them.
_ALIKE: Final = dict(zip("аеорсухіѕтмкн", "aeopcyxistmkh", strict=True))
_TO_LATIN: Final = str.maketrans(_ALIKE)
_TO_CYRILLIC: Final = str.maketrans({latin: cyrillic for cyrillic, latin in _ALIKE.items()})


def is_stop_word(text: str | None) -> bool:
    """Whether a message is made of stop words alone, said once or more, with a please or a thank-you beside them.

    How it is written does not matter: capitals, marks, letters of full width, Latin letters in a Cyrillic word and the
    other way round. A sentence with a stop word in it is none.
    """
    seen = unicodedata.normalize("NFKC", text or "").casefold()
    letters = (one if one.isalpha() else " " for one in seen if unicodedata.category(one) != "Cf")
    plain = " ".join("".join(letters).split())
    for phrase, word in PHRASES.items():
        plain = plain.replace(phrase, word)
    words = [_spelt(word) for word in plain.split()]
    said = [word for word in words if word not in FILLERS]
    return bool(said) and all(word in STOP_WORDS for word in said)


def _spelt(word: str) -> str:
    """The word as it is known, whichever of two alphabets its letters were taken from."""
    spellings = (word, word.translate(_TO_LATIN), word.translate(_TO_CYRILLIC))
    return next((one for one in spellings if one in STOP_WORDS or one in FILLERS), word)

"""What providers of messages tell in their own words, and how it is known that they said it."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from api.integrations.message_providers.signatures import SendGridSignature, is_twilios
from api.integrations.message_providers.words import StatusTold, TextReceived, mail_events, sms_status, text_received
from workflows.errors import DesignError

PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEY = base64.b64encode(PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
MAIL = {"event": "delivered", "journeys_key": "run/send:welcome#1/email", "sg_event_id": "e-1", "timestamp": 1773057600}


def signed(timestamp: str, body: bytes) -> str:
    return base64.b64encode(PRIVATE.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()


class TestSignatures:
    @given(st.binary(max_size=200), st.text("0123456789", max_size=12))
    def test_what_the_mail_provider_signed_is_believed_and_nothing_else(self, body: bytes, timestamp: str) -> None:
        verifier, signature = SendGridSignature(KEY), signed(timestamp, body)
        assert verifier.is_genuine(signature, timestamp, body)
        assert not verifier.is_genuine(signature, timestamp, body + b" ")
        assert not verifier.is_genuine(signature, f"{timestamp}1", body)

    @pytest.mark.parametrize("signature", ["", "no base64", "AAAA"])
    def test_what_is_no_signature_is_not_believed(self, signature: str) -> None:
        assert not SendGridSignature(KEY).is_genuine(signature, "1", b"[]")

    @pytest.mark.parametrize("key", ["", "no key", base64.b64encode(b"no key").decode()])
    def test_what_is_no_key_stops_with_a_sentence(self, key: str) -> None:
        with pytest.raises(DesignError, match="MAIL_EVENTS_KEY"):
            SendGridSignature(key)

    def test_the_example_that_twilio_publishes_is_believed(self) -> None:
        url = "https://mycompany.com/myapp.php?foo=1&bar=2"
        form = {
            "CallSid": "CA1234567890ABCDE",
            "Caller": "+14158675309",
            "Digits": "1234",
            "From": "+14158675309",
            "To": "+18005551212",
        }
        assert is_twilios("12345", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", url, form.items())
        assert not is_twilios("12345", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", url, {**form, "Digits": "1235"}.items())
        assert not is_twilios("12346", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", url, form.items())
        assert not is_twilios("12345", "", url, form.items())


class TestMail:
    @pytest.mark.parametrize(
        ("said", "status", "why"),
        [
            ({"event": "processed"}, "sent", None),
            ({"event": "delivered"}, "delivered", None),
            ({"event": "bounce", "type": "bounce"}, "bounced", "hard"),
            ({"event": "bounce", "type": "blocked"}, "bounced", None),
            ({"event": "dropped"}, "failed", None),
            ({"event": "spamreport"}, "complained", None),
            ({"event": "group_unsubscribe"}, "unsubscribed", None),
        ],
    )
    def test_its_words_are_ours(self, said: dict[str, Any], status: str, why: str | None) -> None:
        assert mail_events([{**MAIL, **said}]) == [StatusTold("e-1", "run/send:welcome#1/email", status, NOON, why)]

    def test_what_a_program_opened_no_person_did(self) -> None:
        opened = {**MAIL, "event": "open"}
        told = mail_events([{**opened, "sg_machine_open": True}, {**opened, "sg_machine_open": False}, opened])
        assert [(one.status, one.machine) for one in told] == [("opened", True), ("opened", False), ("opened", False)]

    @pytest.mark.parametrize(
        "other",
        [
            {**MAIL, "event": "deferred"},
            {name: value for name, value in MAIL.items() if name != "journeys_key"},
            {**MAIL, "sg_event_id": None},
            "an event",
            None,
        ],
    )
    def test_what_says_nothing_of_a_mail_of_ours_is_left_out(self, other: Any) -> None:
        assert mail_events([other, MAIL]) == mail_events([MAIL])

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
    def test_nothing_that_is_sent_breaks_it(self, value: Any) -> None:
        assert len(mail_events([{**MAIL, "timestamp": value}])) == 1


class TestSms:
    @pytest.mark.parametrize(
        ("form", "status", "why"),
        [
            ({"MessageStatus": "sent"}, "sent", None),
            ({"MessageStatus": "delivered"}, "delivered", None),
            ({"MessageStatus": "undelivered", "ErrorCode": "30005"}, "bounced", "hard"),
            ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, "bounced", None),
            ({"MessageStatus": "failed", "ErrorCode": "21610"}, "unsubscribed", None),
        ],
    )
    def test_its_words_are_ours(self, form: dict[str, str], status: str, why: str | None) -> None:
        told = sms_status("run/send:a#1/sms", {"MessageSid": "SM1", "To": "+380501234567", **form})
        assert told == StatusTold(
            f"SM1/{status}", "run/send:a#1/sms", status, None, why, channel="sms", address="+380501234567"
        )

    @pytest.mark.parametrize(
        "form", [{}, {"MessageStatus": "delivered"}, {"MessageSid": "SM1", "MessageStatus": "odd"}]
    )
    def test_what_says_nothing_is_left_out(self, form: dict[str, str]) -> None:
        assert sms_status("run/send:a#1/sms", form) is None


class TestTexts:
    @pytest.mark.parametrize(
        ("body", "opted", "stops"),
        [
            ("Stop", None, True),
            ("СТОП, будь ласка", None, True),
            ("Fin", "STOP", True),
            ("START", "START", False),
            ("START", None, False),
            ("When does the bonus end?", None, False),
            ("", None, False),
        ],
    )
    def test_stop_is_heard_by_our_words_and_by_theirs_and_start_asks_for_nothing(
        self, body: str, opted: str | None, *, stops: bool
    ) -> None:
        form = {"MessageSid": "SM1", "From": "+380501234567", "Body": body} | ({"OptOutType": opted} if opted else {})
        assert text_received(form) == TextReceived("SM1", "sms", "+380501234567", body, stops)

    @given(st.text())
    def test_whatever_is_written_can_be_kept(self, body: str) -> None:
        received = text_received({"MessageSid": "SM1", "From": "+380501234567", "Body": body})
        assert received is not None
        assert received.text.isprintable()
        assert len(received.text) <= 1_000

    @pytest.mark.parametrize("form", [{}, {"MessageSid": "SM1"}, {"From": "+1", "MessageSid": "S\x00M"}])
    def test_what_names_no_sender_is_left_out(self, form: dict[str, str]) -> None:
        assert text_received(form) is None

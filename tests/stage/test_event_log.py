"""Pasts as they are read: files of many kinds, one table of events."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from content.row_mapping import mapping_of
from stage.backtest.event_log import natural_return, play_back, read_log
from stage.errors import StageError
from tests.support.logs import NOON, deposits_of, happened, rehearse, several, table, told
from workflows import days, hours
from workflows.channels import CHANNELS
from workflows.events import DepositApproved, PlayerRegistered, ProfileUpdated, SessionLogin


class TestReading:
    def test_a_plain_log_of_deposits_needs_no_mapping(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", ("ann", NOON, "12.34"), ("bob", NOON - days(1), "5")))
        assert [(player_id, e.occurred_at, e.amount_minor, e.currency) for player_id, e in deposits_of(log)] == [
            ("bob", NOON - days(1), 500, "USD"),
            ("ann", NOON, 1234, "USD"),
        ]

    def test_csv_parquet_and_ndjson_say_the_same(self, tmp_path: Path) -> None:
        plain = table(tmp_path / "d.csv", *several("ann", 3), ("bob", NOON, "7.50"))
        pl.read_csv(plain, infer_schema=False).write_parquet(tmp_path / "d.parquet")
        pl.read_csv(plain, infer_schema=False).write_ndjson(tmp_path / "d.ndjson")
        mapping = mapping_of(
            ["subject=player_id", "time=ts_utc", "data.amount_minor=amount_usd:minor", "data.payment_id=@id"],
            ["data.currency=USD"],
            kind="payment.deposit_approved",
        )
        for name in ("d.parquet", "d.ndjson"):
            log = read_log(tmp_path / name, mapping)
            assert [(p, e.occurred_at, e.amount_minor) for p, e in deposits_of(log)] == [
                (p, e.occurred_at, e.amount_minor) for p, e in deposits_of(read_log(plain))
            ]
        assert read_log(tmp_path / "d.parquet").events.equals(read_log(plain).events)

    def test_a_mapping_says_what_other_columns_mean(self, tmp_path: Path) -> None:
        (tmp_path / "logins.csv").write_text("who;when\nann;2026-03-10T12:00:00+02:00\nbob;yesterday\n")
        mapping = mapping_of(["subject=who", "time=when"], kind="session.login")
        log = read_log(tmp_path / "logins.csv", mapping)
        assert [(p, e.type, e.occurred_at) for p, e in play_back(log.events)] == [
            ("ann", "session.login", NOON - hours(2))
        ]
        assert log.unreadable == 1
        assert "Line 3: 'yesterday' is not a time" in log.faults[0]

    def test_cloudevents_are_read_as_they_are_and_without_personal_data(self, tmp_path: Path) -> None:
        registered = happened(PlayerRegistered, NOON)
        assert isinstance(registered, PlayerRegistered)
        log = read_log(told(tmp_path / "log", ("ann", registered), ("ann", happened(SessionLogin, NOON))))
        assert [e.type for _, e in play_back(log.events)] == ["player.registered", "session.login"]
        assert registered.email is not None
        assert "anna" not in log.events["data"].str.join("").item().lower()

    def test_a_profile_update_keeps_what_a_journey_may_know_and_nothing_of_the_person(self, tmp_path: Path) -> None:
        changed = {"timezone": "Asia/Tokyo", "language": None, "email": "ann@example.com", "bio": "chess"}
        log = read_log(told(tmp_path / "log", ("ann", happened(ProfileUpdated, NOON, changed=changed))))
        ((_, update),) = play_back(log.events)
        assert isinstance(update, ProfileUpdated)
        assert update.changed == {"timezone": "Asia/Tokyo", "language": None, "email": None, "bio": None}

    def test_what_is_told_twice_counts_once(self, tmp_path: Path) -> None:
        once = ("ann", happened(SessionLogin, NOON))
        log = read_log(told(tmp_path / "log", once, once))
        assert log.events.height == 1
        assert "1 events were there twice" in log.notices[0]

    def test_a_payment_told_under_two_ids_counts_once_as_in_production(self, tmp_path: Path) -> None:
        payments = [("ann", "pay-1"), ("ann", "pay-1"), ("ann", "pay-2"), ("bob", "pay-1")]
        deposits = [
            (player_id, happened(DepositApproved, NOON, number, payment_id=payment))
            for number, (player_id, payment) in enumerate(payments)
        ]
        log = read_log(told(tmp_path / "log", *deposits))
        assert log.events["player_id"].to_list() == ["ann", "ann", "bob"]

    def test_what_cannot_be_read_is_counted_and_told(self, tmp_path: Path) -> None:
        path = told(tmp_path / "log", ("ann", happened(SessionLogin, NOON)))
        with path.open("a") as file:
            file.write('nonsense\n[1]\n{"specversion":"1.0","type":"igaming.session.login.v1"}\n{"a":1}\n')
            derived = {"type": "igaming.derived.inactive.v1", "id": "1", "source": "/t", "subject": "ann"}
            file.write(json.dumps({"specversion": "1.0", **derived, "time": NOON.isoformat(), "data": {"seconds": 1}}))
        log = read_log(path)
        assert (log.events.height, log.unreadable) == (1, 5)
        assert [fault.partition(":")[0] for fault in log.faults] == ["Line 2", "Line 3", "Line 4"]

    def test_rows_of_deposits_that_are_none_are_counted_and_told(self, tmp_path: Path) -> None:
        path = table(tmp_path / "d.csv", *several("ann", 1))
        with path.open("a") as file:
            file.write(
                "bob,when,10,1\nbob,2026-03-10,-1,1\nbob,2026-03-10,0.001,1\n,2026-03-10,5,1\nbob,2026-03-10,,1\n"
            )
        log = read_log(path)
        assert (log.events.height, log.unreadable) == (1, 5)
        assert log.faults[0].startswith("Line 3: 'bob', 'when', '10' is no deposit")

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (None, "cannot be read: No such file"),
            (b'[{"a": 1}]', "is one JSON array; write one object a line"),
            (b"who,when\nann,now\n", "Nothing says what the columns of"),
            (b"player_id,ts_utc,amount_usd\n", "holds no event that can be played"),
            (b'{"a": 1}\n', "holds no event that can be played. Line 1: The object is not a CloudEvent"),
            (b"", "it is empty"),
            (b"PAR1 and no more", "is not whole"),
        ],
    )
    def test_a_file_that_cannot_be_played_is_refused_with_a_sentence(
        self, tmp_path: Path, content: bytes | None, sentence: str
    ) -> None:
        if content is not None:
            (tmp_path / "log").write_bytes(content)
        with pytest.raises(StageError, match=sentence):
            read_log(tmp_path / "log")


class TestRegistering:
    def test_players_without_a_registration_get_one_a_second_before(self, tmp_path: Path) -> None:
        known = happened(PlayerRegistered, NOON - days(1))
        events = [("ann", known), ("ann", happened(SessionLogin, NOON)), ("bob", happened(SessionLogin, NOON, 2))]
        log = read_log(told(tmp_path / "log", *events)).registered_first()
        made = [(p, e) for p, e in play_back(log.events) if isinstance(e, PlayerRegistered)]
        assert [(p, e.occurred_at) for p, e in made] == [("ann", NOON - days(1)), ("bob", NOON - timedelta(seconds=1))]
        assert (made[1][1].language, made[1][1].timezone) == ("en", "UTC")
        assert set(made[1][1].opted_in) == set(CHANNELS)
        assert log.registered == 1
        assert "opted in on every channel, in English, on UTC time" in log.notices[-1]

    def test_it_is_the_default_for_a_log_without_registrations(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 1)))
        assert rehearse(log, "welcome").entered == {"welcome": 1}
        assert rehearse(log, "welcome", register_first=False).entered == {"welcome": 0}

    def test_it_is_not_for_a_log_that_has_some(self, tmp_path: Path) -> None:
        events = [("ann", happened(PlayerRegistered, NOON)), ("bob", happened(SessionLogin, NOON))]
        log = read_log(told(tmp_path / "log", *events))
        assert rehearse(log, "welcome").entered == {"welcome": 1}
        assert rehearse(log, "welcome", register_first=True).entered == {"welcome": 2}

    def test_without_it_the_gate_knows_nobody(self, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 1)))
        figures = rehearse(log, "second_deposit", register_first=False, control=0)
        assert figures.messages == {"second_deposit": 0}
        assert set(figures.suppressed_why["second_deposit"]) == {"unknown_player"}


class TestNaturalReturn:
    def test_who_comes_back_anyway_is_read_off_silences_seen_to_their_end(self, tmp_path: Path) -> None:
        days_of = {"ann": (0, 20, 120), "bob": (0, 45, 120), "cat": (0,), "dan": (100, 120)}
        rows = [(who, NOON + days(day), "5") for who, on in days_of.items() for day in on]
        found = natural_return(read_log(table(tmp_path / "d.csv", *rows)))
        # Ann's 20 days ended in time, Bob's 45 too late for two weeks, Cat's never; Dan's were not seen to their end.
        assert found == {7: (5, 1), 14: (5, 1), 30: (4, 1), 60: (2, 0), 90: (1, 0)}

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.row_mapping import DEPOSITS, MappingError, RowIds, RowRefused, mapping_of
from workflows.events import DepositApproved, Event

DEPOSIT = ("subject=who", "time=when", "data.payment_id=@id", "data.amount_minor=paid:minor")
ROW = {"who": "p-1", "when": "2026-03-01 10:00:00+02:00", "paid": "12.50"}


def mapped(row: dict[str, Any], *maps: str, sets: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    mapping = mapping_of(maps or DEPOSIT, sets, kind=options.pop("kind", "payment.deposit_approved"), **options)
    assert mapping is not None
    return mapping.event(row, "row-1")


class TestMapping:
    def test_columns_become_a_cloud_event(self) -> None:
        assert mapped(ROW, sets=("data.currency=GBP",)) == {
            "specversion": "1.0",
            "type": "igaming.payment.deposit_approved.v1",
            "source": "/import",
            "id": "row-1",
            "subject": "p-1",
            "time": "2026-03-01T08:00:00Z",
            "data": {"payment_id": "row-1", "amount_minor": 1250, "currency": "GBP"},
        }

    def test_a_plain_export_of_deposits_needs_no_mapping(self) -> None:
        row = {"player_id": "customer298", "ts_utc": "2019-03-01 08:03:25+00:00", "amount_usd": "10.0"}
        event = Event.from_wire(DEPOSITS.event(row, "row-1"))
        assert isinstance(event, DepositApproved)
        assert (event.amount_minor, event.currency) == (1000, "USD")
        assert event.occurred_at == datetime(2019, 3, 1, 8, 3, 25, tzinfo=UTC)

    def test_a_dotted_column_reaches_into_objects(self) -> None:
        event = mapped({"a": {"b": "p-1"}, "t": "2026-01-01T00:00:00Z"}, "subject=a.b", "time=t", kind="session.login")
        assert event["subject"] == "p-1"

    @pytest.mark.parametrize("cell", ["", "  ", "NA", "N/A", "#N/A", "NULL", "null", "None", "NaN", "\\N", "-", " - "])
    def test_an_empty_cell_says_nothing_whatever_a_program_writes_for_it(self, cell: str) -> None:
        assert "method" not in mapped(ROW | {"how": cell}, *DEPOSIT, "data.method=how")["data"]

    def test_na_is_namibia_where_countries_stand(self) -> None:
        row = {"w": "p", "t": "2026-01-01T00:00Z", "c": "NA"}
        event = mapped(row, "subject=w", "time=t", "data.country=c", kind="player.registered")
        assert event["data"] == {"country": "NA"}

    def test_what_says_nothing_may_be_named(self) -> None:
        row = ROW | {"how": "NA", "by": "?"}
        data = mapped(row, *DEPOSIT, "data.method=how", "data.provider=by", nulls=["?"])["data"]
        assert data["method"] == "NA"
        assert "provider" not in data

    @pytest.mark.parametrize("cell", [0, "0", "46082", 46082, "46082.4", "1_767_225_600", "1e9", "soon", True])
    def test_a_number_that_is_no_unix_time_of_this_century_is_refused(self, cell: object) -> None:
        with pytest.raises(RowRefused, match="is not a Unix time"):
            mapped(ROW | {"when": cell}, *DEPOSIT[:1], "time=when:unix", *DEPOSIT[2:])

    def test_an_own_type_gets_its_numbers_by_a_conversion(self) -> None:
        row = {"w": "p", "t": "2026-01-01T00:00Z", "n": "3"}
        maps = ("subject=w", "time=t", "data.level=n:integer")
        assert mapped(row, *maps, kind="igaming.acme.vip_flagged.v1")["data"] == {"level": 3}
        with pytest.raises(RowRefused, match=r"'3\.0' is not a whole number"):
            mapped(row | {"n": "3.0"}, *maps, kind="igaming.acme.vip_flagged.v1")

    @pytest.mark.parametrize(
        ("conversion", "value", "expected"),
        [
            ("unix", "1767225600", "2026-01-01T00:00:00Z"),
            ("unix", 1767225600123, "2026-01-01T00:00:00.123000Z"),
        ],
    )
    def test_a_unix_time_is_read_in_seconds_or_milliseconds(
        self, conversion: str, value: object, expected: str
    ) -> None:
        event = mapped({"w": "p", "t": value}, "subject=w", f"time=t:{conversion}", kind="session.login")
        assert event["time"] == expected

    @pytest.mark.parametrize(
        ("conversion", "value", "expected"),
        [
            ("list", "email, sms|push", ["email", "sms", "push"]),
            ("list", ["email"], ["email"]),
            ("json", '["email"]', ["email"]),
            ("json", ["email"], ["email"]),
        ],
    )
    def test_a_cell_may_hold_several_values(self, conversion: str, value: object, expected: list[str]) -> None:
        row = {"w": "p", "t": "2026-01-01T00:00Z", "c": value}
        event = mapped(row, "subject=w", "time=t", f"data.opted_in=c:{conversion}", kind="player.registered")
        assert event["data"]["opted_in"] == expected

    @pytest.mark.parametrize(
        ("currency", "text", "minor"),
        [
            ("EUR", "10", 1000),
            ("JPY", "500", 500),
            ("KWD", "1.234", 1234),
            ("RSD", "1500.50", 150050),
            ("IQD", "1.5", 1500),
        ],
    )
    def test_minor_units_are_those_of_the_row_s_currency(self, currency: str, text: str, minor: int) -> None:
        event = mapped(ROW | {"paid": text, "cur": currency.lower()}, *DEPOSIT, "data.currency=cur")
        assert event["data"]["amount_minor"] == minor

    @given(st.integers(0, 10**15))
    def test_no_cent_is_lost_on_the_way(self, cents: int) -> None:
        event = mapped(ROW | {"paid": f"{cents // 100}.{cents % 100:02}"}, sets=("data.currency=EUR",))
        assert event["data"]["amount_minor"] == cents

    def test_a_time_without_an_offset_is_in_the_named_zone(self) -> None:
        row = ROW | {"when": "2026-07-01 12:00"}
        assert mapped(row)["time"] == "2026-07-01T12:00:00Z"
        assert mapped(row, zone="Europe/Kyiv")["time"] == "2026-07-01T09:00:00Z"

    def test_a_type_may_come_from_a_column(self) -> None:
        row = ROW | {"kind": "session.login"}
        assert mapped(row, "subject=who", "time=when", "type=kind", kind=None)["type"] == "igaming.session.login.v1"

    def test_a_designer_s_own_type_passes_in_full(self) -> None:
        event = mapped(ROW, "subject=who", "time=when", kind="igaming.acme.vip_flagged.v1")
        assert event["type"] == "igaming.acme.vip_flagged.v1"

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"paid": "12,50"}, "'12,50' is not an amount"),
            ({"paid": "12.5051"}, "not a whole number of EUR's smallest unit"),
            ({"paid": "12.505"}, "is one or a thousand"),
            ({"paid": "Infinity"}, "is not"),
            ({"paid": float("nan")}, "is not"),
            ({"when": "01/03/2026"}, "'01/03/2026' is not a time"),
            ({"when": "0001-01-01T00:00:00+14:00"}, "is not a time"),
            ({"when": "9999-12-31T23:59:59-14:00"}, "is not a time"),
            ({"when": ""}, "The row has no time; its column 'when' is empty."),
            ({"when": "NULL"}, "The row has no time; its column 'when' is empty."),
            ({"when": "46082"}, "'46082' is a spreadsheet's number of a day; format the column"),
            ({"when": "46082.4166"}, "is a spreadsheet's number of a day"),
            ({"who": None}, "The row has no subject; its column 'who' is empty."),
        ],
    )
    def test_a_bad_row_is_refused_with_a_sentence(self, change: dict[str, Any], sentence: str) -> None:
        with pytest.raises(RowRefused, match=sentence.replace(".", r"\.")):
            mapped(ROW | change)


class TestMappingOptions:
    def test_no_options_are_no_mapping(self) -> None:
        assert mapping_of() is None

    @pytest.mark.parametrize(
        ("maps", "kind", "sentence"),
        [
            (("subject",), None, "--map 'subject' does not read PART=VALUE"),
            (("amount=a",), None, "'amount' is not a part of an event; use subject, time"),
            (("data.=a",), None, "not a part of an event"),
            ((), "payment.deposit_approved", "No column is mapped"),
            (("subject=a",), "payment.deposit_aproved", "did you mean payment.deposit_approved"),
        ],
    )
    def test_a_wrong_option_is_explained(self, maps: tuple[str, ...], kind: str | None, sentence: str) -> None:
        with pytest.raises(MappingError, match=sentence):
            mapping_of(maps, kind=kind)

    @pytest.mark.parametrize("zone", ["Mars/Base", "Europe", "../UTC", "a/" * 400])
    def test_an_unknown_zone_is_explained(self, zone: str) -> None:
        with pytest.raises(MappingError, match="is not a time zone; use an IANA name such as Europe/Kyiv"):
            mapping_of(("subject=a",), zone=zone)

    @pytest.mark.parametrize(
        ("maps", "sentence"),
        [
            (("subject=whom", *DEPOSIT[1:]), "The file has no column 'whom'; it has who, when, paid."),
            ((*DEPOSIT[:3], "data.amount_minor=paid:cents"), "'cents' is not a conversion; there are minor, unix"),
            ((*DEPOSIT, "data.amount=paid"), "payment.deposit_approved has no field 'amount'; it has payment_id"),
            (DEPOSIT[:2] + DEPOSIT[3:], "needs data.payment_id; add --map data.payment_id=COLUMN or"),
            (DEPOSIT[1:], "Nothing says what the subject of an event is; add --map subject=COLUMN."),
            ((*DEPOSIT, "data.payment_id.x=who"), "data.payment_id and data.payment_id.x cannot both be given"),
        ],
    )
    def test_a_mapping_that_cannot_work_fails_before_anything_is_sent(
        self, maps: tuple[str, ...], sentence: str
    ) -> None:
        mapping = mapping_of(maps, kind="payment.deposit_approved")
        assert mapping is not None
        with pytest.raises(MappingError, match=sentence.replace(".", r"\.")):
            mapping.check(["who", "when", "paid"])

    def test_a_mapped_name_that_stands_twice_in_the_header_is_refused(self) -> None:
        mapping = mapping_of(DEPOSIT, kind="payment.deposit_approved")
        assert mapping is not None
        with pytest.raises(MappingError, match=r"the column 'paid' more than once \(columns 3 and 5\); rename all but"):
            mapping.check(["who", "when", "paid", "currency", " paid "])
        mapping.check(["who", "when", "paid", "currency", "currency"])

    def test_names_in_a_header_may_have_spaces_around_them(self) -> None:
        mapping = mapping_of(DEPOSIT, kind="payment.deposit_approved")
        assert mapping is not None
        header = ["\ufeffwho", " when", "\u00a0paid "]
        event = mapping.fitted(header).event(dict(zip(header, ROW.values(), strict=True)), "row-1")
        assert event["data"]["amount_minor"] == 1250

    def test_a_file_holds_the_same_and_options_win(self, tmp_path: Path) -> None:
        file = tmp_path / "deposits.toml"
        file.write_text(
            'type = "payment.deposit_approved"\nsource = "/cashier"\n'
            '[map]\nsubject = "who"\ntime = "when"\n"data.payment_id" = "@id"\ndata.amount_minor = "paid:minor"\n'
            '[set]\ndata.currency = "EUR"\n'
        )
        from_file = mapping_of(sets=("data.currency=GBP",), file=file)
        options = mapping_of(DEPOSIT, ("data.currency=GBP",), kind="payment.deposit_approved", source="/cashier")
        assert from_file is not None
        assert options is not None
        assert from_file.event(ROW, "row-1") == options.event(ROW, "row-1")

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("map = [", "is not TOML"),
            ("columns = 1", "not 'columns'"),
            ('[map]\namount = "a"', "not a part of an event"),
            ("map = 1", r"holds map as a value; write it as a table, \[map\]"),
            ("map = " + "[" * 2_000 + "]" * 2_000, "is not TOML: it is nested more than 32 deep"),
            ("map." + ".".join("a" * 200) + " = 1", "is not TOML: it is nested more than 32 deep"),
        ],
    )
    def test_a_wrong_file_is_explained(self, tmp_path: Path, content: str, sentence: str) -> None:
        file = tmp_path / "wrong.toml"
        file.write_text(content)
        with pytest.raises(MappingError, match=sentence):
            mapping_of(file=file)

    def test_a_missing_file_is_explained(self, tmp_path: Path) -> None:
        with pytest.raises(MappingError, match="cannot be read: No such file"):
            mapping_of(file=tmp_path / "absent.toml")


rows = st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "x"])), max_size=30)


class TestRowIds:
    @given(rows)
    def test_every_row_has_its_own_and_the_same_one_again(self, table: list[dict[str, str]]) -> None:
        first, again = RowIds(), RowIds()
        ids = [first.of(row, "t") for row in table]
        assert ids == [again.of(row, "t") for row in table]
        assert len(set(ids)) == len(table)

    @given(rows, rows)
    def test_a_longer_export_keeps_those_of_the_shorter(
        self, table: list[dict[str, str]], more: list[dict[str, str]]
    ) -> None:
        short, long = RowIds(), RowIds()
        ids = {short.of(row, "t") for row in table}
        assert ids <= {long.of(row, "t") for row in [*table, *more]}

    def test_the_order_of_columns_does_not_matter_but_the_type_does(self) -> None:
        assert RowIds().of({"a": "1", "b": "2"}, "t") == RowIds().of({"b": "2", "a": "1"}, "t")
        assert RowIds().of({"a": "1"}, "t") != RowIds().of({"a": "1"}, "u")

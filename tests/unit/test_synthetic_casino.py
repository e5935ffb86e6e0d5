import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.demo.player_profiles import person
from local.demo.synthetic_casino import SOURCE, Casino, CloudEvent, casino
from tests.support.examples import examples
from workflows.events import Event

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)

small_casinos = st.builds(
    casino,
    st.integers(0, 2**63),
    st.integers(0, 10**9).map(lambda second: NOW + timedelta(seconds=second)),
    players=st.integers(12, 30),
    newcomers=st.integers(10, 20),
)


def kinds(events: list[CloudEvent]) -> Counter[str]:
    return Counter(event["type"].removeprefix("igaming.").removesuffix(".v1") for event in events)


def when(event: CloudEvent) -> datetime:
    return datetime.fromisoformat(event["time"])


@pytest.fixture(scope="module")
def usual() -> Casino:
    return casino(1, NOW)


class TestCasino:
    def test_the_same_seed_gives_the_same_bytes_in_another_process(self) -> None:
        program = (
            "import sys, orjson; from datetime import UTC, datetime; from local.demo.synthetic_casino import casino\n"
            "made = casino(5, datetime(2026, 5, 4, 12, tzinfo=UTC), players=20, newcomers=10)\n"
            "sys.stdout.buffer.write(orjson.dumps([made.history, made.live]))"
        )
        outputs = {
            subprocess.run(
                [sys.executable, "-c", program], check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": s}
            ).stdout
            for s in ("1", "2")
        }
        made = casino(5, NOW, players=20, newcomers=10)
        assert outputs == {orjson.dumps([made.history, made.live])}

    def test_another_seed_gives_other_lives(self) -> None:
        assert casino(1, NOW, players=12, newcomers=10) != casino(2, NOW, players=12, newcomers=10)

    def test_too_small_a_casino_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 12 players"):
            casino(1, NOW, players=11)

    @given(small_casinos)
    @settings(max_examples=examples(10, quick=4))
    def test_every_event_is_valid_marked_synthetic_and_has_its_own_identity(self, made: Casino) -> None:
        every = [*made.history, *made.live]
        for event in every:
            assert event["source"] == SOURCE
            assert event["subject"].startswith("syn-")
            assert Event.from_wire(event).to_wire()["data"] == event["data"]
        assert len({event["id"] for event in every}) == len(every)

    @given(st.integers(0, 2**63))
    @settings(max_examples=examples(10, quick=4))
    def test_history_is_past_live_is_to_come_and_both_are_in_order(self, seed: int) -> None:
        made = casino(seed, NOW, players=12, newcomers=10)
        past, live = [when(e) for e in made.history], [when(e) for e in made.live]
        assert past == sorted(past)
        assert live == sorted(live)
        assert max(past) < NOW <= min(live)
        assert NOW - timedelta(days=180) <= min(past)
        assert max(live) <= NOW + timedelta(minutes=1)

    @given(small_casinos)
    @settings(max_examples=examples(10, quick=4))
    def test_everyone_registers_once_and_before_anything_else(self, made: Casino) -> None:
        seen: set[str] = set()
        for event in [*made.history, *made.live]:
            assert (event["type"] == "igaming.player.registered.v1") == (event["subject"] not in seen)
            seen.add(event["subject"])

    @given(small_casinos)
    @settings(max_examples=examples(10, quick=4))
    def test_the_live_part_holds_what_each_journey_needs(self, made: Casino) -> None:
        deposits = Counter(e["subject"] for e in made.history if "deposit_approved" in e["type"])
        reach_gold = {
            e["subject"] for e in made.live if "deposit_approved" in e["type"] and deposits[e["subject"]] == 49
        }
        assert len(reach_gold) >= 2
        promoted = [e for e in made.live if "tier_changed" in e["type"] and e["data"]["to"] == "platinum"]
        assert len(promoted) >= 2
        assert max(e["data"].get("consecutive_failures", 0) for e in made.live) == 3
        assert kinds(made.live)["compliance.exclusion_set"] == 1
        assert "compliance.exclusion_set" not in kinds(made.history)
        quiet = [when(made.live[0]) - last_login(made, player) for player in deposits]
        assert sum(timedelta(days=14) < silence < timedelta(days=15) for silence in quiet) >= 2

    def test_its_shape_follows_the_real_log(self) -> None:
        made = casino(3, NOW, players=1_500, newcomers=10)
        deposits = Counter(e["subject"] for e in made.history if "deposit_approved" in e["type"])
        reached = {n: sum(count >= n for count in deposits.values()) / len(deposits) for n in (2, 10, 50, 100)}
        assert reached[2] == pytest.approx(0.63, abs=0.05)
        assert reached[10] == pytest.approx(0.32, abs=0.05)
        assert reached[50] == pytest.approx(0.13, abs=0.04)
        assert reached[100] == pytest.approx(0.075, abs=0.03)
        # The top tenth of players bring most of the deposits, as everywhere.
        by_count = sorted(deposits.values(), reverse=True)
        assert sum(by_count[: len(by_count) // 10]) > sum(by_count) / 2

    def test_it_speaks_three_languages_and_asks_for_consent(self, usual: Casino) -> None:
        forms = [e["data"] for e in usual.history if "registered" in e["type"]]
        assert {form["language"] for form in forms} == {"en", "ru", "uk"}
        assert 0 < sum("email" in form["opted_in"] for form in forms) < len(forms)
        assert all(form["email"].endswith("@synthetic.example") for form in forms)


class TestPerson:
    def test_an_id_is_always_the_same_person(self) -> None:
        assert person("syn-00012") == person("syn-00012")
        assert person("syn-00012").email == "player-00012@synthetic.example"
        assert person("customer298").email == "customer298@synthetic.example"

    @given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:@=+-]{0,63}", fullmatch=True))
    def test_every_phone_number_has_a_country_code_nobody_has(self, player_id: str) -> None:
        assert person(player_id).phone.startswith("+999")
        assert len(person(player_id).phone) == 12


def last_login(made: Casino, player: str) -> datetime:
    return max(when(e) for e in made.history if e["subject"] == player and "login" in e["type"])

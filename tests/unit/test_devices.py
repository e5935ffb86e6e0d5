"""Which devices a player's push messages go to: the newest word on each token, in whatever order words come."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.gate_facts import addresses
from activities.ways_out import WaysOut
from tests.support.examples import examples
from workflows.events import DeviceRegistered, DeviceRemoved, Event, SessionLogin
from workflows.player_state.devices import MOST_DEVICES, device_words, devices_of, is_apple_token
from workflows.player_state.ordering import Word

DEVICES = WaysOut(by_device=True)
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


def told(*words: tuple[type[Event], str, int]) -> list[str]:
    """The tokens that are left of words on tokens, each so many minutes after noon."""
    times: dict[str, int] = {}
    profile: dict[str, object] = {}
    for kind, token, minute in words:
        event = kind.example().model_copy(update={"token": token})
        profile |= device_words(times, event, Word(NOON + timedelta(minutes=minute), live=True))
    assert len(times) <= MOST_DEVICES
    return devices_of(profile)


def test_every_device_of_a_player_is_known_until_it_is_gone() -> None:
    registered = [(DeviceRegistered, "phone", 0), (DeviceRegistered, "tablet", 1)]
    assert sorted(told(*registered)) == ["phone", "tablet"]
    assert told(*registered, (DeviceRemoved, "phone", 2)) == ["tablet"]
    assert sorted(told(*registered, (DeviceRemoved, "phone", 2), (DeviceRegistered, "phone", 3))) == ["phone", "tablet"]


def test_a_token_that_was_registered_again_outlives_its_death_of_before() -> None:
    assert told((DeviceRegistered, "phone", 5), (DeviceRemoved, "phone", 4)) == ["phone"]


@settings(max_examples=examples(50))
@given(
    st.lists(
        st.tuples(st.sampled_from([DeviceRegistered, DeviceRemoved]), st.sampled_from("abc"), st.integers(0, 5)),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_words_come_does_not_matter(
    words: list[tuple[type[Event], str, int]], chance: object
) -> None:
    shuffled = [*words]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert told(*words) == told(*shuffled)


def test_of_more_devices_than_are_remembered_the_newest_stay() -> None:
    many = [(DeviceRegistered, f"device-{number:02}", number) for number in range(MOST_DEVICES + 5)]
    assert sorted(told(*many)) == [token for _, token, _ in many[5:]]


def test_what_is_about_no_device_says_nothing_of_one() -> None:
    assert device_words({}, SessionLogin.example(), Word(NOON, live=True)) == {}
    erased = DeviceRegistered.example().model_copy(update={"token": None})
    assert device_words({}, erased, Word(NOON, live=True)) == {}


def test_a_gateway_finds_the_devices_itself_and_a_push_service_is_given_their_tokens() -> None:
    profile = {"email": "anna@example.com", "push/1": "phone", "push/2": "tablet", "push/3": None}
    assert addresses("p-1", profile)["push"] == "p-1"
    assert addresses("p-1", profile, ways=DEVICES)["push"] == "phone\ntablet"
    assert "push" not in addresses("p-1", {"push/3": None}, ways=DEVICES)


def test_over_apples_service_alone_a_player_is_reached_on_its_devices_and_no_others() -> None:
    apple = WaysOut(by_device=True, apple_alone=True)
    profile = {"push/1": "a1" * 32, "push/2": "fMEp8rT3R0a:APA91bH-example"}
    assert addresses("p-1", profile, ways=apple)["push"] == "a1" * 32
    assert addresses("p-1", profile, ways=DEVICES)["push"].count("\n") == 1
    assert "push" not in addresses("p-1", {"push/2": profile["push/2"]}, ways=apple)


@settings(max_examples=examples(50))
@given(st.binary(min_size=32, max_size=100), st.booleans())
def test_apples_tokens_are_known_by_their_form(content: bytes, upper: bool) -> None:  # noqa: FBT001 - given
    token = content.hex().upper() if upper else content.hex()
    assert is_apple_token(token)
    assert not any(is_apple_token(other) for other in (token[1:], f"{token}:", f"{token}\n", f"x{token}x", token[:40]))

"""Addresses as ad networks hash them: the same person gives the same hash, however the address was typed."""

from hashlib import sha256

import pytest

from content.ad_identifiers import Network, identifiers


def hashed(value: str) -> str:
    return sha256(value.encode()).hexdigest()


@pytest.mark.parametrize("network", ["google", "meta"])
@pytest.mark.parametrize("typed", ["anna@example.com", " Anna@Example.COM ", "ANNA@EXAMPLE.COM"])
def test_a_mail_address_is_hashed_in_small_letters_without_blanks(network: Network, typed: str) -> None:
    assert identifiers({"email": typed}, network) == (hashed("anna@example.com"), "")


@pytest.mark.parametrize("typed", ["+380501234567", "00380501234567", "+380 (50) 123-45-67"])
def test_a_number_is_hashed_with_its_country_and_with_the_plus_for_google_alone(typed: str) -> None:
    assert identifiers({"phone": typed}, "google") == ("", hashed("+380501234567"))
    assert identifiers({"phone": typed}, "meta") == ("", hashed("380501234567"))


@pytest.mark.parametrize("profile", [{}, {"email": "anna", "phone": "0501234567"}, {"phone": "+12"}, {"email": None}])
def test_what_no_network_could_match_is_left_out(profile: dict[str, object]) -> None:
    assert identifiers(profile, "google") == ("", "")

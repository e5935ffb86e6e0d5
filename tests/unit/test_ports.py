"""Ports for local servers."""

import pytest

from local.ports import free_port, port_range


def test_who_asks_for_many_ports_gets_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_PORTS", "31000-31200")
    given = [free_port() for _ in range(100)]
    assert len({*given}) == 100
    assert {*given} <= {*port_range()}


def test_when_all_were_given_out_they_are_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_PORTS", "30990-30999")
    assert len({free_port() for _ in range(40)}) > 1

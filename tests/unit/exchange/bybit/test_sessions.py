"""pybit's objects are lent to one thread at a time, the warmest first."""

from __future__ import annotations

import pytest

from eternal_engine.exchange.bybit import sessions
from eternal_engine.exchange.bybit.sessions import Access, Sessions

ACCESS = Access("http://127.0.0.1:1", "key", "the-secret", 1.0, 1.0, 5_000)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(sessions.clock, "monotonic", lambda: now[0])
    return now


def test_the_one_used_last_is_lent_first_and_no_two_threads_have_the_same(at: list[float]) -> None:
    lending = Sessions(ACCESS)
    first, second = lending.take(), lending.take()
    assert first is not second
    lending.give_back(first)
    lending.give_back(second)
    assert lending.take() is second
    assert lending.take() is first
    assert at


def test_cold_ones_are_the_unused_and_those_that_are_not_made_yet(at: list[float]) -> None:
    lending = Sessions(ACCESS)
    old, new = lending.take(), lending.take()
    lending.give_back(old)
    at[0] += 50.0
    lending.give_back(new)
    found = lending.cold(4, older_than_s=30.0)
    assert found[0] is old
    assert len(found) == 3
    assert new not in found
    for one in found:
        lending.give_back(one)
    assert lending.cold(4, older_than_s=30.0) == []


def test_the_secret_never_shows() -> None:
    assert "the-secret" not in repr(ACCESS)

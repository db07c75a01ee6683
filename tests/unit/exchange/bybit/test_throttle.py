"""The throttle on a clock that only its own sleeps move."""

from __future__ import annotations

import asyncio

import pytest

from eternal_engine.exchange.bybit.throttle import (
    BAN_S,
    GUARD_S,
    IP_WINDOW_S,
    MAX_RESET_S,
    WINDOW_S,
    AddressThrottle,
    EndpointClass,
    Throttle,
)
from eternal_engine.model.errors import HaltTrading

KIND = EndpointClass.PERP_ORDER
SERVER_MS = 1_735_689_600_000


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(AddressThrottle(now=clock.now), now=clock.now, sleep=clock.sleep)


async def times(throttle: Throttle, clock: Clock, count: int, kind: EndpointClass = KIND) -> list[float]:
    at = []
    for _ in range(count):
        await throttle.turn(kind)
        at.append(clock.at)
    return at


async def test_no_rolling_second_holds_more_than_the_limit(throttle: Throttle, clock: Clock) -> None:
    at = await times(throttle, clock, 57)
    assert all(later - earlier > WINDOW_S for earlier, later in zip(at, at[KIND.per_s :], strict=False))
    assert at[9] == 100.0


async def test_two_classes_do_not_share_a_second(throttle: Throttle, clock: Clock) -> None:
    await times(throttle, clock, 10)
    await throttle.turn(EndpointClass.WALLET)
    assert clock.at == 100.0


async def test_the_header_limit_replaces_the_documented_one(throttle: Throttle, clock: Clock) -> None:
    throttle.learn(KIND, {"X-Bapi-Limit": "3", "X-Bapi-Limit-Status": "2"}, SERVER_MS)
    assert throttle.limit_of(KIND) == 3
    at = await times(throttle, clock, 4)
    assert at[3] == pytest.approx(100.0 + WINDOW_S + GUARD_S)


@pytest.mark.parametrize("header", ["", "x", "-1", "0", "9" * 30])
async def test_a_senseless_limit_header_changes_nothing(header: str, throttle: Throttle) -> None:
    throttle.learn(KIND, {"X-Bapi-Limit": header}, SERVER_MS)
    assert throttle.limit_of(KIND) == 10


async def test_nothing_left_waits_until_the_reset(throttle: Throttle, clock: Clock) -> None:
    headers = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": str(SERVER_MS + 700)}
    throttle.learn(KIND, headers, SERVER_MS)
    await throttle.turn(KIND)
    assert clock.at == pytest.approx(100.7)


@pytest.mark.parametrize("reset_ms", [None, SERVER_MS - 5_000, SERVER_MS])
async def test_fact8_a_refusal_without_a_future_reset_waits_one_second(
    reset_ms: int | None, throttle: Throttle, clock: Clock
) -> None:
    throttle.refused(KIND, reset_ms, SERVER_MS)
    await throttle.turn(KIND)
    assert clock.at == pytest.approx(100.0 + WINDOW_S + GUARD_S)


async def test_d6_a_refusal_waits_until_its_reset(throttle: Throttle, clock: Clock) -> None:
    throttle.refused(KIND, SERVER_MS + 2_500, SERVER_MS)
    await throttle.turn(KIND)
    assert clock.at == pytest.approx(102.5)


async def test_a_reset_in_the_far_future_is_a_broken_clock_not_a_wait(throttle: Throttle, clock: Clock) -> None:
    throttle.refused(KIND, SERVER_MS + 10**9, SERVER_MS)
    await throttle.turn(KIND)
    assert clock.at == pytest.approx(100.0 + MAX_RESET_S)


async def test_all_accounts_share_the_limit_of_the_address(clock: Clock) -> None:
    address = AddressThrottle(limit=20, now=clock.now)
    accounts = [Throttle(address, now=clock.now, sleep=clock.sleep) for _ in range(4)]
    at = []
    for turn in range(60):
        await accounts[turn % 4].turn(EndpointClass.MARKET)
        at.append(clock.at)
    assert all(later - earlier >= IP_WINDOW_S for earlier, later in zip(at, at[20:], strict=False))


async def test_a_banned_address_sends_nothing_for_ten_minutes(throttle: Throttle, clock: Clock) -> None:
    throttle.address.ban()
    with pytest.raises(HaltTrading, match="banned"):
        await throttle.turn(KIND)
    clock.at += BAN_S
    await throttle.turn(KIND)

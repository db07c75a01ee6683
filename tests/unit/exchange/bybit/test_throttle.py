"""The throttle on a clock that only its own sleeps move."""

from __future__ import annotations

import asyncio

import pytest

from eternal_engine.exchange.bybit import endpoints
from eternal_engine.exchange.bybit.throttle import (
    BAN_S,
    GUARD_S,
    IP_WINDOW_S,
    MAX_RESET_S,
    WINDOW_S,
    AddressBanned,
    AddressThrottle,
    EndpointClass,
    Throttle,
)

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


async def once(throttle: Throttle, kind: EndpointClass) -> None:
    async with throttle.turn(kind):
        pass


async def times(throttle: Throttle, clock: Clock, count: int, kind: EndpointClass = KIND) -> list[float]:
    at = []
    for _ in range(count):
        async with throttle.turn(kind):
            at.append(clock.at)
    return at


async def test_no_rolling_second_holds_more_than_the_limit(throttle: Throttle, clock: Clock) -> None:
    at = await times(throttle, clock, 57)
    assert all(later - earlier > WINDOW_S for earlier, later in zip(at, at[KIND.per_s :], strict=False))
    assert at[9] == 100.0


async def test_two_classes_do_not_share_a_second(throttle: Throttle, clock: Clock) -> None:
    await times(throttle, clock, 10)
    await once(throttle, EndpointClass.WALLET)
    assert clock.at == 100.0


async def test_looking_transfers_up_costs_no_turn_of_making_them(throttle: Throttle, clock: Clock) -> None:
    for endpoint in (endpoints.TRANSFER, endpoints.TRANSFER_LIST):
        await times(throttle, clock, 5, endpoint.lane)
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
    await once(throttle, KIND)
    assert clock.at == pytest.approx(100.7)


@pytest.mark.parametrize("reset_ms", [None, SERVER_MS - 5_000, SERVER_MS])
async def test_fact8_a_refusal_without_a_future_reset_waits_one_second(
    reset_ms: int | None, throttle: Throttle, clock: Clock
) -> None:
    throttle.refused(KIND, reset_ms, SERVER_MS)
    await once(throttle, KIND)
    assert clock.at == pytest.approx(100.0 + WINDOW_S + GUARD_S)


async def test_d6_a_refusal_waits_until_its_reset(throttle: Throttle, clock: Clock) -> None:
    throttle.refused(KIND, SERVER_MS + 2_500, SERVER_MS)
    await once(throttle, KIND)
    assert clock.at == pytest.approx(102.5)


async def test_a_reset_in_the_far_future_is_a_broken_clock_not_a_wait(throttle: Throttle, clock: Clock) -> None:
    throttle.refused(KIND, SERVER_MS + 10**9, SERVER_MS)
    await once(throttle, KIND)
    assert clock.at == pytest.approx(100.0 + MAX_RESET_S)


async def test_all_accounts_share_the_limit_of_the_address(clock: Clock) -> None:
    address = AddressThrottle(limit=20, now=clock.now)
    accounts = [Throttle(address, now=clock.now, sleep=clock.sleep) for _ in range(4)]
    at = []
    for turn in range(60):
        async with accounts[turn % 4].turn(EndpointClass.MARKET):
            at.append(clock.at)
    assert all(later - earlier >= IP_WINDOW_S for earlier, later in zip(at, at[20:], strict=False))


async def test_a_banned_address_sends_nothing_for_ten_minutes(throttle: Throttle, clock: Clock) -> None:
    throttle.address.ban()
    with pytest.raises(AddressBanned, match="banned"):
        await once(throttle, KIND)
    clock.at += BAN_S
    await once(throttle, KIND)


async def test_a_ban_that_outlives_its_ten_minutes_is_called_what_it_is_and_tried_again(
    throttle: Throttle, clock: Clock
) -> None:
    for _ in range(3):
        throttle.address.ban()  # answers of one burst are one refusal
    with pytest.raises(AddressBanned, match="banned this address for another 600 s") as first:
        await once(throttle, KIND)
    clock.at += BAN_S
    throttle.address.ban()
    with pytest.raises(AddressBanned, match="2 times in a row") as second:
        await once(throttle, KIND)
    assert first.value.mend != second.value.mend
    clock.at += BAN_S
    throttle.address.heard()
    throttle.address.ban()
    with pytest.raises(AddressBanned, match="banned this address"):
        await once(throttle, KIND)


async def test_a_request_counts_until_a_second_after_its_answer(throttle: Throttle, clock: Clock) -> None:
    async with throttle.turn(KIND):
        clock.at += 5.0  # a slow answer: nobody knows when the request arrived
    at = await times(throttle, clock, 10)
    assert at[:9] == [105.0] * 9
    assert at[9] == pytest.approx(105.0 + WINDOW_S + GUARD_S)


async def test_more_requests_than_the_limit_are_never_under_way_at_once(throttle: Throttle, clock: Clock) -> None:
    under_way = most = 0
    answers = asyncio.Event()

    async def request() -> None:
        nonlocal under_way, most
        async with throttle.turn(KIND):
            under_way += 1
            most = max(most, under_way)
            await answers.wait()
            under_way -= 1

    tasks = [asyncio.ensure_future(request()) for _ in range(25)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert most == under_way == KIND.per_s
    answers.set()
    await asyncio.gather(*tasks)
    assert most <= KIND.per_s
    assert clock.at >= 100.0 + 2 * WINDOW_S


async def test_a_cancelled_request_gives_its_place_back(throttle: Throttle, clock: Clock) -> None:
    async def request() -> None:
        async with throttle.turn(KIND):
            await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(request()) for _ in range(KIND.per_s + 1)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await times(throttle, clock, 1))[0] == pytest.approx(100.0 + WINDOW_S + GUARD_S)

"""Faults on the wire: whatever gets lost, one intent ends as exactly one order (D3, ORD-2)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from contract_arena import NotInClient, perp, spot
from eternal_engine import clock
from eternal_engine.exchange.bybit.client import PybitDemoClient
from eternal_engine.exchange.bybit.transport import TransportSettings
from eternal_engine.exchange.lookup import resolve
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.model.errors import (
    BadReply,
    ExchangeError,
    RateLimited,
    Retry,
    UnknownOutcome,
)

CREATE = "/v5/order/create"
DONE_BUT_LOST = [
    {"kind": "lose_reply"},
    {"kind": "code_after", "code": 10016},
    {"kind": "code_after", "code": 10000},
    {"kind": "code_after", "code": 987654},
    {"kind": "html", "status": 502},
    {"kind": "html", "status": 200},
    {"kind": "truncate"},
    {"kind": "missing_field", "field": "orderId"},
    {"kind": "duplicate"},
]
NEVER_DONE = [
    ({"kind": "lose_request"}, UnknownOutcome),
    ({"kind": "http", "status": 500}, UnknownOutcome),
    ({"kind": "http", "status": 429}, UnknownOutcome),
    ({"kind": "code", "code": 10016}, UnknownOutcome),
    ({"kind": "code", "code": 429}, UnknownOutcome),
    ({"kind": "code", "code": 10002}, Retry),
    ({"kind": "code", "code": 110079}, Retry),
    ({"kind": "rate_limit_past"}, RateLimited),
    ({"kind": "rate_limit_future", "delay_ms": 300}, RateLimited),
    ({"kind": "rate_limit_bare"}, RateLimited),
]


def ours(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("what to do about faults is our own client's")


def only_pybit(desk: Any) -> None:
    if desk.kind != "pybit":
        raise NotInClient("there is no address to ban")


def name(fault: Any) -> str:
    return " ".join(str(part) for part in fault.values()) if isinstance(fault, dict) else fault.__name__


def orders(desk: Any) -> int:
    return len(desk.arena.world.venue.state.orders)


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("fault", DONE_BUT_LOST, ids=name)
async def test_d3_an_executed_order_whose_answer_is_lost_is_found_and_never_doubled(
    desk: Any, fault: dict[str, Any], market: Market
) -> None:
    ours(desk)
    desk.arena.world.faults.add([{**fault, "path": CREATE}])
    request = spot("co-1", Side.BUY, "1000") if market is Market.SPOT else perp("co-1", Side.BUY, "0.1")
    if fault["kind"] == "duplicate":
        await desk.exchange.place(request)
    else:
        with pytest.raises(UnknownOutcome):
            await desk.exchange.place(request)
    lookup = await desk.exchange.find_order(market, "co-1")
    assert lookup.report is not None
    assert len(lookup.executions) == 1
    assert orders(desk) == 1


@pytest.mark.parametrize(("fault", "kind"), NEVER_DONE, ids=name)
async def test_d3_an_order_that_never_arrived_is_found_nowhere_and_sent_again_with_its_id(
    desk: Any, fault: dict[str, Any], kind: type[ExchangeError]
) -> None:
    ours(desk)
    desk.arena.world.faults.add([{**fault, "path": CREATE}])
    request = perp("tr-1", Side.BUY, "0.1")
    with pytest.raises(ExchangeError) as caught:
        await desk.exchange.place(request)
    assert type(caught.value) is kind
    assert not (await desk.exchange.find_order(Market.PERP, "tr-1")).found
    await desk.exchange.place(request)
    assert (await desk.exchange.find_order(Market.PERP, "tr-1")).found
    assert orders(desk) == 1


async def test_d3_an_order_that_arrives_after_its_time_out_is_found(desk: Any) -> None:
    only_pybit(desk)
    hasty = PybitDemoClient(
        "alpha",
        desk.arena.credentials(),
        endpoint=desk.arena.url,
        settings=TransportSettings(read_timeout_s=0.3, deadline_s=2.0),
    )
    desk.arena.world.faults.add([{"kind": "delay", "path": CREATE, "delay_ms": 900}])
    with pytest.raises(UnknownOutcome):
        await hasty.place(perp("tr-1", Side.BUY, "0.1"))
    assert not (await desk.exchange.find_order(Market.PERP, "tr-1")).found
    found = await resolve(desk.exchange, Market.PERP, "tr-1", sent_at=clock.now())
    assert found.lookup.found
    assert not found.may_resend
    assert orders(desk) == 1
    await hasty.close()


async def test_an_order_that_arrives_after_its_window_is_refused(desk: Any) -> None:
    only_pybit(desk)
    hasty = PybitDemoClient(
        "alpha",
        desk.arena.credentials(),
        endpoint=desk.arena.url,
        settings=TransportSettings(read_timeout_s=0.3, deadline_s=2.0, recv_window_ms=500),
    )
    desk.arena.world.faults.add([{"kind": "delay", "path": CREATE, "delay_ms": 900}])
    with pytest.raises(UnknownOutcome):
        await hasty.place(perp("tr-1", Side.BUY, "0.1"))
    await asyncio.sleep(1.2)
    assert not (await desk.exchange.find_order(Market.PERP, "tr-1")).found
    assert orders(desk) == 0
    await hasty.close()


async def test_ord_2_a_ban_of_the_address_rejects_no_order_and_silences_every_call(desk: Any) -> None:
    only_pybit(desk)
    desk.arena.world.faults.add([{"kind": "http", "status": 403, "path": CREATE}])
    with pytest.raises(UnknownOutcome):
        await desk.exchange.place(perp("tr-1", Side.BUY, "0.1"))
    with pytest.raises(RateLimited, match="banned"):
        await desk.exchange.wallet()


READS: dict[str, Any] = {
    "/v5/position/list": lambda exchange: exchange.positions("BTCUSDT"),
    "/v5/account/wallet-balance": lambda exchange: exchange.wallet(),
    "/v5/market/tickers": lambda exchange: exchange.tickers(Market.PERP, {"BTCUSDT"}),
}


@pytest.mark.parametrize(("path", "field"), list(zip(READS, ("size", "walletBalance", "lastPrice"), strict=True)))
async def test_a_missing_field_is_named_and_no_number_is_made_up(desk: Any, path: str, field: str) -> None:
    ours(desk)
    desk.arena.world.faults.add([{"kind": "missing_field", "field": field, "path": path}])
    with pytest.raises(BadReply) as caught:
        await READS[path](desk.exchange)
    assert caught.value.field == field


@pytest.mark.parametrize(("path", "field"), [("/v5/order/realtime", "orderStatus"), ("/v5/execution/list", "execType")])
async def test_an_unknown_word_is_an_error_and_the_outcome_stays_open(desk: Any, path: str, field: str) -> None:
    ours(desk)
    await desk.exchange.place(perp("tr-1", Side.BUY, "0.1"))
    desk.arena.world.faults.add([{"kind": "unknown_enum", "field": field, "path": path}])
    with pytest.raises(BadReply) as caught:
        await desk.exchange.find_order(Market.PERP, "tr-1")
    assert caught.value.field == field
    assert "SomethingNew" in caught.value.value


async def test_maintenance_is_an_unknown_outcome_and_passes(desk: Any) -> None:
    ours(desk)
    desk.arena.world.under_maintenance = True
    with pytest.raises(UnknownOutcome):
        await desk.exchange.place(perp("tr-1", Side.BUY, "0.1"))
    desk.arena.world.under_maintenance = False
    assert not (await desk.exchange.find_order(Market.PERP, "tr-1")).found


async def test_3_4_looking_up_finds_an_order_that_shows_late(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("looking up is our own procedure")
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            desk.arena.world.faults.clear()
            await desk.exchange.place(perp("tr-1", Side.BUY, "0.1"))

    def now() -> datetime:
        return clock.now() if desk.kind == "pybit" else desk.arena.now

    found = await resolve(desk.exchange, Market.PERP, "tr-1", sent_at=now(), sleep=wait, now=now)
    assert found.lookup.found
    assert not found.may_resend
    assert waits == [0.5, 1, 2]

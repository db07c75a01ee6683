"""Seeded accidents at every call: whatever is lost, late, doubled or refused, one intent ends as exactly one order."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from contract_arena import Arena, perp, spot
from eternal_engine.exchange.lookup import resolve
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import ExecutionKind, Market, Side
from eternal_engine.model.errors import BadReply, RateLimited, Retry, UnknownOutcome

ACCIDENTS: tuple[dict[str, Any], ...] = (
    {"kind": "lose_reply"},
    {"kind": "lose_request"},
    {"kind": "duplicate"},
    {"kind": "html", "status": 502},
    {"kind": "http", "status": 503},
    {"kind": "truncate"},
    {"kind": "code", "code": 10016},
    {"kind": "code_after", "code": 10016},
    {"kind": "code_after", "code": 777},
    {"kind": "code", "code": 10002},
    {"kind": "rate_limit_past"},
    {"kind": "missing_field", "field": "orderId"},
    {"kind": "unknown_enum", "field": "orderStatus"},
)
INTENTS = 60
MOST_TRIES = 60


async def send_once(arena: Arena, exchange: Any, request: OrderRequest) -> None:
    """Follow the procedure of ORD-2 and ORD-3 until the order is known; waits move the venue's clock."""

    async def wait(seconds: float) -> None:
        arena.step(seconds=seconds)

    unknown, sent_at = False, arena.now
    for _ in range(MOST_TRIES):
        try:
            if unknown:
                found = await resolve(
                    exchange,
                    request.market,
                    request.client_order_id,
                    sent_at=sent_at,
                    sleep=wait,
                    now=lambda: arena.now,
                )
                if found.lookup.found:
                    return
                unknown = not found.may_resend
            else:
                sent_at = arena.now
                await exchange.place(request)
                return
        except UnknownOutcome:
            unknown = True
        except (Retry, RateLimited, BadReply):
            await wait(1.0)
    pytest.fail(f"{request.client_order_id} was never settled")


@pytest.mark.parametrize("seed", range(6))
async def test_d3_ord2_accidents_at_every_call_never_double_or_lose_an_order(seed: int) -> None:
    arena = await Arena.open(visible_delay_ms=700 if seed % 2 else 0, history_delay_ms=1_500 if seed % 2 else 0)
    exchange = arena.client("in-process")
    arena.world.faults.seed = seed
    arena.world.faults.__post_init__()
    share = 0.25 / len(ACCIDENTS)
    arena.world.faults.add(
        [{**accident, "path": path, "times": 0, "share": share} for accident in ACCIDENTS for path in PATHS]
    )
    dice = random.Random(seed)
    intents = []
    for number in range(INTENTS):
        side = Side.BUY if number % 3 else Side.SELL
        intents.append(
            spot(f"s-{number}", Side.BUY, str(dice.randint(10, 500)))
            if dice.random() < 0.5
            else perp(f"p-{number}", side, f"0.0{dice.randint(1, 9)}")
        )
    for intent in intents:
        await send_once(arena, exchange, intent)
        arena.step(seconds=dice.random() * 100)
    accidents = sum(fault.done for fault in arena.world.faults.faults)
    arena.world.faults.clear()
    arena.step(seconds=10)
    sent = arena.world.venue.state.orders.values()
    assert sorted(order.link_id for order in sent) == sorted(intent.client_order_id for intent in intents)
    until = arena.now + timedelta(hours=1)
    fills = [
        row
        for market in Market
        for row in await exchange.executions(market, arena.now - timedelta(days=2), until)
        if row.kind is ExecutionKind.TRADE
    ]
    assert sorted({row.client_order_id for row in fills}) == sorted(intent.client_order_id for intent in intents)
    assert accidents > INTENTS // 12
    await arena.close()


PATHS = ("/v5/order/create", "/v5/order/realtime", "/v5/order/history", "/v5/execution/list")

"""A recorder over a real store, a clock moved by hand and an exchange that answers as the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from core_builders import TEN, some_params
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.ownership import Owners
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.orders import Execution, OrderAck, OrderLookup, OrderReport, OrderRequest
from eternal_engine.exchange.terms import ExecutionKind, Market, OrderKind, OrderStatus, QtyUnit, TimeInForce
from eternal_engine.model import reason
from eternal_engine.model.errors import ExchangeError
from eternal_engine.model.event import Deposited
from eternal_engine.model.ids import Coin, Engine, RecordId
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import NO_INTENT, Intent, Marks, Params
from eternal_engine.storage.store import Store
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PAIR, PERP, SPOT, TREND

AT = datetime(2024, 1, 2, tzinfo=UTC)
PRICE = Decimal(40_000)
OWNERS = Owners(
    {
        (market, str(symbol)): rules
        for market, table in ((Market.SPOT, BYBIT_2025.spot), (Market.PERP, BYBIT_2025.perp))
        for symbol, rules in table.items()
    },
    frozenset(TEN),
)

# What a decision at AT may ask for: a purchase of the plan, a long, a pair.
BUYING = NO_INTENT._replace(
    engine=CORE_HODL, market=SPOT, side=BUY, quote_steps=1_000_000_000, price=40_000.0, reason=reason.CORE_PLAN,
    decided_h=hour_of(AT), plan_usdt=100.0,
)  # fmt: skip
ENTRY = NO_INTENT._replace(
    engine=TREND, market=PERP, side=BUY, qty_steps=100, price=40_000.0, atr=1_000.0, stop_distance=2_000.0,
    reason=reason.TREND_ENTRY, decided_h=hour_of(AT),
)  # fmt: skip
PAIR_IN = NO_INTENT._replace(
    engine=FUNDING, market=PAIR, side=BUY, qty_steps=50, price=40_000.0, reason=reason.FUND_ENTRY,
    decided_h=hour_of(AT),
)  # fmt: skip


@dataclass
class HandClock:
    """Stand still until somebody sleeps; remember how long each sleep was."""

    at: datetime = AT
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)

    async def sleep_until(self, at: datetime) -> None:
        self.at = max(self.at, at)


@dataclass
class ScriptedExchange:
    """Answer `place` with the next line of the script: None takes the order in and fills it, an error is raised.

    An error after "taken" is raised once the order is in. What was taken in is found by look-ups.
    """

    clock: HandClock
    script: list[Any] = field(default_factory=list)
    placed: list[OrderRequest] = field(default_factory=list)
    stops: dict[str, Decimal | None] = field(default_factory=dict)
    stop_script: list[Any] = field(default_factory=list)
    lever_script: list[Any] = field(default_factory=list)
    levered: list[str] = field(default_factory=list)
    look_script: list[ExchangeError] = field(default_factory=list)
    ticker_script: list[ExchangeError] = field(default_factory=list)
    prices: dict[str, Decimal | None] = field(default_factory=dict)
    looked: list[Market] = field(default_factory=list)
    meanwhile: Callable[[OrderRequest], Awaitable[None]] | None = None
    forget: Callable[[], None] | None = None
    taken: dict[str, OrderRequest] = field(default_factory=dict)
    fills: bool = True
    lookups: int = 0

    async def place(self, request: OrderRequest) -> OrderAck:
        self.placed.append(request)
        line = self.script.pop(0) if self.script else None
        if isinstance(line, tuple):
            self.taken[request.client_order_id] = request
            raise line[1]
        if line is not None:
            raise line
        self.taken[request.client_order_id] = request
        if self.meanwhile is not None:
            await self.meanwhile(request)
        if self.forget is not None:
            self.forget()
        return OrderAck(request.client_order_id, f"venue-{request.client_order_id}")

    async def find_order(self, market: Market, client_order_id: str) -> OrderLookup:
        self.lookups += 1
        if self.look_script:
            raise self.look_script.pop(0)
        request = self.taken.get(client_order_id)
        if request is None:
            return OrderLookup(client_order_id, None, (), self.clock.at)
        executions = (self._execution(request),) if self.fills else ()
        return OrderLookup(client_order_id, self._report(request), executions, self.clock.at)

    async def server_time(self) -> datetime:
        return self.clock.at

    async def tickers(self, market: Market, symbols: tuple[str, ...]) -> tuple[Any, ...]:
        if self.ticker_script:
            raise self.ticker_script.pop(0)
        self.looked.append(market)
        rows = {symbol: self.prices.get(symbol, PRICE) for symbol in symbols}
        return tuple(SimpleNamespace(symbol=s, last_price=row, mark_price=row) for s, row in rows.items() if row)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        line = self.lever_script.pop(0) if self.lever_script else None
        if line is not None:
            raise line
        self.levered.append(f"{symbol} {leverage}")

    async def set_stop(self, symbol: str, price: Decimal | None) -> None:
        line = self.stop_script.pop(0) if self.stop_script else None
        if line is not None:
            raise line
        self.stops[symbol] = price

    def _qty(self, request: OrderRequest) -> Decimal:
        if request.qty_unit is QtyUnit.BASE:
            return request.qty
        return BYBIT_2025.spot[request.symbol].qty_down(request.qty / PRICE)  # type: ignore[index]

    def _execution(self, request: OrderRequest) -> Execution:
        qty = self._qty(request)
        return Execution(
            execution_id=f"exec-{request.client_order_id}",
            venue_order_id=f"venue-{request.client_order_id}",
            client_order_id=request.client_order_id,
            market=request.market,
            symbol=request.symbol,
            side=request.side,
            kind=ExecutionKind.TRADE,
            price=PRICE,
            qty=qty,
            value_usdt=qty * PRICE,
            fee=Decimal(0),
            fee_coin="USDT",
            fee_rate=Decimal(0),
            is_maker=False,
            closed_qty=None,
            leaves_qty=Decimal(0),
            order_qty=qty,
            order_price=None,
            order_type="Market",
            create_type="",
            mark_price=PRICE,
            at=self.clock.at,
            seq=1,
        )

    def _report(self, request: OrderRequest) -> OrderReport:
        qty = self._qty(request) if self.fills else Decimal(0)
        return OrderReport(
            venue_order_id=f"venue-{request.client_order_id}",
            client_order_id=request.client_order_id,
            market=request.market,
            symbol=request.symbol,
            side=request.side,
            kind=OrderKind.MARKET,
            qty=request.qty,
            qty_unit=request.qty_unit,
            price=None,
            time_in_force=TimeInForce.IOC,
            status=OrderStatus.FILLED if self.fills else OrderStatus.NEW,
            filled_qty=qty,
            filled_value_usdt=qty * PRICE,
            avg_price=PRICE if qty else None,
            leaves_qty=Decimal(0),
            leaves_value_usdt=Decimal(0),
            fees=(),
            fee_total=None,
            reject_reason="",
            cancel_type="",
            create_type="",
            position_idx=0,
            reduce_only=request.reduce_only,
            close_on_trigger=False,
            trigger_price=None,
            trigger_direction=0,
            trigger_by="",
            stop_order_type="",
            take_profit=None,
            stop_loss=None,
            created_at=self.clock.at,
            updated_at=self.clock.at,
        )


@dataclass
class Bench:
    """Hold one engine's manager on the bench."""

    clock: HandClock
    exchange: ScriptedExchange
    recorder: Recorder
    manager: OrderManager
    params: Params

    async def give(self, *intents: Intent) -> None:
        """Let a decision ask for intents."""
        from dataclasses import replace

        await self.recorder.commit(
            lambda memory, _: (replace(memory, pending=(*memory.pending, *intents), cycle_h=hour_of(AT)), ())
        )

    @property
    def states(self) -> list[str]:
        """List the orders on record with their states."""
        orders = self.recorder.projection.orders
        return [f"{identifier} {stored.order.state.value}" for identifier, stored in orders.items()]


@asynccontextmanager
async def a_bench(folder: Path, engine: Engine, *, jitter: Callable[[], float] = lambda: 0.5) -> AsyncIterator[Bench]:
    """Put one engine with 100,000 USDT on the bench."""
    params = some_params(TEN)
    clock = HandClock()
    store = await Store.open(folder / "eternal.db")
    try:
        marks = Marks(
            np.full(10, 40_000.0), np.full(10, 40_000.0), np.full(10, hour_of(AT) - 1), np.full(10, hour_of(AT) - 1)
        )
        memory = fresh_memory(params, TEN, month_of(hour_of(AT)))
        recorder = Recorder(store, params, memory, clock, marks=marks, is_new=True)
        money = Decimal(100_000)
        await recorder.append(Deposited(AT, RecordId("d"), engine.account, Coin("USDT"), money, money, AT))
        exchange = ScriptedExchange(clock)
        sender = Sender(engine, exchange, recorder, BYBIT_2025, OWNERS, clock, clock, jitter=jitter)  # type: ignore[arg-type]
        yield Bench(clock, exchange, recorder, OrderManager(sender, recorder, params, clock, clock), params)
    finally:
        await store.close()

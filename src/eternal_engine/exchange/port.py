"""The port: what the daemon may ask of an exchange, whichever it is. Decimals in and out, times aware and UTC.

Every verb raises the exchange branch of `model.errors` and nothing else of its own; each class there says what the
daemon does next. Implementations: `bybit.client` over the wire, `simulator.adapter` inside the process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from eternal_engine.exchange.account import AccountInfo, FeeRate, KeyInfo, LedgerRow, Position, Wallet
from eternal_engine.exchange.capability import Capabilities
from eternal_engine.exchange.events import StreamEvent
from eternal_engine.exchange.market import Candle, FundingRate, Instrument, Ticker
from eternal_engine.exchange.orders import Execution, OrderAck, OrderLookup, OrderReport, OrderRequest
from eternal_engine.exchange.terms import MarginMode, Market


class MarketSource(Protocol):
    """Read public facts; needs no key."""

    async def server_time(self) -> datetime:
        """Return the exchange's clock; the cheapest call, and so the health check (ORD-6)."""
        ...

    async def instruments(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Instrument, ...]:
        """Return the rules of these symbols (None: of every tradable one), all pages."""
        ...

    async def tickers(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Ticker, ...]:
        """Return the latest prices of these symbols (None: of all)."""
        ...

    async def candles(
        self, market: Market, symbol: str, interval: timedelta, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return the candles that open in [start, end), oldest first, all pages; a still open one is not `closed`."""
        ...

    async def funding_rates(self, symbol: str, start: datetime, end: datetime) -> tuple[FundingRate, ...]:
        """Return the rates settled in [start, end), oldest first, all pages."""
        ...


class TradingAccount(Protocol):
    """Act on one account: one sub-account, one key."""

    @property
    def account(self) -> str:
        """Return the name of the account, for logs and events."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Return what this environment can do."""
        ...

    async def wallet(self) -> Wallet:
        """Return what the account holds."""
        ...

    async def positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """Return held positions, all pages; with `symbol` the row of that symbol even when flat."""
        ...

    async def open_orders(self, market: Market, symbol: str | None = None) -> tuple[OrderReport, ...]:
        """Return resting and conditional orders, all pages."""
        ...

    async def order_history(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[OrderReport, ...]:
        """Return orders created in [start, end], oldest first; one not listed may still have existed (fact 14)."""
        ...

    async def executions(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[Execution, ...]:
        """Return executions in [start, end], oldest first, all pages and as many windows as the span needs."""
        ...

    async def place(self, request: OrderRequest) -> OrderAck:
        """Send one order, once. An answer means taken in, not filled; UnknownOutcome means look it up."""
        ...

    async def cancel(self, market: Market, symbol: str, client_order_id: str) -> OrderAck:
        """Ask to cancel one order; AlreadyDone when it is gone: read its final state."""
        ...

    async def cancel_all(self, market: Market, symbol: str | None = None) -> tuple[OrderAck, ...]:
        """Ask to cancel every open order of a market, conditional ones included."""
        ...

    async def find_order(self, market: Market, client_order_id: str) -> OrderLookup:
        """Look for one order in open orders, history and executions; the answer to an unknown outcome (ORD-2)."""
        ...

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of a perpetual; an unchanged one is success."""
        ...

    async def set_margin_mode(self, mode: MarginMode) -> None:
        """Set the margin mode of the whole account; unchanged is success, Unsupported means cross margin is kept."""
        ...

    async def require_one_way(self, symbol: str) -> None:
        """Make a perpetual hold one position at a time; RejectedForGood while hedge mode is held up by what is open."""
        ...

    async def set_stop(self, symbol: str, price: Decimal | None) -> None:
        """Set or (None) remove the stop of the whole position, triggered by the mark price; unchanged is success."""
        ...

    async def transfer(self, transfer_id: str, coin: str, amount: Decimal, from_uid: str, to_uid: str) -> str:
        """Move coins between sub-accounts; `transfer_id` is a UUID and the key of idempotency. Returns the status."""
        ...

    async def ledger(self, start: datetime, end: datetime) -> tuple[LedgerRow, ...]:
        """Return the exchange's own book rows in [start, end], oldest first: deposits, funding, trades."""
        ...

    async def fee_rates(self, market: Market) -> tuple[FeeRate, ...]:
        """Return the account's fees; Unsupported on the demo."""
        ...

    async def account_info(self) -> AccountInfo:
        """Return how the account is set (unified, margin mode)."""
        ...

    async def key_info(self) -> KeyInfo:
        """Return what the key may do; a key that can withdraw is refused by the daemon."""
        ...

    async def close(self) -> None:
        """Give back threads and connections; the object is of no use afterwards."""
        ...


class Exchange(MarketSource, TradingAccount, Protocol):
    """Do both: what an engine is given."""


class EventSource(Protocol):
    """Deliver stream events in order; ends only after `stop`, and says so in its last event."""

    def events(self) -> AsyncIterator[StreamEvent]:
        """Iterate over events; one consumer."""
        ...

    async def stop(self) -> None:
        """Close the streams and end the iteration."""
        ...

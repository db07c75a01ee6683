"""A venue with one funded account at round prices, and short ways to order from it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import pytest

from eternal_engine.simulator.venue import (
    LINEAR,
    SPOT,
    MarketShape,
    Order,
    OrderRequest,
    Quote,
    Range,
    Venue,
    VenueConfig,
    VenueReject,
)

NOW_MS = 1_704_067_200_000


@dataclass
class Desk:
    """Hold a venue and an account, and order in one line."""

    venue: Venue
    uid: int

    def price(self, price: str, *, category: str | None = None, symbol: str = "BTCUSDT", mark: str = "") -> None:
        """Set the quote of a symbol without touching what rests; both categories by default."""
        for kind in (SPOT, LINEAR) if category is None else (category,):
            last = Decimal(price)
            self.venue.set_quotes({(cast("Any", kind), symbol): Quote(last, last, last, Decimal(mark or price), last)})

    def order(self, category: str, side: str, qty: str, price: str | None = None, **more: Any) -> Order:
        """Place an order: market without a price, limit with one."""
        symbol = more.pop("symbol", "BTCUSDT")
        kind = "Market" if price is None else "Limit"
        numbers = {
            name: Decimal(value)
            for name, value in more.items()
            if name in {"trigger_price", "take_profit", "stop_loss"}
        }
        request = OrderRequest(
            cast("Any", category),
            symbol,
            cast("Any", side),
            kind,
            Decimal(qty),
            price=None if price is None else Decimal(price),
            **{**more, **numbers},
        )
        return self.venue.create_order(self.uid, request)

    def refuse(self, code: int, category: str, side: str, qty: str, price: str | None = None, **more: Any) -> str:
        """Place an order that must be refused with a code; returns the text."""
        with pytest.raises(VenueReject) as caught:
            self.order(category, side, qty, price, **more)
        assert caught.value.code == code
        return caught.value.text

    def bar(self, open_: str, low: str, high: str, close: str, *, mark: tuple[str, str] | None = None) -> None:
        """Let one BTCUSDT bar pass in both categories; `mark` is its low and high, by default those of the price."""
        mark_low, mark_high = (low, high) if mark is None else mark
        path = Range(*(Decimal(part) for part in (open_, low, high, close, mark_low, mark_high, low, high)))
        self.venue.sweep({(SPOT, "BTCUSDT"): path, (LINEAR, "BTCUSDT"): path})
        self.price(close)

    @property
    def usdt(self) -> Decimal:
        """Read the cash."""
        return self.venue.balance(self.uid, "USDT")

    @property
    def size(self) -> Decimal:
        """Read the signed size of the one-way BTCUSDT position."""
        return self.venue.state.position(self.uid, "BTCUSDT", 0).size

    def fills(self) -> list[Any]:
        """List the executions, oldest first."""
        return list(self.venue.state.executions.get(self.uid, ()))


def make_desk(config: VenueConfig | None = None, usdt: str = "100000", price: str = "40000") -> Desk:
    """Open a venue with one account."""
    venue = Venue(config, now_ms=NOW_MS)
    account = venue.open_account("MASTER")
    if Decimal(usdt):
        venue.deposit(account.uid, "USDT", Decimal(usdt))
    desk = Desk(venue, account.uid)
    desk.price(price)
    desk.price("2000", symbol="ETHUSDT")
    return desk


@pytest.fixture
def open_desk() -> Any:
    """Give the way to open a desk with another configuration."""
    return make_desk


@pytest.fixture
def desk() -> Any:
    """Give a desk, and audit its books when the test is over."""
    made = make_desk()
    yield made
    assert made.venue.audit() == ()


@pytest.fixture
def exact_desk() -> Any:
    """Give a desk without slippage."""
    made = make_desk(VenueConfig(shape=MarketShape(slippage_bps=Decimal(0))))
    yield made
    assert made.venue.audit() == ()


@pytest.fixture
def thin_desk() -> Any:
    """Give a desk whose price levels hold 1,000 USDT each."""
    made = make_desk(VenueConfig(shape=MarketShape(depth_usdt=Decimal(1000))))
    yield made
    assert made.venue.audit() == ()

"""Rules are read, changes are said, and what does not trade is paused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.market import Instrument
from eternal_engine.exchange.rulebook import Rulebook, RuleChange
from eternal_engine.exchange.terms import Market
from eternal_engine.model.errors import Retry, SymbolPaused
from wire_messages import PERP, SPOT

NOW = datetime(2025, 1, 1, tzinfo=UTC)
ETH = wire.parse_instrument(PERP, "linear")
BTC = wire.parse_instrument(SPOT, "spot")


class Source:
    """What the exchange lists."""

    def __init__(self) -> None:
        self.listed = [ETH, BTC]
        self.broken = False

    async def instruments(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Instrument, ...]:
        if self.broken:
            raise Retry("away")
        return tuple(row for row in self.listed if row.market is market and symbols and row.symbol in symbols)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def book(source: Source) -> Rulebook:
    exchange: Any = source
    made = Rulebook(exchange, {Market.PERP: {"ETHUSDT"}, Market.SPOT: {"BTCUSDT"}})
    assert made.is_due(NOW)
    assert await made.refresh(NOW) == ()
    return made


async def test_rules_are_the_exchange_s_own(book: Rulebook) -> None:
    rules = book.rules(Market.PERP, "ETHUSDT")
    assert (rules.tick, rules.qty_step, rules.min_qty) == (Decimal("0.01"), Decimal("0.01"), Decimal("0.01"))
    assert (rules.min_amount, rules.max_leverage, rules.quote_step) == (5, 100, None)
    spot = book.rules(Market.SPOT, "BTCUSDT")
    assert (spot.min_qty, spot.min_amount, spot.quote_step) == (0, 5, Decimal("0.0000001"))


async def test_rules_are_read_again_every_hour(book: Rulebook) -> None:
    assert not book.is_due(NOW + timedelta(minutes=59))
    assert book.is_due(NOW + timedelta(hours=1))


async def test_each_changed_rule_is_reported(book: Rulebook, source: Source) -> None:
    source.listed[0] = replace(ETH, qty_step=Decimal("0.1"), status="Settling")
    changes = await book.refresh(NOW)
    assert changes == (
        RuleChange(Market.PERP, "ETHUSDT", "status", "Trading", "Settling"),
        RuleChange(Market.PERP, "ETHUSDT", "qty_step", "0.01", "0.1"),
    )
    with pytest.raises(SymbolPaused, match="Settling"):
        book.rules(Market.PERP, "ETHUSDT")


async def test_a_delisted_symbol_is_reported_and_paused(book: Rulebook, source: Source) -> None:
    source.listed = [ETH]
    assert await book.refresh(NOW) == (RuleChange(Market.SPOT, "BTCUSDT", "listing", "Trading", "missing"),)
    with pytest.raises(SymbolPaused, match="not listed"):
        book.rules(Market.SPOT, "BTCUSDT")


async def test_a_failed_reading_keeps_the_old_rules_and_stays_due(book: Rulebook, source: Source) -> None:
    source.broken = True
    with pytest.raises(Retry):
        await book.refresh(NOW + timedelta(hours=2))
    assert book.rules(Market.PERP, "ETHUSDT").tick == Decimal("0.01")
    assert book.is_due(NOW + timedelta(hours=2))

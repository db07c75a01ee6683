"""Market data: instruments, tickers, candles, funding rates, clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_arena import NOW, SYMBOLS, NotInClient
from eternal_engine import clock
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.terms import Market
from eternal_engine.model.errors import RejectedForGood

HOUR = timedelta(hours=1)
LAST = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(2_500), "SOLUSDT": Decimal(100)}


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("market", list(Market))
async def test_instrument_rules_are_read_from_the_exchange(desk: Any, market: Market, symbol: str) -> None:
    (found,) = await desk.exchange.instruments(market, {symbol})
    truth = desk.arena.world.venue.state.instruments[wire.CATEGORY_OF[market], symbol]
    assert (found.market, found.symbol, found.status) == (market, symbol, "Trading")
    assert (found.price_tick, found.qty_step) == (truth.tick, truth.qty_step)
    assert (found.base_coin, found.quote_coin) == (truth.base, "USDT")
    assert found.min_value_usdt == 5
    assert found.max_market_qty is not None
    if market is Market.PERP:
        assert found.settle_coin == "USDT"
        assert found.min_qty == truth.min_qty
        assert found.max_leverage == truth.max_leverage
        assert found.quote_step is None
    else:
        assert found.quote_step == truth.quote_step
        assert found.max_leverage is None


async def test_changed_instrument_rules_are_seen(desk: Any) -> None:
    venue = desk.arena.world.venue
    truth = venue.state.instruments["linear", "BTCUSDT"]
    venue.change_instrument(replace(truth, qty_step=Decimal("0.01"), min_qty=Decimal("0.01")))
    (found,) = await desk.exchange.instruments(Market.PERP, {"BTCUSDT"})
    assert found.qty_step == found.min_qty == Decimal("0.01")


@pytest.mark.parametrize("market", list(Market))
async def test_a_delisted_symbol_leaves_the_list(desk: Any, market: Market) -> None:
    desk.arena.world.venue.set_status(wire.CATEGORY_OF[market], "SOLUSDT", "Closed")
    assert await desk.exchange.instruments(market, {"SOLUSDT"}) == ()
    assert len(await desk.exchange.instruments(market, {"SOLUSDT", "BTCUSDT"})) == 1


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("market", list(Market))
async def test_tickers_show_the_market(desk: Any, market: Market, symbol: str) -> None:
    (ticker,) = await desk.exchange.tickers(market, {symbol})
    assert (ticker.market, ticker.symbol, ticker.last_price) == (market, symbol, LAST[symbol])
    assert ticker.bid_price is not None
    assert ticker.ask_price is not None
    assert ticker.bid_price <= ticker.last_price <= ticker.ask_price
    if market is Market.PERP:
        assert ticker.mark_price == ticker.index_price == LAST[symbol]
        assert ticker.next_funding_at == NOW.replace(hour=16)
        assert ticker.funding_interval_h == 8
        assert ticker.funding_rate is not None


async def test_tickers_of_several_symbols_come_in_one_call(desk: Any) -> None:
    found = await desk.exchange.tickers(Market.PERP, set(SYMBOLS))
    assert {ticker.symbol for ticker in found} == set(SYMBOLS)


async def test_a_price_that_moves_is_seen(desk: Any) -> None:
    desk.arena.price("BTCUSDT", "51234.5")
    (ticker,) = await desk.exchange.tickers(Market.SPOT, {"BTCUSDT"})
    assert ticker.last_price == Decimal("51234.5")


@pytest.mark.parametrize(("minutes", "back_h"), [(1, 2), (60, 30), (240, 100), (1440, 300)])
@pytest.mark.parametrize("market", list(Market))
async def test_fact16_candles_are_oldest_first_and_whole(desk: Any, market: Market, minutes: int, back_h: int) -> None:
    interval = timedelta(minutes=minutes)
    start = NOW.replace(hour=0) - back_h * HOUR
    start -= (start - start.replace(hour=0)) % interval
    candles = await desk.exchange.candles(market, "BTCUSDT", interval, start, NOW)
    wanted = [
        start + number * interval
        for number in range((NOW - start) // interval + ((NOW - start) % interval > timedelta(0)))
    ]
    assert [candle.opened_at for candle in candles] == wanted
    assert all(candle.low <= min(candle.open, candle.close) <= candle.high for candle in candles)


@pytest.mark.parametrize("market", list(Market))
async def test_u2_the_candle_still_open_is_not_closed(desk: Any, market: Market) -> None:
    if desk.kind != "ccxt":
        desk.arena.step(minutes=30)
    candles = await desk.exchange.candles(market, "ETHUSDT", HOUR, NOW - 3 * HOUR, NOW + 2 * HOUR)
    assert [candle.closed for candle in candles] == [True, True, True, False]
    assert candles[-1].opened_at == NOW


@pytest.mark.parametrize("market", list(Market))
async def test_fact15_more_candles_than_a_page_are_all_read(desk: Any, market: Market) -> None:
    candles = await desk.exchange.candles(market, "SOLUSDT", HOUR, NOW - 480 * HOUR, NOW)
    assert len(candles) == 480


async def test_minute_candles_over_several_pages(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt leaves paging to its user")
    minute = timedelta(minutes=1)
    candles = await desk.exchange.candles(Market.SPOT, "SOLUSDT", minute, NOW - 2500 * minute, NOW)
    assert len(candles) == 2_500


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_settled_funding_rates_are_listed_with_their_stamps(desk: Any, symbol: str) -> None:
    rates = await desk.exchange.funding_rates(symbol, NOW - timedelta(days=3), NOW)
    assert [rate.settled_at.hour for rate in rates] == [16, 0, 8] * 3
    assert {rate.rate for rate in rates} == {Decimal("0.0002"), Decimal("-0.0001")}
    assert all(rate.symbol == symbol for rate in rates)


async def test_u4_no_funding_rate_is_known_before_its_stamp(desk: Any) -> None:
    rates = await desk.exchange.funding_rates("BTCUSDT", NOW - HOUR, NOW + timedelta(days=2))
    assert rates == ()


async def test_the_clock_answers(desk: Any) -> None:
    found = await desk.exchange.server_time()
    truth = NOW if desk.kind == "in-process" else clock.now()
    assert abs(found - truth) < timedelta(seconds=5)


@pytest.mark.parametrize("market", list(Market))
async def test_an_unknown_symbol_is_refused(desk: Any, market: Market) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt knows its symbols itself")
    with pytest.raises(RejectedForGood):
        await desk.exchange.tickers(market, {"NOPEUSDT"})
    with pytest.raises(RejectedForGood):
        await desk.exchange.candles(market, "NOPEUSDT", HOUR, NOW - HOUR, NOW)

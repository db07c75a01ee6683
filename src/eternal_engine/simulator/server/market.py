"""Public market data: time, instruments, tickers, candles, order book, funding history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

from eternal_engine import clock
from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.simulator.bars import Candle
from eternal_engine.simulator.feeds import FundingPoint
from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.render import text
from eternal_engine.simulator.server.render_rules import instrument_row
from eternal_engine.simulator.venue import LINEAR, SPOT, Instrument, Quote, Venue, VenueReject
from eternal_engine.simulator.venue.instruments import Category
from eternal_engine.simulator.venue.matching import band, taker_levels

MINUTE_MS = 60_000
INTERVALS_MS = {str(minutes): minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
INTERVALS_MS |= {"D": DAY_MS, "W": 7 * DAY_MS}
# 1970-01-05 was the first Monday of the epoch; weekly candles open on Mondays.
MONDAY_MS = 4 * DAY_MS
CATEGORIES = ("spot", "linear", "inverse", "option")
FULL_SIZE_USDT = Decimal(1_000_000)
CLOSED_MOST = 1000
# A number that is written so short has eight decimals at most.
EIGHT_PLACES = len("0.12345678")


def server_time(_call: Call) -> Json:
    """Answer the wall clock: it is what requests are signed with."""
    now_ms = clock.now_ms()
    return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}


def system_status(call: Call) -> Json:
    """Answer that nothing is planned, or that maintenance goes on."""
    if not call.world.under_maintenance:
        return {"list": []}
    begin = str(clock.now_ms())
    row = {"id": "1", "title": "System maintenance", "state": "ongoing", "begin": begin, "end": "", "href": ""}
    return {"list": [{**row, "serviceTypes": [2, 3], "product": [1, 2], "uidSuffix": [], "maintainType": 1, "env": 1}]}


def instruments_info(call: Call) -> Json:
    """List trading rules; inverse and option are empty here, and so is everything but the asked status."""
    category = call.params.choice("category", CATEGORIES)
    symbol = call.params.text("symbol")
    status = call.params.text("status", "Trading")
    base = call.params.text("baseCoin")
    limit = call.params.limit(500, 1000)
    items = [
        item
        for (kind, name), item in sorted(call.venue.state.instruments.items())
        if kind == category
        and (not symbol or name == symbol)
        and (item.status == status or bool(symbol and item.status == "Trading"))
        and (not base or item.base == base)
    ]
    if symbol and (category, symbol) not in call.venue.state.instruments and category in {"spot", "linear"}:
        raise VenueReject(10001, "params error: symbol invalid")
    if category == SPOT:
        return {"category": category, "list": [instrument_row(item) for item in items]}
    after = call.params.text("cursor")
    rest = [item for item in items if item.symbol > after]
    shown = rest[:limit]
    cursor = shown[-1].symbol if len(rest) > limit else ""
    return {"category": category, "list": [instrument_row(item) for item in shown], "nextPageCursor": cursor}


def tickers(call: Call) -> Json:
    """List the latest prices of one symbol or all."""
    category = call.params.choice("category", CATEGORIES)
    symbol = call.params.text("symbol")
    if category not in {"spot", "linear"}:
        return {"category": category, "list": []}
    keys = [key for key in sorted(call.venue.state.quotes) if key[0] == category and (not symbol or key[1] == symbol)]
    if symbol and not keys:
        raise VenueReject(10001, "Not supported symbols")
    return {"category": category, "list": [ticker_row(call, kind, name) for kind, name in keys]}


def ticker_row(call: Call, category: Category, symbol: str) -> Json:
    """Write one ticker, with the figures of the last 24 hours."""
    venue = call.venue
    quote = venue.state.quotes[category, symbol]
    day = call.world.day_of(category, symbol)
    before = Decimal(repr(day.open)) if day else quote.last
    high = max(quote.last, Decimal(repr(day.high))) if day else quote.last
    low = min(quote.last, Decimal(repr(day.low))) if day else quote.last
    bid, ask = _touch(venue, category, symbol, quote)
    row: Json = {
        "symbol": symbol,
        "lastPrice": text(quote.last),
        "prevPrice24h": text(before),
        "price24hPcnt": text(((quote.last - before) / before).quantize(Decimal("1e-6"))) if before else "0",
        "highPrice24h": text(high),
        "lowPrice24h": text(low),
        "turnover24h": _amount(round(day.turnover, 4) if day else 0.0),
        "volume24h": _amount(day.volume if day else 0.0),
        "bid1Price": bid[0],
        "bid1Size": bid[1],
        "ask1Price": ask[0],
        "ask1Size": ask[1],
    }
    if category == SPOT:
        return {**row, "usdIndexPrice": text(quote.index)}
    return {**row, **_linear_ticker(call, symbol, quote)}


def kline(call: Call) -> Json:
    """List candles newest first; the first row is the one still open."""
    category = call.params.choice("category", ("spot", "linear"), "linear")
    return _candles(call, "spot" if category == "spot" else "linear", with_volume=True)


def mark_kline(call: Call) -> Json:
    """List candles of the mark price, which here is the perpetual's own price."""
    call.params.choice("category", ("linear",), "linear")
    return _candles(call, LINEAR, with_volume=False)


def index_kline(call: Call) -> Json:
    """List candles of the index price, which here is the spot price."""
    call.params.choice("category", ("linear",), "linear")
    return _candles(call, SPOT, with_volume=False) | {"category": "linear"}


def orderbook(call: Call) -> Json:
    """Show the book a taker would meet."""
    category = call.params.category()
    symbol = call.params.need("symbol")
    depth = call.params.limit(1 if category == SPOT else 25, 1000)
    return book(call.venue, category, symbol, depth)


def book(venue: Venue, category: Category, symbol: str, depth: int) -> Json:
    """Build a book of up to 50 levels a side around the quote."""
    quote = _quote(venue, category, symbol)
    instrument = venue.state.instruments[category, symbol]
    bid, ask = _touch(venue, category, symbol, quote)
    bids, asks = [list(bid)], [list(ask)]
    for side, rows in (("Sell", bids), ("Buy", asks)):
        for level in _levels(venue, quote, instrument, side, depth - 1):
            if level[0] != rows[-1][0]:
                rows.append(level)
    now_ms = venue.state.now_ms
    seq = venue.state.counter + now_ms
    return {"s": symbol, "b": bids[:depth], "a": asks[:depth], "ts": now_ms, "u": seq, "seq": seq, "cts": now_ms}


def recent_trades(call: Call) -> Json:
    """Show the last price as the only trade: the feeds carry candles, not single trades."""
    category = call.params.category()
    symbol = call.params.need("symbol")
    quote = _quote(call.venue, category, symbol)
    row = {"symbol": symbol, "price": text(quote.last), "size": "1", "side": "Buy", "time": str(call.now_ms)}
    execution = {"execId": f"{symbol}-{call.now_ms}", "isBlockTrade": False, "isRPITrade": False, "seq": "1"}
    return {"category": category, "list": [{**execution, **row}]}


def price_limit(call: Call) -> Json:
    """Show the prices beyond which limit orders are moved or refused."""
    category: Category = "spot" if call.params.text("category", "linear") == "spot" else "linear"
    symbol = call.params.need("symbol")
    quote = _quote(call.venue, category, symbol)
    highest, lowest = band(call.venue.state.instruments[category, symbol], quote)
    return {"symbol": symbol, "buyLmt": text(highest), "sellLmt": text(lowest), "ts": str(call.now_ms)}


def funding_history(call: Call) -> Json:
    """List settled rates newest first; a start without an end is an error, as on the exchange."""
    call.params.choice("category", ("linear", "inverse"))
    symbol = call.params.need("symbol")
    call.venue.linear(symbol)
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    limit = call.params.limit(200, 200)
    if start is not None and end is None:
        raise VenueReject(10001, "params error: endTime is required when startTime is given")
    last = call.now_ms if end is None else min(end, call.now_ms)
    points = _funding(call, symbol, 0 if start is None else start, last)[::-1][:limit]
    rows = [
        {"symbol": symbol, "fundingRate": text(point.rate), "fundingRateTimestamp": str(point.stamp_ms)}
        for point in points
    ]
    return {"category": "linear", "list": rows}


def risk_limit(call: Call) -> Json:
    """List the one risk tier of each perpetual."""
    symbol = call.params.text("symbol")
    rows = []
    for (kind, name), item in sorted(call.venue.state.instruments.items()):
        if kind == LINEAR and (not symbol or name == symbol):
            tier: Json = {"id": 1, "symbol": name, "riskLimitValue": "2000000", "isLowestRisk": 1, "mmDeduction": ""}
            tier |= {"maintenanceMargin": text(item.mmr), "maxLeverage": f"{item.max_leverage:.2f}"}
            rows.append(tier | {"initialMargin": text((1 / item.max_leverage).quantize(Decimal("1e-4")))})
    return {"category": "linear", "list": rows, "nextPageCursor": ""}


def candle_rows(
    call: Call, category: Category, symbol: str, interval: str, opens: Iterable[int]
) -> Iterator[tuple[Candle, int]]:
    """Build candles of an interval at the given opens, with their ends."""
    now_ms, asked = call.now_ms, list(opens)
    for open_ms, candle in zip(asked, _summed(call, category, symbol, interval, asked), strict=True):
        end_ms = _end_of(open_ms, interval)
        if candle is not None:
            yield candle, end_ms
        elif open_ms <= now_ms < end_ms and (category, symbol) in call.venue.state.quotes:
            yield _fresh(open_ms, call.venue.state.quotes[category, symbol]), end_ms


def _summed(call: Call, category: Category, symbol: str, interval: str, opens: list[int]) -> list[Candle | None]:
    feed, now_ms = call.world.feed, call.now_ms
    if interval in INTERVALS_MS:
        return feed.candles(category, symbol, opens, INTERVALS_MS[interval], now_ms)
    return [feed.candle(category, symbol, at, _end_of(at, interval), now_ms) for at in opens]


def candle_texts(candle: Candle) -> list[str]:
    """Write open, high, low, close, volume and turnover, the same over REST and the streams."""
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume, round(candle.turnover, 4))
    return [_amount(number) for number in numbers]


def candle_message(candle: Candle, end_ms: int, symbol: str, interval: str, now_ms: int) -> Json:
    """Write the stream message of one candle; it is confirmed when its end has come."""
    names = ("open", "high", "low", "close", "volume", "turnover")
    row: Json = {"start": candle.open_ms, "end": end_ms - 1, "interval": interval}
    row |= dict(zip(names, candle_texts(candle), strict=True))
    row |= {"confirm": end_ms <= now_ms, "timestamp": now_ms}
    return {"topic": f"kline.{interval}.{symbol}", "data": [row], "ts": now_ms, "type": "snapshot"}


def closed_between(after_ms: int, until_ms: int, interval: str) -> list[int]:
    """List the opens of candles that closed in (after, until], the oldest first; at most 1,000, the newest ones."""
    found: list[int] = []
    at = open_of(open_of(until_ms, interval) - 1, interval)
    while len(found) < CLOSED_MOST and _end_of(at, interval) > after_ms:
        found.append(at)
        at = open_of(at - 1, interval)
    return found[::-1]


def open_of(at_ms: int, interval: str) -> int:
    """Give the open time of the candle that an instant falls into."""
    if interval == "M":
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return int(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp() * 1000)
    length = INTERVALS_MS[interval]
    anchor = MONDAY_MS if interval == "W" else 0
    return at_ms - (at_ms - anchor) % length


def _candles(call: Call, category: Category, *, with_volume: bool) -> Json:
    symbol = call.params.need("symbol")
    interval = call.params.choice("interval", (*INTERVALS_MS, "M"))
    if (category, symbol) not in call.venue.state.instruments:
        raise VenueReject(10001, "Not supported symbols")
    limit = min(call.params.integer("limit") or 200, 1000)
    start, end = call.params.integer("start"), call.params.integer("end")
    rows: list[list[str]] = []
    if symbol in call.world.feed.symbols and limit > 0:
        opens = _opens(call, interval, start, end, limit)
        for candle, _ in candle_rows(call, category, symbol, interval, opens):
            rows.append([str(candle.open_ms), *candle_texts(candle)[: 6 if with_volume else 4]])
    return {"symbol": symbol, "category": category, "list": rows}


def _opens(call: Call, interval: str, start: int | None, end: int | None, limit: int) -> Iterator[int]:
    """List candle opens newest first: at most `limit`, up to `end`, or `limit` of them from a lone `start` on."""
    newest = call.now_ms if end is None else min(end, call.now_ms)
    floor = max(call.world.feed.start_ms, 0 if start is None else start)
    if start is not None and end is None and interval != "M":
        newest = min(newest, floor + limit * INTERVALS_MS[interval] - 1)
    at = open_of(newest, interval)
    count = 0
    while at >= floor and count < limit:
        yield at
        count += 1
        at = open_of(at - 1, interval)


def _end_of(open_ms: int, interval: str) -> int:
    return open_of(open_ms + 32 * DAY_MS, "M") if interval == "M" else open_ms + INTERVALS_MS[interval]


def _fresh(open_ms: int, quote: Quote) -> Candle:
    price = float(quote.last)
    return Candle(open_ms, price, price, price, price, 0.0, 0.0)


def _linear_ticker(call: Call, symbol: str, quote: Quote) -> Json:
    instrument = call.venue.state.instruments[LINEAR, symbol]
    coming = call.world.feed.next_funding(symbol, call.now_ms)
    hour_ago = call.world.feed.candle(LINEAR, symbol, call.now_ms - HOUR_MS, call.now_ms, call.now_ms)
    return {
        "indexPrice": text(quote.index),
        "markPrice": text(quote.mark),
        "prevPrice1h": _amount(hour_ago.open) if hour_ago else text(quote.last),
        "openInterest": "0",
        "openInterestValue": "0",
        "singleOpenInterest": "0",
        "singleOpenInterestValue": "0",
        "fundingRate": "" if coming is None else text(coming.rate),
        "nextFundingTime": "0" if coming is None else str(coming.stamp_ms),
        "fundingIntervalHour": str(instrument.funding_interval_min // 60 if coming is None else coming.interval_h),
        "fundingCap": text(instrument.funding_cap),
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "basis": "",
        "basisRateYear": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def _funding(call: Call, symbol: str, start_ms: int, end_ms: int) -> list[FundingPoint]:
    if symbol not in call.world.feed.symbols:
        return []
    return call.world.feed.funding(symbol, start_ms, end_ms)


def _quote(venue: Venue, category: Category, symbol: str) -> Quote:
    quote = venue.state.quote(category, symbol)
    if quote is None:
        raise VenueReject(10001, "Not supported symbols")
    return quote


def _touch(venue: Venue, category: Category, symbol: str, quote: Quote) -> tuple[tuple[str, str], tuple[str, str]]:
    instrument = venue.state.instruments[category, symbol]
    depth = venue.state.config.shape.depth_usdt or FULL_SIZE_USDT
    size = text((depth / quote.last // instrument.qty_step) * instrument.qty_step)
    # A price source without a spread still shows one tick of it: clients take a locked book for a broken one.
    bid = quote.bid // instrument.tick * instrument.tick
    ask = -(-quote.ask // instrument.tick) * instrument.tick
    ask = bid + instrument.tick if ask <= bid else ask
    return (text(bid), size), (text(ask), size)


def _levels(venue: Venue, quote: Quote, instrument: Instrument, side: str, depth: int) -> list[list[str]]:
    rows: list[list[str]] = []
    for level in taker_levels("Sell" if side == "Sell" else "Buy", quote, instrument, venue.state.config.shape):
        if len(rows) == depth:
            break
        full = (FULL_SIZE_USDT / level.price // instrument.qty_step) * instrument.qty_step
        rows.append([text(level.price), text(level.qty if level.qty > 0 else full)])
    return rows


def _amount(number: float) -> str:
    written = repr(number)
    if len(written) > EIGHT_PLACES or "e" in written:
        written = repr(round(number, 8))
    if "e" in written:
        return text(Decimal(written))
    return written.removesuffix(".0")

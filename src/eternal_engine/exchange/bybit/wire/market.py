"""Instruments, tickers, candles and funding rates on the wire (bybit-v5 1.1 to 1.3, 5.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from eternal_engine.exchange.bybit.wire import fields as f
from eternal_engine.exchange.bybit.wire import words as w
from eternal_engine.exchange.bybit.wire.shape import Row, Shape
from eternal_engine.exchange.market import Candle, FundingRate, Instrument, Ticker
from eternal_engine.exchange.terms import Market

_NOTHING = f.Codec("nothing", lambda _: None, lambda _: "", True)


def _absent(*attributes: str) -> tuple[Row, ...]:
    return tuple((attribute, f"_{attribute}", _NOTHING) for attribute in attributes)


_COMMON: tuple[Row, ...] = (
    ("market", "category", w.MARKET),
    ("symbol", "symbol", f.NAME),
    ("status", "status", f.NAME),
    ("base_coin", "baseCoin", f.NAME),
    ("quote_coin", "quoteCoin", f.NAME),
    ("price_tick", "priceFilter.tickSize", f.STEP),
    ("price_limit_x_frac", "riskParameters.priceLimitRatioX", f.OPT_NUMBER),
    ("price_limit_y_frac", "riskParameters.priceLimitRatioY", f.OPT_NUMBER),
)

PERP_INSTRUMENT: Shape[Instrument] = Shape(
    "perp instrument",
    Instrument,
    (
        *_COMMON,
        ("settle_coin", "settleCoin", f.NAME),
        ("qty_step", "lotSizeFilter.qtyStep", f.STEP),
        ("min_qty", "lotSizeFilter.minOrderQty", f.STEP),
        ("min_value_usdt", "lotSizeFilter.minNotionalValue", f.OPT_AMOUNT),
        ("max_limit_qty", "lotSizeFilter.maxOrderQty", f.STEP),
        ("max_market_qty", "lotSizeFilter.maxMktOrderQty", f.STEP),
        ("min_price", "priceFilter.minPrice", f.OPT_AMOUNT),
        ("max_price", "priceFilter.maxPrice", f.OPT_AMOUNT),
        ("min_leverage", "leverageFilter.minLeverage", f.STEP),
        ("max_leverage", "leverageFilter.maxLeverage", f.STEP),
        ("leverage_step", "leverageFilter.leverageStep", f.STEP),
        ("funding_interval_min", "fundingInterval", f.INT),
        ("max_funding_frac", "upperFundingRate", f.OPT_NUMBER),
        ("min_funding_frac", "lowerFundingRate", f.OPT_NUMBER),
        ("contract_type", "contractType", f.NAME),
        ("is_pre_listing", "isPreListing", f.OPT_FLAG),
        ("launched_at", "launchTime", f.OPT_TIME),
        ("delivers_at", "deliveryTime", f.OPT_TIME),
        ("quote_step", "_quote_step", _NOTHING),
    ),
)

SPOT_INSTRUMENT: Shape[Instrument] = Shape(
    "spot instrument",
    Instrument,
    (
        *_COMMON,
        ("qty_step", "lotSizeFilter.basePrecision", f.STEP),
        ("quote_step", "lotSizeFilter.quotePrecision", f.STEP),
        ("min_qty", "lotSizeFilter.minOrderQty", f.OPT_AMOUNT),
        ("min_value_usdt", "lotSizeFilter.minOrderAmt", f.AMOUNT),
        ("max_limit_qty", "lotSizeFilter.maxLimitOrderQty", f.OPT_AMOUNT),
        ("max_market_qty", "lotSizeFilter.maxMarketOrderQty", f.OPT_AMOUNT),
        ("contract_type", "_contract_type", f.OPT_TEXT),
        *_absent(
            "settle_coin",
            "min_price",
            "max_price",
            "min_leverage",
            "max_leverage",
            "leverage_step",
            "funding_interval_min",
            "max_funding_frac",
            "min_funding_frac",
            "is_pre_listing",
            "launched_at",
            "delivers_at",
        ),
    ),
)


def parse_instrument(row: Mapping[str, object], category: str, where: str = "instruments-info") -> Instrument:
    """Read one instrument row; spot and perp rows have different keys and one record (1.2)."""
    shape = SPOT_INSTRUMENT if category == "spot" else PERP_INSTRUMENT
    return shape.parse({"category": category, **row}, where)


def dump_instrument(instrument: Instrument) -> dict[str, object]:
    """Write one instrument row; keys that the other market owns are left out."""
    shape = SPOT_INSTRUMENT if instrument.market is Market.SPOT else PERP_INSTRUMENT
    row = shape.dump(instrument)
    return {key: value for key, value in row.items() if not key.startswith("_") and key != "category"}


_TICKER_COMMON: tuple[Row, ...] = (
    ("market", "category", w.MARKET),
    ("symbol", "symbol", f.NAME),
    ("last_price", "lastPrice", f.PRICE),
    ("bid_price", "bid1Price", f.OPT_PRICE),
    ("bid_qty", "bid1Size", f.OPT_AMOUNT),
    ("ask_price", "ask1Price", f.OPT_PRICE),
    ("ask_qty", "ask1Size", f.OPT_AMOUNT),
    ("previous_day_price", "prevPrice24h", f.OPT_PRICE),
    ("high_day_price", "highPrice24h", f.OPT_PRICE),
    ("low_day_price", "lowPrice24h", f.OPT_PRICE),
    ("volume_day_qty", "volume24h", f.OPT_AMOUNT),
    ("turnover_day_usdt", "turnover24h", f.OPT_AMOUNT),
    ("at", "ts", f.TIME_NUMBER),
)

PERP_TICKER: Shape[Ticker] = Shape(
    "perp ticker",
    Ticker,
    (
        *_TICKER_COMMON,
        ("mark_price", "markPrice", f.PRICE),
        ("index_price", "indexPrice", f.OPT_PRICE),
        ("open_interest_qty", "openInterest", f.OPT_AMOUNT),
        ("funding_rate", "fundingRate", f.OPT_NUMBER),
        ("next_funding_at", "nextFundingTime", f.OPT_TIME),
        ("funding_interval_h", "fundingIntervalHour", f.OPT_PRICE),
    ),
)

SPOT_TICKER: Shape[Ticker] = Shape(
    "spot ticker",
    Ticker,
    (
        *_TICKER_COMMON,
        ("index_price", "usdIndexPrice", f.OPT_PRICE),
        *_absent("mark_price", "open_interest_qty", "funding_rate", "next_funding_at", "funding_interval_h"),
    ),
)


def parse_ticker(row: Mapping[str, object], category: str, ts: object, where: str = "tickers") -> Ticker:
    """Read one ticker; `ts` is the time beside it in the envelope, in ms."""
    shape = SPOT_TICKER if category == "spot" else PERP_TICKER
    return shape.parse({**row, "category": category, "ts": ts}, where)


def dump_ticker(ticker: Ticker) -> dict[str, object]:
    """Write one ticker row; category and time stand beside it in the envelope."""
    shape = SPOT_TICKER if ticker.market is Market.SPOT else PERP_TICKER
    return {
        key: value
        for key, value in shape.dump(ticker).items()
        if not key.startswith("_") and key not in ("category", "ts")
    }


INTERVALS: dict[str, timedelta] = {
    **{str(minutes): timedelta(minutes=minutes) for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": timedelta(days=1),
    "W": timedelta(days=7),
}
INTERVAL_WORD = {interval: word for word, interval in INTERVALS.items()}
_INTERVAL = f.choice("interval", INTERVALS)


def _candle_complaint(candle: Candle) -> str:
    inside = candle.low <= min(candle.open, candle.close) and max(candle.open, candle.close) <= candle.high
    return "" if inside else "a candle whose open and close lie between low and high"


_CANDLE_ROWS: tuple[Row, ...] = (
    ("market", "category", w.MARKET),
    ("symbol", "symbol", f.NAME),
    ("interval", "interval", _INTERVAL),
    ("opened_at", "start", f.TIME_NUMBER),
    ("open", "open", f.PRICE),
    ("high", "high", f.PRICE),
    ("low", "low", f.PRICE),
    ("close", "close", f.PRICE),
    ("volume_qty", "volume", f.AMOUNT),
    ("turnover_usdt", "turnover", f.AMOUNT),
    ("closed", "confirm", f.FLAG),
)
CANDLE: Shape[Candle] = Shape("candle", Candle, _CANDLE_ROWS, check=_candle_complaint)
_MS = timedelta(milliseconds=1)
_KLINE_KEYS = ("start", "open", "high", "low", "close", "volume", "turnover")


def parse_kline(row: object, category: str, symbol: str, interval: str, now_ms: int, where: str = "kline") -> Candle:
    """Read one row of the kline list; it is closed when its end lies at or before `now_ms` of the server (fact 16)."""
    plain = _plain_candle(row, category, symbol, interval, now_ms)
    if plain is not None:
        return plain
    if not isinstance(row, list) or len(row) != len(_KLINE_KEYS):
        raise f.bad("list", row, f"a row of {len(_KLINE_KEYS)} values", where)
    values: dict[str, object] = dict(zip(_KLINE_KEYS, row, strict=True))
    opened_at = f.read_field(values, "start", f.TIME_NUMBER, where)
    closed = f.to_ms(opened_at + f.read_field({"interval": interval}, "interval", _INTERVAL, where)) <= now_ms
    values |= {"category": category, "symbol": symbol, "interval": interval, "confirm": closed}
    return CANDLE.parse(values, where)


# A start reads years of days: five of six rows' cost was looking one value after the other up in the table.
_PLAIN_ROW = re.compile(r"[0-9]{13}(?:,[0-9]{1,30}(?:\.[0-9]{1,30})?){6}", re.ASCII)


def _plain_candle(row: object, category: str, symbol: str, interval: str, now_ms: int) -> Candle | None:
    """Read a row in which nothing is odd; None sends it through the table, which names what is."""
    market, span = w.MARKET_WORDS.get(category), INTERVALS.get(interval)
    if not isinstance(row, list) or len(row) != len(_KLINE_KEYS) or market is None or span is None or not symbol:
        return None
    try:
        if not _PLAIN_ROW.fullmatch(",".join(row)):
            return None
    except TypeError:
        return None
    opened_ms = int(row[0])
    open_, high, low, close, volume, turnover = map(Decimal, row[1:])
    fits = f.OLDEST_MS <= opened_ms <= f.NEWEST_MS and 0 < low <= open_ <= high and low <= close <= high
    if not fits:
        return None
    closed = opened_ms + span // _MS <= now_ms
    return Candle(market, symbol, span, f.EPOCH + opened_ms * _MS, open_, high, low, close, volume, turnover, closed)


def dump_kline(candle: Candle) -> list[str]:
    """Write one row of the kline list."""
    row = CANDLE.dump(candle)
    return [str(row[key]) for key in _KLINE_KEYS]


FUNDING_RATE: Shape[FundingRate] = Shape(
    "funding rate",
    FundingRate,
    (
        ("symbol", "symbol", f.NAME),
        ("rate", "fundingRate", f.NUMBER),
        ("settled_at", "fundingRateTimestamp", f.TIME),
    ),
)

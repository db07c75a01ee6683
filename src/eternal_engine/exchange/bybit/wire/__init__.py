"""Pure parsers between Bybit V5 JSON and the records of the port, both ways; the simulator shares them.

A message that does not fit raises BadReply naming field and value; no number is ever guessed.
"""

from eternal_engine.exchange.bybit.wire.account import (
    ACCOUNT_INFO,
    COIN,
    FEE_RATE,
    KEY_INFO,
    LEDGER_ROW,
    POSITION,
    STREAM_POSITION,
    WALLET,
)
from eternal_engine.exchange.bybit.wire.envelope import Answer, next_cursor, parse_answer
from eternal_engine.exchange.bybit.wire.fields import Codec, read_field, to_ms, write_number
from eternal_engine.exchange.bybit.wire.market import (
    CANDLE,
    FUNDING_RATE,
    INTERVAL_WORD,
    INTERVALS,
    PERP_INSTRUMENT,
    PERP_TICKER,
    SPOT_INSTRUMENT,
    SPOT_TICKER,
    dump_instrument,
    dump_kline,
    dump_ticker,
    parse_instrument,
    parse_kline,
    parse_ticker,
)
from eternal_engine.exchange.bybit.wire.orders import ACK, EXECUTION, ORDER, dump_request, parse_request
from eternal_engine.exchange.bybit.wire.shape import Shape, parse_list
from eternal_engine.exchange.bybit.wire.words import CATEGORY_OF, MARKET_WORDS

__all__ = [
    "ACCOUNT_INFO",
    "ACK",
    "CANDLE",
    "CATEGORY_OF",
    "COIN",
    "EXECUTION",
    "FEE_RATE",
    "FUNDING_RATE",
    "INTERVALS",
    "INTERVAL_WORD",
    "KEY_INFO",
    "LEDGER_ROW",
    "MARKET_WORDS",
    "ORDER",
    "PERP_INSTRUMENT",
    "PERP_TICKER",
    "POSITION",
    "SPOT_INSTRUMENT",
    "SPOT_TICKER",
    "STREAM_POSITION",
    "WALLET",
    "Answer",
    "Codec",
    "Shape",
    "dump_instrument",
    "dump_kline",
    "dump_request",
    "dump_ticker",
    "next_cursor",
    "parse_answer",
    "parse_instrument",
    "parse_kline",
    "parse_list",
    "parse_request",
    "parse_ticker",
    "read_field",
    "to_ms",
    "write_number",
]

"""The exchange's words for the closed vocabularies of `exchange.terms`."""

from __future__ import annotations

from eternal_engine.exchange.bybit.wire.fields import Codec, choice, optional_choice
from eternal_engine.exchange.terms import (
    ExecutionKind,
    MarginMode,
    Market,
    OrderKind,
    OrderStatus,
    PositionSide,
    QtyUnit,
    Side,
    TimeInForce,
    TriggerBy,
)

MARKET_WORDS = {"spot": Market.SPOT, "linear": Market.PERP}
CATEGORY_OF = {market: word for word, market in MARKET_WORDS.items()}
SIDE_WORDS = {"Buy": Side.BUY, "Sell": Side.SELL}
KIND_WORDS = {"Market": OrderKind.MARKET, "Limit": OrderKind.LIMIT}
TIF_WORDS = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
    "RPI": TimeInForce.RPI,
}
UNIT_WORDS = {"baseCoin": QtyUnit.BASE, "quoteCoin": QtyUnit.QUOTE}
TRIGGER_WORDS = {"LastPrice": TriggerBy.LAST, "IndexPrice": TriggerBy.INDEX, "MarkPrice": TriggerBy.MARK}
STATUS_WORDS = {
    "New": OrderStatus.NEW,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Untriggered": OrderStatus.UNTRIGGERED,
    "Triggered": OrderStatus.TRIGGERED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
    "PartiallyFilledCanceled": OrderStatus.PARTIALLY_FILLED_CANCELLED,
    "Deactivated": OrderStatus.DEACTIVATED,
}
EXECUTION_WORDS = {
    "Trade": ExecutionKind.TRADE,
    "Funding": ExecutionKind.FUNDING,
    "AdlTrade": ExecutionKind.ADL,
    "BustTrade": ExecutionKind.BUST,
    "Delivery": ExecutionKind.DELIVERY,
    "Settle": ExecutionKind.SETTLE,
    "BlockTrade": ExecutionKind.BLOCK_TRADE,
    "MovePosition": ExecutionKind.MOVE_POSITION,
    "FutureSpread": ExecutionKind.FUTURE_SPREAD,
    "CorporateAction": ExecutionKind.CORPORATE_ACTION,
}
POSITION_WORDS = {"Buy": PositionSide.LONG, "Sell": PositionSide.SHORT}
MARGIN_WORDS = {
    "REGULAR_MARGIN": MarginMode.CROSS,
    "ISOLATED_MARGIN": MarginMode.ISOLATED,
    "PORTFOLIO_MARGIN": MarginMode.PORTFOLIO,
}

MARKET = choice("category", MARKET_WORDS)
SIDE = choice("side", SIDE_WORDS)
KIND = choice("orderType", KIND_WORDS)
TIF = choice("timeInForce", TIF_WORDS)
OPT_UNIT = optional_choice("marketUnit", UNIT_WORDS)
STATUS = choice("orderStatus", STATUS_WORDS)
EXECUTION_KIND = choice("execType", EXECUTION_WORDS)
OPT_POSITION_SIDE: Codec[PositionSide | None] = optional_choice("side", POSITION_WORDS)
MARGIN = choice("marginMode", MARGIN_WORDS)

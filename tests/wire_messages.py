"""Small messages of our own in the shapes of Bybit V5, one valid example per parser, for goldens and the fuzz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.wire.shape import Shape

T0 = 1_735_689_600_000  # 2025-01-01 00:00 UTC


@dataclass(frozen=True)
class Case:
    """One parser with a message it must accept; `shape` where the parser is a table."""

    name: str
    parse: Callable[[Any], Any]
    message: Any
    shape: Shape[Any] | None = None


def _shape(name: str, shape: Shape[Any], message: dict[str, Any]) -> Case:
    return Case(name, shape.parse, message, shape)


ORDER = {
    "orderId": "9b1f0c1e-0001", "orderLinkId": "tr-2501010000-ETHUSDT-in-1", "category": "linear",
    "symbol": "ETHUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.50", "marketUnit": "", "price": "3300.10",
    "timeInForce": "GTC", "orderStatus": "PartiallyFilled", "cumExecQty": "0.20", "cumExecValue": "660.020",
    "avgPrice": "3300.1", "leavesQty": "0.30", "leavesValue": "990.03", "cumFeeDetail": {"USDT": "0.363011"},
    "cumExecFee": "0.363011", "rejectReason": "EC_NoError", "cancelType": "UNKNOWN", "createType": "CreateByUser",
    "positionIdx": 0, "reduceOnly": False, "closeOnTrigger": False, "triggerPrice": "", "triggerDirection": 0,
    "triggerBy": "", "stopOrderType": "", "takeProfit": "", "stopLoss": "2900.00", "createdTime": str(T0),
    "updatedTime": str(T0 + 250),
}  # fmt: skip

EXECUTION = {
    "execId": "ex-77", "orderId": "9b1f0c1e-0001", "orderLinkId": "tr-2501010000-ETHUSDT-in-1",
    "category": "linear", "symbol": "ETHUSDT", "side": "Buy", "execType": "Trade", "execPrice": "3300.10",
    "execQty": "0.20", "execValue": "660.020", "execFee": "0.363011", "feeCurrency": "USDT", "feeRate": "0.00055",
    "isMaker": False, "closedSize": "0", "leavesQty": "0.30", "orderQty": "0.50", "orderPrice": "3300.10",
    "orderType": "Limit", "createType": "CreateByUser", "markPrice": "3300.00", "execTime": str(T0 + 240),
    "seq": 140612148849382,
}  # fmt: skip

POSITION = {
    "symbol": "ETHUSDT", "side": "Sell", "size": "1.25", "avgPrice": "3301.5", "markPrice": "3299.00",
    "liqPrice": "", "positionValue": "4126.875", "leverage": "2", "positionIM": "2063.4", "positionMM": "20.6",
    "unrealisedPnl": "3.125", "curRealisedPnl": "-2.26", "cumRealisedPnl": "-12.5", "stopLoss": "3500",
    "takeProfit": "0", "trailingStop": "0", "positionIdx": 0, "positionStatus": "Normal", "isReduceOnly": False,
    "seq": 5723621632, "createdTime": str(T0 - 86_400_000), "updatedTime": str(T0),
}  # fmt: skip

COIN = {
    "coin": "USDT", "walletBalance": "10250.5", "equity": "10253.625", "locked": "100", "spotBorrow": "0",
    "accruedInterest": "0", "totalOrderIM": "0", "totalPositionIM": "2063.4", "unrealisedPnl": "3.125",
    "cumRealisedPnl": "-12.5", "usdValue": "10251.1", "marginCollateral": True, "collateralSwitch": True,
}  # fmt: skip

WALLET = {
    "accountType": "UNIFIED", "totalEquity": "10400.1", "totalWalletBalance": "10397", "totalMarginBalance": "10400.1",
    "totalAvailableBalance": "8336.7", "totalPerpUPL": "3.1", "totalInitialMargin": "2063.4",
    "totalMaintenanceMargin": "20.6", "accountIMRate": "0.1984", "accountMMRate": "0.0019",
    "coin": [COIN, COIN | {"coin": "BTC", "walletBalance": "0.000305694", "locked": "0", "totalOrderIM": ""}],
}  # fmt: skip

PERP = {
    "category": "linear", "symbol": "ETHUSDT", "contractType": "LinearPerpetual", "status": "Trading",
    "baseCoin": "ETH", "quoteCoin": "USDT", "settleCoin": "USDT", "launchTime": "1615766400000", "deliveryTime": "0",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.01", "maxPrice": "199999.98", "tickSize": "0.01"},
    "lotSizeFilter": {
        "maxOrderQty": "7240.00", "minOrderQty": "0.01", "qtyStep": "0.01", "maxMktOrderQty": "724.00",
        "minNotionalValue": "5",
    },
    "fundingInterval": 480, "upperFundingRate": "0.005", "lowerFundingRate": "-0.005", "isPreListing": False,
    "riskParameters": {"priceLimitRatioX": "0.02", "priceLimitRatioY": "0.04"},
}  # fmt: skip

SPOT = {
    "category": "spot", "symbol": "BTCUSDT", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT",
    "lotSizeFilter": {
        "basePrecision": "0.000001", "quotePrecision": "0.0000001", "minOrderQty": "0.000011", "minOrderAmt": "5",
        "maxLimitOrderQty": "83", "maxMarketOrderQty": "41.5",
    },
    "priceFilter": {"tickSize": "0.1"},
    "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
}  # fmt: skip

PERP_TICKER = {
    "category": "linear", "ts": T0, "symbol": "ETHUSDT", "lastPrice": "3300.10", "markPrice": "3300.00",
    "indexPrice": "3301.55", "bid1Price": "3300.09", "bid1Size": "12.4", "ask1Price": "3300.10", "ask1Size": "3",
    "prevPrice24h": "3200.00", "highPrice24h": "3400.5", "lowPrice24h": "3190", "volume24h": "1234567.89",
    "turnover24h": "4074074037.1", "openInterest": "987654.3", "fundingRate": "-0.000125",
    "nextFundingTime": str(T0 + 28_800_000), "fundingIntervalHour": "8",
}  # fmt: skip

SPOT_TICKER = {
    "category": "spot", "ts": T0, "symbol": "BTCUSDT", "lastPrice": "93500.1", "bid1Price": "93500",
    "bid1Size": "0.5", "ask1Price": "93500.1", "ask1Size": "1.2", "prevPrice24h": "93000", "highPrice24h": "94000",
    "lowPrice24h": "92000", "volume24h": "11801.27771", "turnover24h": "1103419466.1", "usdIndexPrice": "93488.12",
}  # fmt: skip

CANDLE = {
    "category": "spot", "symbol": "BTCUSDT", "interval": "60", "start": T0, "open": "93400", "high": "93600.5",
    "low": "93350", "close": "93500.1", "volume": "120.5", "turnover": "11266800.2", "confirm": True,
}  # fmt: skip

LEDGER_ROW = {
    "id": "101_ETHUSDT_5", "type": "SETTLEMENT", "currency": "USDT", "symbol": "ETHUSDT", "category": "linear",
    "side": "Sell", "funding": "0.4125", "fee": "0", "cashFlow": "0", "change": "0.4125", "cashBalance": "10250.5",
    "qty": "1.25", "tradePrice": "3300", "orderLinkId": "", "orderId": "o-5", "tradeId": "t-5",
    "transactionTime": str(T0),
}  # fmt: skip

REQUEST = {
    "category": "linear", "symbol": "ETHUSDT", "side": "Sell", "orderType": "Market", "qty": "1.25",
    "orderLinkId": "fu-2501010000-ETHUSDT-po-1", "positionIdx": 0, "reduceOnly": True, "timeInForce": "IOC",
    "triggerPrice": "3100.5", "triggerDirection": 2, "triggerBy": "MarkPrice", "closeOnTrigger": False,
}  # fmt: skip

KEY = {
    "userID": 101, "readOnly": 0, "ips": ["*"], "expiredAt": "2026-01-01T00:00:00Z", "isMaster": False,
    "parentUid": "100", "permissions": {"Spot": ["SpotTrade"], "ContractTrade": ["Order", "Position"], "Wallet": []},
}  # fmt: skip

CASES: tuple[Case, ...] = (
    _shape("order", wire.ORDER, ORDER),
    _shape("execution", wire.EXECUTION, EXECUTION),
    _shape("position", wire.POSITION, POSITION),
    _shape(
        "streamed position",
        wire.STREAM_POSITION,
        {**{key: value for key, value in POSITION.items() if key != "avgPrice"}, "entryPrice": "3301.5"},
    ),
    _shape("coin", wire.COIN, COIN),
    _shape("wallet", wire.WALLET, WALLET),
    _shape("perp instrument", wire.PERP_INSTRUMENT, PERP),
    _shape("spot instrument", wire.SPOT_INSTRUMENT, SPOT),
    _shape("perp ticker", wire.PERP_TICKER, PERP_TICKER),
    _shape("spot ticker", wire.SPOT_TICKER, SPOT_TICKER),
    _shape("candle", wire.CANDLE, CANDLE),
    Case(
        "kline row",
        lambda row: wire.parse_kline(row, "spot", "BTCUSDT", "60", T0 + 3_600_000),
        [str(T0), "93400", "93600.5", "93350", "93500.1", "120.5", "11266800.2"],
    ),
    _shape(
        "funding rate",
        wire.FUNDING_RATE,
        {"symbol": "ETHUSDT", "fundingRate": "-0.0001", "fundingRateTimestamp": str(T0)},
    ),
    _shape("ack", wire.ACK, {"orderId": "9b1f0c1e-0001", "orderLinkId": "tr-1"}),
    _shape(
        "account info",
        wire.ACCOUNT_INFO,
        {
            "unifiedMarginStatus": 5, "marginMode": "REGULAR_MARGIN", "spotHedgingStatus": "OFF",
            "isMasterTrader": False, "updatedTime": str(T0),
        },
    ),
    _shape("key", wire.KEY_INFO, KEY),
    _shape("fee rate", wire.FEE_RATE, {"symbol": "ETHUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "-0.0001"}),
    _shape("ledger row", wire.LEDGER_ROW, LEDGER_ROW),
    Case("request", wire.parse_request, REQUEST),
    Case(
        "answer",
        lambda message: wire.parse_answer(message, "t"),
        {"retCode": 0, "retMsg": "OK", "result": {"list": [], "nextPageCursor": ""}, "retExtInfo": {}, "time": T0},
    ),
    Case("cursor", lambda result: wire.next_cursor(result, "t"), {"nextPageCursor": "1%3A2"}),
)  # fmt: skip

"""Trading rules in the exchange's words: spot and linear name their steps and minimums differently."""

from __future__ import annotations

from eternal_engine.simulator.server.render import Json, padded, text
from eternal_engine.simulator.venue import SPOT, Instrument


def instrument_row(item: Instrument) -> Json:
    """Write the trading rules of one symbol; spot and linear name their steps differently."""
    common: Json = {
        "symbol": item.symbol,
        "symbolId": item.symbol_id,
        "status": item.status,
        "baseCoin": item.base,
        "quoteCoin": item.quote,
        "symbolType": "",
        "riskParameters": {"priceLimitRatioX": text(item.band_x), "priceLimitRatioY": text(item.band_y)},
    }
    return _spot_instrument(common, item) if item.category == SPOT else _linear_instrument(common, item)


def _spot_instrument(common: Json, item: Instrument) -> Json:
    return {
        **common,
        "innovation": "0",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": text(item.qty_step),
            "quotePrecision": text(item.quote_step),
            "minOrderQty": text(item.min_qty),
            "maxOrderQty": text(item.max_limit_qty),
            "minOrderAmt": text(item.min_value),
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": text(item.max_limit_qty),
            "maxMarketOrderQty": text(item.max_market_qty),
            "postOnlyMaxLimitOrderSize": text(item.max_limit_qty),
        },
        "priceFilter": {"tickSize": text(item.tick)},
    }


def _linear_instrument(common: Json, item: Instrument) -> Json:
    decimals = max(0, -int(item.tick.normalize().as_tuple().exponent))
    return {
        **common,
        "contractType": "LinearPerpetual",
        "settleCoin": item.quote,
        "launchTime": str(item.launch_ms),
        "deliveryTime": str(item.delivery_ms),
        "deliveryFeeRate": "",
        "priceScale": str(decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{item.max_leverage:.2f}", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": format(item.tick, "f"),
            "maxPrice": text(item.tick * 19_999_998),
            "tickSize": format(item.tick, "f"),
        },
        "lotSizeFilter": {
            "maxOrderQty": padded(item.max_limit_qty, item.qty_step),
            "minOrderQty": text(item.min_qty),
            "qtyStep": text(item.qty_step),
            "postOnlyMaxOrderQty": padded(item.max_limit_qty, item.qty_step),
            "maxMktOrderQty": padded(item.max_market_qty, item.qty_step),
            "minNotionalValue": text(item.min_value),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": item.funding_interval_min,
        "copyTrading": "none",
        "upperFundingRate": text(item.funding_cap),
        "lowerFundingRate": text(-item.funding_cap),
        "isPreListing": False,
        "preListingInfo": None,
        "displayName": item.symbol,
        "forbidUplWithdrawal": False,
    }

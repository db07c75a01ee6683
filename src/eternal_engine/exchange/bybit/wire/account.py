"""Wallets, positions, keys, fee rates and transaction log rows on the wire (bybit-v5 1.1, 1.4, 2.5, 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from eternal_engine.exchange.account import AccountInfo, CoinBalance, FeeRate, KeyInfo, LedgerRow, Position, Wallet
from eternal_engine.exchange.bybit.wire import fields as f
from eternal_engine.exchange.bybit.wire import words as w
from eternal_engine.exchange.bybit.wire.shape import Row, Shape

COIN: Shape[CoinBalance] = Shape(
    "wallet coin",
    CoinBalance,
    (
        ("coin", "coin", f.NAME),
        ("wallet_qty", "walletBalance", f.NUMBER),
        ("equity_qty", "equity", f.OPT_NUMBER),
        ("locked_qty", "locked", f.AMOUNT),
        ("borrowed_qty", "spotBorrow", f.OPT_AMOUNT),
        ("interest_qty", "accruedInterest", f.OPT_NUMBER),
        ("order_margin", "totalOrderIM", f.OPT_AMOUNT),
        ("position_margin", "totalPositionIM", f.OPT_AMOUNT),
        ("unrealised_pnl", "unrealisedPnl", f.OPT_NUMBER),
        ("realised_pnl_total", "cumRealisedPnl", f.OPT_NUMBER),
        ("usd_value", "usdValue", f.OPT_NUMBER),
        ("is_collateral", "marginCollateral", f.OPT_FLAG),
        ("collateral_switch", "collateralSwitch", f.OPT_FLAG),
    ),
    constants=(("availableToWithdraw", ""), ("availableToBorrow", ""), ("bonus", "0")),
)


def _read_coins(value: object) -> tuple[CoinBalance, ...]:
    if not isinstance(value, list):
        raise f.Unfit
    return tuple(COIN.parse(row, f"wallet coin[{index}]") for index, row in enumerate(value))


def _wallet_complaint(wallet: Wallet) -> str:
    names = [row.coin for row in wallet.coins]
    return "" if len(names) == len(set(names)) else "a wallet that lists each coin once"


WALLET: Shape[Wallet] = Shape(
    "wallet",
    Wallet,
    (
        ("account_type", "accountType", f.NAME),
        ("total_equity_usd", "totalEquity", f.OPT_NUMBER),
        ("total_wallet_usd", "totalWalletBalance", f.OPT_NUMBER),
        ("total_margin_usd", "totalMarginBalance", f.OPT_NUMBER),
        ("available_usd", "totalAvailableBalance", f.OPT_NUMBER),
        ("perp_unrealised_usd", "totalPerpUPL", f.OPT_NUMBER),
        ("initial_margin_usd", "totalInitialMargin", f.OPT_NUMBER),
        ("maintenance_margin_usd", "totalMaintenanceMargin", f.OPT_NUMBER),
        ("initial_margin_frac", "accountIMRate", f.OPT_NUMBER),
        ("maintenance_margin_frac", "accountMMRate", f.OPT_NUMBER),
        ("coins", "coin", f.Codec("a list of coins", _read_coins, lambda coins: [COIN.dump(row) for row in coins])),
    ),
    check=_wallet_complaint,
)


def _position_complaint(position: Position) -> str:
    if (position.side is None) != (position.qty == 0):
        return "a position whose side is empty exactly when its size is 0"
    if position.side is not None and position.entry_price is None:
        return "a held position with an entry price"
    return ""


def _position_rows(entry_key: str) -> tuple[Row, ...]:
    return (
        ("symbol", "symbol", f.NAME),
        ("side", "side", w.OPT_POSITION_SIDE),
        ("qty", "size", f.AMOUNT),
        ("entry_price", entry_key, f.OPT_PRICE),
        ("mark_price", "markPrice", f.OPT_PRICE),
        ("liquidation_price", "liqPrice", f.OPT_PRICE),
        ("value_usdt", "positionValue", f.OPT_AMOUNT),
        ("leverage", "leverage", f.OPT_PRICE),
        ("initial_margin_usdt", "positionIM", f.OPT_AMOUNT),
        ("maintenance_margin_usdt", "positionMM", f.OPT_AMOUNT),
        ("unrealised_pnl_usdt", "unrealisedPnl", f.OPT_NUMBER),
        ("realised_pnl_usdt", "curRealisedPnl", f.OPT_NUMBER),
        ("realised_pnl_total_usdt", "cumRealisedPnl", f.OPT_NUMBER),
        ("stop_loss", "stopLoss", f.OPT_PRICE),
        ("take_profit", "takeProfit", f.OPT_PRICE),
        ("trailing_stop", "trailingStop", f.OPT_PRICE),
        ("position_idx", "positionIdx", f.INT),
        ("status", "positionStatus", f.OPT_TEXT),
        ("is_reduce_only", "isReduceOnly", f.FLAG),
        ("seq", "seq", f.OPT_INT),
        ("created_at", "createdTime", f.OPT_TIME),
        ("updated_at", "updatedTime", f.OPT_TIME),
    )


# REST and the stream call the entry price by two names (2.5).
POSITION: Shape[Position] = Shape("position", Position, _position_rows("avgPrice"), check=_position_complaint)
STREAM_POSITION: Shape[Position] = Shape(
    "streamed position", Position, _position_rows("entryPrice"), check=_position_complaint
)

ON_OFF = f.optional_choice("ON or OFF", {"ON": True, "OFF": False})

ACCOUNT_INFO: Shape[AccountInfo] = Shape(
    "account info",
    AccountInfo,
    (
        ("unified_status", "unifiedMarginStatus", f.INT),
        ("margin_mode", "marginMode", w.MARGIN),
        ("spot_hedging", "spotHedgingStatus", ON_OFF),
        ("is_master_trader", "isMasterTrader", f.OPT_FLAG),
        ("updated_at", "updatedTime", f.OPT_TIME),
    ),
)


def _read_permissions(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, Mapping):
        raise f.Unfit
    result = []
    for group, rights in value.items():
        if not isinstance(rights, list):
            raise f.Unfit
        result.append((f.NAME.read(group), tuple(f.NAME.read(right) for right in rights)))
    return tuple(result)


def _read_names(value: object) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if not isinstance(value, list):
        raise f.Unfit
    return tuple(f.NAME.read(item) for item in value)


_ISO = f.Codec(
    "an ISO time or empty",
    lambda value: _read_iso(value),
    lambda value: "" if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ"),
    True,
)


def _read_iso(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    text = f.NAME.read(value)
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise f.Unfit
    # A key that is bound to addresses does not end, and its end is the epoch then.
    return None if parsed <= f.EPOCH else parsed.astimezone(UTC)


_READ_ONLY = f.Codec("0 or 1", lambda value: _zero_one(value), lambda value: 1 if value else 0)


def _zero_one(value: object) -> bool:
    if isinstance(value, bool) or value not in (0, 1, "0", "1"):
        raise f.Unfit
    return value in (1, "1")


KEY_INFO: Shape[KeyInfo] = Shape(
    "API key",
    KeyInfo,
    (
        ("user_id", "userID", f.INT),
        ("read_only", "readOnly", _READ_ONLY),
        (
            "permissions",
            "permissions",
            f.Codec(
                "an object of rights",
                _read_permissions,
                lambda groups: {group: list(rights) for group, rights in groups},
            ),
        ),
        ("ips", "ips", f.Codec("a list of addresses", _read_names, list, True)),
        ("expires_at", "expiredAt", _ISO),
        ("is_master", "isMaster", f.OPT_FLAG),
        ("parent_uid", "parentUid", f.OPT_TEXT),
    ),
)

FEE_RATE: Shape[FeeRate] = Shape(
    "fee rate",
    FeeRate,
    (
        ("symbol", "symbol", f.NAME),
        ("taker_frac", "takerFeeRate", f.NUMBER),
        ("maker_frac", "makerFeeRate", f.NUMBER),
    ),
)

LEDGER_ROW: Shape[LedgerRow] = Shape(
    "transaction log row",
    LedgerRow,
    (
        ("row_id", "id", f.NAME),
        ("kind", "type", f.NAME),
        ("coin", "currency", f.NAME),
        ("symbol", "symbol", f.OPT_TEXT),
        ("market_category", "category", f.OPT_TEXT),
        ("side", "side", f.OPT_TEXT),
        ("funding", "funding", f.OPT_NUMBER),
        ("fee", "fee", f.OPT_NUMBER),
        ("cash_flow", "cashFlow", f.NUMBER),
        ("change", "change", f.NUMBER),
        ("balance", "cashBalance", f.NUMBER),
        ("qty", "qty", f.OPT_NUMBER),
        ("price", "tradePrice", f.OPT_AMOUNT),
        ("client_order_id", "orderLinkId", f.OPT_TEXT),
        ("venue_order_id", "orderId", f.OPT_TEXT),
        ("trade_id", "tradeId", f.OPT_TEXT),
        ("at", "transactionTime", f.TIME),
    ),
)

"""The calls this program makes: path, pybit's function for it, the limit it counts against, and what it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pybit.unified_trading import HTTP

from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.throttle import EndpointClass as Lane
from eternal_engine.exchange.terms import Market

Method = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Hold one call. `method` is an unbound function of pybit's HTTP class."""

    path: str
    method: Method
    lane: Lane
    verb: Verb = Verb.READ
    signed: bool = True

    @property
    def name(self) -> str:
        """Return the path without its common head, for messages."""
        return self.path.removeprefix("/v5/")


def _public(path: str, method: Method) -> Endpoint:
    return Endpoint(path, method, Lane.MARKET, signed=False)


TIME = _public("/v5/market/time", HTTP.get_server_time)
INSTRUMENTS = _public("/v5/market/instruments-info", HTTP.get_instruments_info)
TICKERS = _public("/v5/market/tickers", HTTP.get_tickers)
KLINE = _public("/v5/market/kline", HTTP.get_kline)
FUNDING_HISTORY = _public("/v5/market/funding/history", HTTP.get_funding_rate_history)

WALLET = Endpoint("/v5/account/wallet-balance", HTTP.get_wallet_balance, Lane.WALLET)
POSITIONS = Endpoint("/v5/position/list", HTTP.get_positions, Lane.POSITIONS)
OPEN_ORDERS = Endpoint("/v5/order/realtime", HTTP.get_open_orders, Lane.OPEN_ORDERS)
ORDER_HISTORY = Endpoint("/v5/order/history", HTTP.get_order_history, Lane.ORDER_HISTORY)
EXECUTIONS = Endpoint("/v5/execution/list", HTTP.get_executions, Lane.EXECUTIONS)
TRANSACTION_LOG = Endpoint("/v5/account/transaction-log", HTTP.get_transaction_log, Lane.LEDGER)
FEE_RATE = Endpoint("/v5/account/fee-rate", HTTP.get_fee_rates, Lane.FEE_RATE)
ACCOUNT_INFO = Endpoint("/v5/account/info", HTTP.get_account_info, Lane.ACCOUNT)
KEY_INFO = Endpoint("/v5/user/query-api", HTTP.get_api_key_information, Lane.KEY)

PLACE = {
    Market.SPOT: Endpoint("/v5/order/create", HTTP.place_order, Lane.SPOT_ORDER, Verb.PLACE),
    Market.PERP: Endpoint("/v5/order/create", HTTP.place_order, Lane.PERP_ORDER, Verb.PLACE),
}
CANCEL = {
    Market.SPOT: Endpoint("/v5/order/cancel", HTTP.cancel_order, Lane.SPOT_CANCEL, Verb.CANCEL),
    Market.PERP: Endpoint("/v5/order/cancel", HTTP.cancel_order, Lane.PERP_CANCEL, Verb.CANCEL),
}
CANCEL_ALL = Endpoint("/v5/order/cancel-all", HTTP.cancel_all_orders, Lane.CANCEL_ALL, Verb.CANCEL)
LEVERAGE = Endpoint("/v5/position/set-leverage", HTTP.set_leverage, Lane.LEVERAGE, Verb.SET)
MARGIN_MODE = Endpoint("/v5/account/set-margin-mode", HTTP.set_margin_mode, Lane.MARGIN_MODE, Verb.SET)
POSITION_MODE = Endpoint("/v5/position/switch-mode", HTTP.switch_position_mode, Lane.POSITION_MODE, Verb.SET)
TRADING_STOP = Endpoint("/v5/position/trading-stop", HTTP.set_trading_stop, Lane.STOP, Verb.SET)
TRANSFER = Endpoint(
    "/v5/asset/transfer/universal-transfer", HTTP.create_universal_transfer, Lane.TRANSFER, Verb.TRANSFER
)
TRANSFER_LIST = Endpoint(
    "/v5/asset/transfer/query-universal-transfer-list", HTTP.get_universal_transfer_records, Lane.TRANSFER_LIST
)

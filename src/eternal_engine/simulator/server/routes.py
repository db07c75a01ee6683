"""The table of paths: which handler, who may call it, how often, and whether the demo has it."""

from __future__ import annotations

from dataclasses import dataclass

from eternal_engine.simulator.server import accounts, market, orders
from eternal_engine.simulator.server.call import Handler


@dataclass(frozen=True, slots=True)
class Route:
    """Hold one path: `limit_class` "" is public, "order" splits by category; `demo` False answers 10032 there."""

    method: str
    handler: Handler
    limit_class: str = ""
    demo: bool = True
    order_call: bool = False


ROUTES: dict[str, Route] = {
    "/v5/market/time": Route("GET", market.server_time),
    "/v5/market/instruments-info": Route("GET", market.instruments_info),
    "/v5/market/tickers": Route("GET", market.tickers),
    "/v5/market/kline": Route("GET", market.kline),
    "/v5/market/mark-price-kline": Route("GET", market.mark_kline),
    "/v5/market/index-price-kline": Route("GET", market.index_kline),
    "/v5/market/orderbook": Route("GET", market.orderbook),
    "/v5/market/recent-trade": Route("GET", market.recent_trades),
    "/v5/market/price-limit": Route("GET", market.price_limit),
    "/v5/market/funding/history": Route("GET", market.funding_history),
    "/v5/market/risk-limit": Route("GET", market.risk_limit),
    "/v5/system/status": Route("GET", market.system_status),
    "/v5/order/create": Route("POST", orders.create, "order", order_call=True),
    "/v5/order/amend": Route("POST", orders.amend, "order_amend", order_call=True),
    "/v5/order/cancel": Route("POST", orders.cancel, "order", order_call=True),
    "/v5/order/cancel-all": Route("POST", orders.cancel_all, "order", order_call=True),
    "/v5/order/create-batch": Route("POST", orders.create_batch, "order", order_call=True),
    "/v5/order/realtime": Route("GET", orders.realtime, "read"),
    "/v5/order/history": Route("GET", orders.history, "read"),
    "/v5/order/spot-borrow-check": Route("GET", orders.spot_borrow_check, "read", demo=False),
    "/v5/execution/list": Route("GET", orders.executions, "read"),
    "/v5/position/list": Route("GET", accounts.position_list, "read"),
    "/v5/position/set-leverage": Route("POST", accounts.set_leverage, "position"),
    "/v5/position/switch-mode": Route("POST", accounts.switch_mode, "position"),
    "/v5/position/switch-isolated": Route("POST", accounts.switch_isolated, "position", demo=False),
    "/v5/position/trading-stop": Route("POST", accounts.trading_stop, "position"),
    "/v5/position/closed-pnl": Route("GET", accounts.closed_pnl, "read"),
    "/v5/account/wallet-balance": Route("GET", accounts.wallet_balance, "read"),
    "/v5/account/info": Route("GET", accounts.account_info, "read"),
    "/v5/account/fee-rate": Route("GET", accounts.fee_rate, "fee", demo=False),
    "/v5/account/transaction-log": Route("GET", accounts.transaction_log, "log"),
    "/v5/account/set-margin-mode": Route("POST", accounts.set_margin_mode, "margin"),
    "/v5/account/collateral-info": Route("GET", accounts.collateral_info, "read"),
    "/v5/account/demo-apply-money": Route("POST", accounts.demo_funds, "funds"),
    "/v5/user/query-api": Route("GET", accounts.query_api, "key"),
    "/v5/user/create-sub-member": Route("POST", accounts.create_sub_member, "sub", demo=False),
    "/v5/user/query-sub-members": Route("GET", accounts.query_sub_members, "key", demo=False),
    "/v5/asset/transfer/universal-transfer": Route("POST", accounts.universal_transfer, "transfer", demo=False),
    "/v5/asset/transfer/query-universal-transfer-list": Route("GET", accounts.transfer_list, "transfer", demo=False),
    "/v5/asset/transfer/inter-transfer": Route("POST", accounts.inter_transfer, "transfer", demo=False),
    "/v5/asset/transfer/query-account-coins-balance": Route("GET", accounts.coins_balance, "transfer", demo=False),
    "/v5/asset/coin/query-info": Route("GET", accounts.coin_info, "transfer", demo=False),
}


def limit_class_of(route: Route, category: str) -> str:
    """Name the rate limit a request counts against."""
    spot = category == "spot"
    if route.limit_class == "order":
        return "order_spot" if spot else "order_linear"
    if route.limit_class == "order_amend":
        return "amend_spot" if spot else "order_linear"
    return route.limit_class

"""Read one account: wallet, positions, orders, executions, the exchange's ledger, and what the key may do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from eternal_engine.exchange.account import AccountInfo, FeeRate, KeyInfo, LedgerRow, Position, Wallet
from eternal_engine.exchange.bybit import endpoints, wire
from eternal_engine.exchange.bybit.caller import Caller
from eternal_engine.exchange.bybit.checks import check_client_id
from eternal_engine.exchange.bybit.paging import Params, all_pages, windows
from eternal_engine.exchange.bybit.wire.fields import bad
from eternal_engine.exchange.capability import Capability
from eternal_engine.exchange.orders import Execution, OrderLookup, OrderReport
from eternal_engine.exchange.terms import Market
from eternal_engine.model.errors import AlreadyDone, RejectedForGood, UnknownOutcome, Unsupported

SETTLE_COIN = "USDT"
ORDER_PAGE = 50
EXECUTION_PAGE = 100
WEEK = timedelta(days=7)


class AccountReader:
    """Implement the reading half of `exchange.port.TradingAccount` over the wire."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def wallet(self) -> Wallet:
        """Return what the account holds."""
        where = "wallet-balance"
        reply = await self._caller.call(endpoints.WALLET, {"accountType": "UNIFIED"})
        wallets = wire.parse_list(wire.WALLET, reply.answer.result.get("list"), where)
        if len(wallets) != 1:
            raise bad("list", len(wallets), "exactly one wallet", where)
        return wallets[0]

    async def positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """Return held positions, all pages; with `symbol` the row of that symbol even when flat."""
        params: Params = {"category": "linear", "limit": 200}
        params |= {"symbol": symbol} if symbol else {"settleCoin": SETTLE_COIN}
        where = "position/list"
        fetch = self._caller.fetcher(endpoints.POSITIONS, where)
        found: dict[tuple[str, int], Position] = {}
        for row in await all_pages(fetch, params, wire.POSITION, where):
            # Behind the last row of a symbol the exchange may hand out a cursor to a blank row of the same.
            found.setdefault((row.symbol, row.position_idx), row)
        return tuple(found.values())

    async def open_orders(self, market: Market, symbol: str | None = None) -> tuple[OrderReport, ...]:
        """Return resting and conditional orders, all pages."""
        where = f"order/realtime {wire.CATEGORY_OF[market]}"
        fetch = self._caller.fetcher(endpoints.OPEN_ORDERS, where)
        params = scope_of(market, symbol) | {"openOnly": 0, "limit": ORDER_PAGE}
        reports = await all_pages(fetch, params, wire.ORDER, where, {"category": wire.CATEGORY_OF[market]})
        return tuple(report for report in reports if report.status.is_open)

    async def order_history(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[OrderReport, ...]:
        """Return orders created in [start, end], oldest first; closed ones without fills last 24 hours (fact 14)."""
        where = f"order/history {wire.CATEGORY_OF[market]}"
        fetch = self._caller.fetcher(endpoints.ORDER_HISTORY, where)
        defaults = {"category": wire.CATEGORY_OF[market]}
        found: dict[str, OrderReport] = {}
        for since, upto in windows(start, end, WEEK):
            params = scope_of(market, symbol, settle=False) | span_of(since, upto) | {"limit": ORDER_PAGE}
            reports = await all_pages(fetch, params, wire.ORDER, where, defaults)
            found |= {report.venue_order_id: report for report in reports}
        return tuple(sorted(found.values(), key=lambda report: (report.created_at, report.venue_order_id)))

    async def executions(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[Execution, ...]:
        """Return executions in [start, end], oldest first, all pages and windows, each execution id once."""
        found: list[Execution] = []
        for since, upto in windows(start, end, WEEK):
            params = scope_of(market, symbol, settle=False) | span_of(since, upto)
            found.extend(await self._executions(market, params))
        return in_order(found)

    async def _executions(self, market: Market, params: Params) -> tuple[Execution, ...]:
        category = wire.CATEGORY_OF[market]
        where = f"execution/list {category}"
        fetch = self._caller.fetcher(endpoints.EXECUTIONS, where)
        params = {**params, "limit": EXECUTION_PAGE}
        return await all_pages(fetch, params, wire.EXECUTION, where, {"category": category})

    async def find_order(self, market: Market, client_order_id: str) -> OrderLookup:
        """Look for one order in open orders, history and executions (3.4).

        Raises Retry, RateLimited, BadReply, HaltTrading or UnknownOutcome, and never what could be taken for the fate
        of the order: a refused look-up says nothing about it (ORD-2).
        """
        check_client_id(client_order_id)
        try:
            return await self._find_order(market, client_order_id)
        except (RejectedForGood, AlreadyDone, Unsupported) as error:
            raise UnknownOutcome(
                f"the look-up was refused: {error.message}",
                code=error.code,
                where=error.where,
                mend="the order stays unknown; look again",
            ) from error

    async def _find_order(self, market: Market, client_order_id: str) -> OrderLookup:
        category = wire.CATEGORY_OF[market]
        looked_at = self._caller.now()
        params: Params = {"category": category, "orderLinkId": client_order_id}
        report = None
        for endpoint in (endpoints.OPEN_ORDERS, endpoints.ORDER_HISTORY):
            where = f"{endpoint.name} {client_order_id}"
            reply = await self._caller.call(endpoint, dict(params), where)
            rows = wire.parse_list(wire.ORDER, reply.answer.result.get("list"), where, {"category": category})
            report = next((row for row in rows if row.client_order_id == client_order_id), None)
            if report is not None:
                break
        executions = await self._executions(market, params)
        mine = [row for row in executions if row.client_order_id == client_order_id]
        return OrderLookup(client_order_id, report, in_order(mine), looked_at)

    async def ledger(self, start: datetime, end: datetime) -> tuple[LedgerRow, ...]:
        """Return the exchange's own book rows in [start, end], oldest first: deposits, funding, trades."""
        where = "transaction-log"
        fetch = self._caller.fetcher(endpoints.TRANSACTION_LOG, where)
        found: dict[tuple[str, str, str], LedgerRow] = {}
        for since, upto in windows(start, end, WEEK):
            params: Params = {"accountType": "UNIFIED", **span_of(since, upto), "limit": 50}
            rows = await all_pages(fetch, params, wire.LEDGER_ROW, where)
            found |= {(row.row_id, row.trade_id, row.kind): row for row in rows}
        return tuple(sorted(found.values(), key=lambda row: (row.at, row.row_id, row.trade_id)))

    async def fee_rates(self, market: Market) -> tuple[FeeRate, ...]:
        """Return the account's fees; Unsupported on the demo."""
        self._caller.need(Capability.FEE_RATE, "fee-rate")
        params: Params = {"category": wire.CATEGORY_OF[market]}
        reply = await self._caller.call(endpoints.FEE_RATE, params)
        return wire.parse_list(wire.FEE_RATE, reply.answer.result.get("list"), "fee-rate")

    async def account_info(self) -> AccountInfo:
        """Return how the account is set (unified, margin mode)."""
        reply = await self._caller.call(endpoints.ACCOUNT_INFO, {})
        return wire.ACCOUNT_INFO.parse(reply.answer.result, "account/info")

    async def key_info(self) -> KeyInfo:
        """Return what the key may do."""
        self._caller.need(Capability.KEY_INFO, "query-api")
        reply = await self._caller.call(endpoints.KEY_INFO, {})
        return wire.KEY_INFO.parse(reply.answer.result, "query-api")


def scope_of(market: Market, symbol: str | None, *, settle: bool = True) -> Params:
    """Say which symbols a call is about; for all perpetuals the settle coin must be named (1.1)."""
    params: Params = {"category": wire.CATEGORY_OF[market]}
    if symbol:
        params["symbol"] = symbol
    elif market is Market.PERP and settle:
        params["settleCoin"] = SETTLE_COIN
    return params


def span_of(start: datetime, end: datetime) -> Params:
    """Name a span of time."""
    return {"startTime": wire.to_ms(start), "endTime": wire.to_ms(end)}


def in_order(executions: Iterable[Execution]) -> tuple[Execution, ...]:
    """Sort executions by time and keep each execution id once."""
    unique = {row.execution_id: row for row in executions}
    return tuple(sorted(unique.values(), key=lambda row: (row.at, row.seq or 0, row.execution_id)))

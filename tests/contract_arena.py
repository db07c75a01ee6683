"""One embedded exchange per test and three clients in front of it: pybit and ccxt over the wire, ours in the process.

The market stands still until a test moves it. BTC trades at 50,000, ETH at 2,500, SOL at 100 on both markets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro
import numpy as np

from eternal_engine.exchange.account import AccountInfo, FeeRate, KeyInfo, LedgerRow, Position, Wallet
from eternal_engine.exchange.bybit import errors, wire
from eternal_engine.exchange.bybit.client import Client, Credentials, PybitDemoClient
from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.local import LocalClient
from eternal_engine.exchange.bybit.throttle import AddressThrottle, Throttle
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.market import Candle, FundingRate, Instrument, Ticker
from eternal_engine.exchange.orders import Execution, OrderAck, OrderLookup, OrderReport, OrderRequest
from eternal_engine.exchange.terms import MarginMode, Market, OrderKind, QtyUnit, Side
from eternal_engine.market_data.history import FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.model.errors import AlreadyDone
from eternal_engine.simulator.adapter import Door
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.server.app import Server
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.venue import Quote, Venue, VenueConfig

HOUR_MS = 3_600_000
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 21, 12, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PRICES = (50_000.0, 2_500.0, 100.0)
HOURS = 40 * 24
CLIENTS = ("pybit", "ccxt", "in-process")


class NotInClient(Exception):
    """Say that a client has no such call; the matrix shows a dash."""


def history() -> MarketHistory:
    """Build hourly bars that open and close at the same round price and breathe a little in between."""
    flat = np.array(PRICES)[:, None] * np.ones((1, HOURS))
    bars = Ohlcv(flat.copy(), flat * 1.002, flat * 0.998, flat.copy(), np.full_like(flat, 10.0))
    start_ms = wire.to_ms(START)
    stamps = np.arange(start_ms, start_ms + HOURS * HOUR_MS, 8 * HOUR_MS, dtype=np.int64)
    rates = np.where(np.arange(len(stamps)) % 3 == 2, -0.0001, 0.0002)
    funding = FundingRates(stamps, rates, np.full(len(stamps), 8.0))
    nobody = np.zeros(0)
    return MarketHistory(
        symbols=SYMBOLS,
        start_ms=start_ms,
        spot=bars,
        perp=bars,
        perp_stand_in=np.zeros((3, HOURS), dtype=np.bool_),
        funding=(funding, funding, funding),
        first_funding_ms=np.full(3, start_ms, dtype=np.int64),
        listed_ms=np.full(3, start_ms, dtype=np.int64),
        delisted_ms=np.full(3, -1, dtype=np.int64),
        sentiment=Sentiment(nobody.astype(np.int64), nobody),
        source="flat",
        synthetic=True,
        fingerprint="flat",
    )


@dataclass
class Arena:
    """Hold one exchange, its server and the account `alpha` under test; `main` is its master, `beta` a sibling."""

    world: World
    server: Server
    uids: dict[str, int]

    @classmethod
    async def open(cls, *, demo: bool = False, **config: Any) -> Arena:
        """Open an exchange whose accounts hold 100,000 USDT each."""
        venue = Venue(VenueConfig(demo=demo, **config), now_ms=wire.to_ms(NOW))
        uids = {"main": venue.open_account("main").uid}
        uids |= {name: venue.open_account(name, parent_uid=uids["main"]).uid for name in ("alpha", "beta")}
        for uid in uids.values():
            venue.deposit(uid, "USDT", Decimal(100_000))
        feed = HistoryFeed(history())
        feed.open_market(venue)
        world = World(venue, feed, VenueClock(speed=0, venue_ms=wire.to_ms(NOW)), demo=demo)
        world.settle()
        server = Server(world)
        await server.start()
        return cls(world, server, uids)

    async def close(self) -> None:
        """Stop the server and see that the books still balance."""
        await self.server.stop()
        assert self.world.venue.audit() == ()

    @property
    def url(self) -> str:
        """Return the REST address."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def stream_url(self) -> str:
        """Return the stream address without its path."""
        return f"ws://127.0.0.1:{self.server.port}"

    @property
    def now(self) -> datetime:
        """Return venue time."""
        return START + timedelta(milliseconds=self.world.venue.state.now_ms - wire.to_ms(START))

    def credentials(self, name: str = "alpha") -> Credentials:
        """Return an account's key."""
        account = self.world.venue.state.account(self.uids[name])
        return Credentials(account.api_key, account.api_secret)

    def step(self, **span: float) -> None:
        """Let venue time pass, through everything that lies between."""
        self.world.step_to(self.world.venue.state.now_ms + timedelta(**span) // timedelta(milliseconds=1))

    def price(self, symbol: str, last: str, market: Market | None = None, mark: str | None = None) -> None:
        """Set the price of one market (default both); it touches what rests. `mark` sets the mark price apart."""
        quote = Quote.flat(Decimal(last))
        if mark is not None:
            quote = replace(quote, mark=Decimal(mark))
        for each in (market,) if market else (Market.SPOT, Market.PERP):
            category: Any = wire.CATEGORY_OF[each]
            self.world.venue.tick({(category, symbol): quote})
        self.world.settle()

    def client(self, kind: str, name: str = "alpha", environment: Environment = Environment.PAPER) -> Any:
        """Return one of the three clients for an account."""
        if kind == "pybit":
            throttle = Throttle(AddressThrottle(limit=100_000))
            return PybitDemoClient(
                name, self.credentials(name), endpoint=self.url, environment=environment, throttle=throttle
            )
        if kind == "ccxt":
            return CcxtClient(name, self.credentials(name), self.url, self.stream_url)
        return LocalClient(name, Door(self.world, self.uids[name]), environment)


def ccxt_exchange(credentials: Credentials | None, url: str, stream_url: str) -> Any:
    """Make ccxt's own bybit client with nothing but its addresses changed."""
    keys = {"apiKey": credentials.key, "secret": credentials.secret} if credentials else {}
    exchange = ccxt.pro.bybit({**keys, "enableRateLimit": False})
    for name, value in exchange.urls["api"].items():
        if isinstance(value, str):
            exchange.urls["api"][name] = url
    public = {name: f"{stream_url}/v5/public/{name}" for name in ("spot", "linear", "inverse", "option")}
    private = {"spot": {"unified": f"{stream_url}/v5/private"}, "contract": f"{stream_url}/v5/private"}
    exchange.urls["api"]["ws"] = {"public": public, "private": private}
    return exchange


class CcxtClient:
    """Put ccxt behind the port's verbs, as far as ccxt has them; its raw rows go through our parsers."""

    def __init__(self, account: str, credentials: Credentials, url: str, stream_url: str) -> None:
        self.account = account
        self.ccxt = ccxt_exchange(credentials, url, stream_url)
        self._names: dict[str, str] = {}

    async def close(self) -> None:
        await self.ccxt.close()

    async def _do(self, work: Any, verb: Verb = Verb.READ) -> Any:
        try:
            return await work
        except ccxt.BaseError as error:
            found = re.search(r'\{.*"retCode":.*\}', str(error), re.DOTALL)
            if found is None:
                raise
            answer = json.loads(found.group())
            raise errors.from_code(answer["retCode"], answer["retMsg"], verb=verb, where="ccxt") from error

    async def _symbol(self, market: Market, symbol: str) -> str:
        await self.ccxt.load_markets()
        base = symbol.removesuffix("USDT")
        return f"{base}/USDT" if market is Market.SPOT else f"{base}/USDT:USDT"

    async def server_time(self) -> datetime:
        return datetime.fromtimestamp(await self.ccxt.fetch_time() / 1000, UTC)

    async def instruments(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Instrument, ...]:
        category = wire.CATEGORY_OF[market]
        rows = await self._do(self.ccxt.fetch_markets())
        wanted = "spot" if market is Market.SPOT else "swap"
        mine = [row["info"] for row in rows if row["type"] == wanted and row["quote"] == "USDT"]
        return tuple(
            wire.parse_instrument(row, category) for row in mine if symbols is None or row["symbol"] in symbols
        )

    async def tickers(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Ticker, ...]:
        names = [await self._symbol(market, symbol) for symbol in symbols or SYMBOLS]
        rows = await self._do(self.ccxt.fetch_tickers(names))
        now_ms = wire.to_ms(NOW)
        return tuple(wire.parse_ticker(row["info"], wire.CATEGORY_OF[market], now_ms) for row in rows.values())

    async def candles(
        self, market: Market, symbol: str, interval: timedelta, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        name = await self._symbol(market, symbol)
        word = {"60": "1h", "D": "1d", "1": "1m", "240": "4h"}[wire.INTERVAL_WORD[interval]]
        rows = await self._do(
            self.ccxt.fetch_ohlcv(name, word, wire.to_ms(start), 1000, {"until": wire.to_ms(end) - 1})
        )
        found = []
        for opened_ms, *values in rows:
            opened = datetime.fromtimestamp(opened_ms / 1000, UTC)
            numbers = [Decimal(repr(value)) for value in values]
            candle = Candle(market, symbol, interval, opened, *numbers, Decimal(0), opened + interval <= NOW)
            found.append(candle)
        return tuple(found)

    async def funding_rates(self, symbol: str, start: datetime, end: datetime) -> tuple[FundingRate, ...]:
        name = await self._symbol(Market.PERP, symbol)
        rows = await self._do(
            self.ccxt.fetch_funding_rate_history(name, wire.to_ms(start), 200, {"until": wire.to_ms(end) - 1})
        )
        return tuple(wire.FUNDING_RATE.parse(row["info"]) for row in rows)

    async def wallet(self) -> Wallet:
        balance = await self._do(self.ccxt.fetch_balance())
        wallet = wire.WALLET.parse(balance["info"]["result"]["list"][0])
        for coin in wallet.coins:
            assert Decimal(repr(balance[coin.coin]["total"])) == coin.wallet_qty.normalize() or coin.unrealised_pnl
        return wallet

    async def positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        names = [await self._symbol(Market.PERP, symbol)] if symbol else None
        rows = await self._do(self.ccxt.fetch_positions(names, {"settleCoin": "USDT"} if names is None else {}))
        return tuple(wire.POSITION.parse(row["info"]) for row in rows)

    def _orders(self, rows: list[dict[str, Any]], market: Market) -> tuple[OrderReport, ...]:
        category = wire.CATEGORY_OF[market]
        reports = []
        for row in rows:
            report = wire.ORDER.parse({"category": category, **row["info"]})
            assert Decimal(repr(row["filled"])) == report.filled_qty
            reports.append(report)
        return tuple(sorted(reports, key=lambda report: report.created_at))

    async def open_orders(self, market: Market, symbol: str | None = None) -> tuple[OrderReport, ...]:
        name = await self._symbol(market, symbol or "BTCUSDT")
        if symbol is None:
            raise NotInClient("ccxt lists open orders by symbol")
        rows = await self._do(self.ccxt.fetch_open_orders(name, None, 50))
        return self._orders(rows, market)

    async def order_history(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[OrderReport, ...]:
        name = await self._symbol(market, symbol or "BTCUSDT")
        rows = await self._do(
            self.ccxt.fetch_canceled_and_closed_orders(name, wire.to_ms(start), 50, {"until": wire.to_ms(end)})
        )
        return self._orders(rows, market)

    async def executions(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[Execution, ...]:
        name = await self._symbol(market, symbol or "BTCUSDT")
        category = wire.CATEGORY_OF[market]
        span = {"startTime": wire.to_ms(start), "endTime": wire.to_ms(end), "limit": 100}
        where = {"category": category, **span} | ({"symbol": symbol} if symbol else {})
        answer = await self._do(self.ccxt.private_get_v5_execution_list(where))
        rows = [wire.EXECUTION.parse({"category": category, **row}) for row in answer["result"]["list"]]
        found = sorted(rows, key=lambda row: (row.at, row.seq or 0))
        trades = await self._do(self.ccxt.fetch_my_trades(name, wire.to_ms(start), 100, {"until": wire.to_ms(end)}))
        ids = {row.execution_id for row in found}
        assert all(trade["id"] in ids for trade in trades)
        return tuple(found)

    async def place(self, request: OrderRequest) -> OrderAck:
        name = await self._symbol(request.market, request.symbol)
        self._names[request.client_order_id] = name
        body = wire.dump_request(request)
        plain = ("timeInForce", "reduceOnly", "positionIdx", "triggerPrice", "triggerBy", "closeOnTrigger")
        params = {key: body[key] for key in (*plain, "slTriggerBy", "tpslMode") if key in body}
        if "stopLoss" in body:
            params["stopLoss"] = {"triggerPrice": body["stopLoss"]}
        params |= {"clientOrderId": request.client_order_id}
        if "triggerDirection" in body:
            params["triggerDirection"] = "ascending" if body["triggerDirection"] == 1 else "descending"
        amount: Any = body["qty"]
        if request.qty_unit is QtyUnit.QUOTE:
            params["cost"] = body["qty"]
            amount = None
        work = self.ccxt.create_order(name, request.kind.value, request.side.value, amount, body.get("price"), params)
        order = await self._do(work, Verb.PLACE)
        assert order["clientOrderId"] == request.client_order_id
        return OrderAck(order["clientOrderId"], order["id"])

    async def cancel(self, market: Market, symbol: str, client_order_id: str) -> OrderAck:
        name = await self._symbol(market, symbol)
        order = await self._do(self.ccxt.cancel_order(None, name, {"orderLinkId": client_order_id}), Verb.CANCEL)
        return OrderAck(order["clientOrderId"], order["id"])

    async def cancel_all(self, market: Market, symbol: str | None = None) -> tuple[OrderAck, ...]:
        if market is Market.SPOT:
            raise NotInClient("ccxt cancels plain spot orders only")
        name = await self._symbol(market, symbol or "BTCUSDT")
        params = {} if symbol else {"settleCoin": "USDT"}
        rows = await self._do(self.ccxt.cancel_all_orders(name if symbol else None, params), Verb.CANCEL)
        return tuple(OrderAck(row["clientOrderId"], row["id"]) for row in rows)

    async def find_order(self, market: Market, client_order_id: str) -> OrderLookup:
        name = self._names.get(client_order_id) or await self._symbol(market, "BTCUSDT")
        category = wire.CATEGORY_OF[market]
        by_id = {"orderLinkId": client_order_id}
        rows = await self._do(self.ccxt.fetch_open_orders(name, None, None, by_id))
        rows = rows or await self._do(self.ccxt.fetch_canceled_and_closed_orders(name, None, None, by_id))
        reports = [wire.ORDER.parse({"category": category, **row["info"]}) for row in rows]
        trades = await self._do(self.ccxt.fetch_my_trades(name, None, None, by_id))
        executions = tuple(wire.EXECUTION.parse({"category": category, **row["info"]}) for row in trades)
        return OrderLookup(client_order_id, reports[0] if reports else None, executions, NOW)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        name = await self._symbol(Market.PERP, symbol)
        try:
            await self._do(self.ccxt.set_leverage(str(leverage), name), Verb.SET)
        except AlreadyDone:
            return

    async def set_margin_mode(self, mode: MarginMode) -> None:
        await self._do(self.ccxt.set_margin_mode(mode.value), Verb.SET)

    async def require_one_way(self, symbol: str) -> None:
        name = await self._symbol(Market.PERP, symbol)
        try:
            await self._do(self.ccxt.set_position_mode(False, name), Verb.SET)
        except AlreadyDone:
            return

    async def set_stop(self, symbol: str, price: Decimal | None) -> None:
        body = {"category": "linear", "symbol": symbol, "positionIdx": 0, "tpslMode": "Full"}
        body |= {"stopLoss": "0" if price is None else str(price), "slTriggerBy": "MarkPrice"}
        try:
            await self._do(self.ccxt.private_post_v5_position_trading_stop(body), Verb.SET)
        except AlreadyDone:
            return

    async def transfer(self, *_: object) -> str:
        raise NotInClient("ccxt moves coins inside one account only")

    async def ledger(self, start: datetime, end: datetime) -> tuple[LedgerRow, ...]:
        rows = await self._do(self.ccxt.fetch_ledger("USDT", wire.to_ms(start), 50, {"endTime": wire.to_ms(end)}))
        return tuple(wire.LEDGER_ROW.parse(row["info"]) for row in rows)

    async def fee_rates(self, market: Market) -> tuple[FeeRate, ...]:
        fees = [await self._do(self.ccxt.fetch_trading_fee(await self._symbol(market, name))) for name in SYMBOLS]
        return tuple(wire.FEE_RATE.parse(fee["info"]) for fee in fees)

    async def account_info(self) -> AccountInfo:
        answer = await self._do(self.ccxt.private_get_v5_account_info())
        return wire.ACCOUNT_INFO.parse(
            answer["result"] | {"unifiedMarginStatus": int(answer["result"]["unifiedMarginStatus"])}
        )

    async def key_info(self) -> KeyInfo:
        answer = await self._do(self.ccxt.private_get_v5_user_query_api())
        return wire.KEY_INFO.parse(answer["result"])


def spot(client_order_id: str, side: Side, qty: str, **more: Any) -> OrderRequest:
    """Build a spot order: a market one unless `price` is given; market buys are sized in USDT."""
    price = more.pop("price", None)
    kind = OrderKind.MARKET if price is None else OrderKind.LIMIT
    unit = QtyUnit.QUOTE if price is None and side is Side.BUY else QtyUnit.BASE
    more = {"symbol": "BTCUSDT", "qty_unit": unit, **more}
    return OrderRequest(
        client_order_id, Market.SPOT, side=side, kind=kind, qty=Decimal(qty), price=_decimal(price), **more
    )


def perp(client_order_id: str, side: Side, qty: str, **more: Any) -> OrderRequest:
    """Build a perpetual order: a market one unless `price` is given."""
    price = more.pop("price", None)
    kind = OrderKind.MARKET if price is None else OrderKind.LIMIT
    more = {"symbol": "BTCUSDT", **more}
    return OrderRequest(
        client_order_id, Market.PERP, side=side, kind=kind, qty=Decimal(qty), price=_decimal(price), **more
    )


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


__all__ = ["CLIENTS", "NOW", "SYMBOLS", "Arena", "CcxtClient", "Client", "NotInClient", "ccxt_exchange", "perp", "spot"]

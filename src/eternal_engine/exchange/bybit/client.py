"""The port over the wire: one account of Bybit, demo, live or the embedded exchange; endpoint and keys differ alone.

Facts cited by number and sections like 1.1 are explained in docs/exchange-client.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from eternal_engine.exchange.bybit import endpoints, errors, wire
from eternal_engine.exchange.bybit.caller import Caller, WireCaller, rows_of
from eternal_engine.exchange.bybit.checks import check_client_id, check_request
from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.holdings import AccountReader, scope_of
from eternal_engine.exchange.bybit.market import MarketReader
from eternal_engine.exchange.bybit.paging import Params
from eternal_engine.exchange.bybit.setup import AccountSetup
from eternal_engine.exchange.bybit.throttle import Throttle
from eternal_engine.exchange.bybit.transport import Reply, Transport, TransportSettings
from eternal_engine.exchange.bybit.wire.fields import NAME
from eternal_engine.exchange.capability import CAPABILITIES, Capabilities, Capability, Environment
from eternal_engine.exchange.orders import OrderAck, OrderRequest
from eternal_engine.exchange.terms import MarginMode, Market
from eternal_engine.model.errors import BadReply, UnknownOutcome

DEMO_ENDPOINT = "https://api-demo.bybit.com"
LIVE_ENDPOINT = "https://api.bybit.com"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold one key pair; its text never shows."""

    key: str
    secret: str

    def __repr__(self) -> str:
        """Return a text without the secret."""
        return f"Credentials(key={self.key[:4]}..., secret=***)"


class Client(MarketReader, AccountReader):
    """Implement `exchange.port.Exchange` over any way of calling: the wire, or a venue inside this process.

    Nothing is ever sent twice from here: repeating is the order manager's decision.
    """

    def __init__(self, caller: Caller) -> None:
        MarketReader.__init__(self, caller)
        AccountReader.__init__(self, caller)
        self._setup = AccountSetup(caller, self)

    @property
    def account(self) -> str:
        """Return the account's name."""
        return self._caller.account

    @property
    def capabilities(self) -> Capabilities:
        """Return what this environment can do."""
        return self._caller.capabilities

    async def place(self, request: OrderRequest) -> OrderAck:
        """Send one order, once. An answer means taken in, not filled (fact 5); UnknownOutcome means look it up."""
        check_request(request)
        where = f"order/create {request.client_order_id}"
        reply = await self._caller.call(endpoints.PLACE[request.market], wire.dump_request(request), where)
        return _ack(reply, request.client_order_id, where, Verb.PLACE)

    async def cancel(self, market: Market, symbol: str, client_order_id: str) -> OrderAck:
        """Ask to cancel one order; AlreadyDone when it is gone: read its final state."""
        check_client_id(client_order_id)
        where = f"order/cancel {client_order_id}"
        params: Params = {
            "category": wire.CATEGORY_OF[market],
            "symbol": symbol,
            "orderLinkId": client_order_id,
        }
        reply = await self._caller.call(endpoints.CANCEL[market], params, where)
        return _ack(reply, client_order_id, where, Verb.CANCEL)

    async def cancel_all(self, market: Market, symbol: str | None = None) -> tuple[OrderAck, ...]:
        """Ask to cancel every open order of a market, conditional ones included."""
        where = f"order/cancel-all {wire.CATEGORY_OF[market]}"
        # Spot cancels plain orders only unless told otherwise (1.1).
        filters = ("Order", "StopOrder", "tpslOrder") if market is Market.SPOT else (None,)
        acks: list[OrderAck] = []
        for order_filter in filters:
            params = scope_of(market, symbol) | ({"orderFilter": order_filter} if order_filter else {})
            reply = await self._caller.call(endpoints.CANCEL_ALL, params, where)
            try:
                acks.extend(wire.parse_list(wire.ACK, reply.answer.result.get("list"), where))
            except BadReply as error:
                raise errors.unreadable(error, verb=Verb.CANCEL, where=where) from error
        return tuple(acks)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of a perpetual; an unchanged one is success."""
        await self._setup.leverage(symbol, leverage)

    async def set_margin_mode(self, mode: MarginMode) -> None:
        """Set the margin mode of the whole account; unchanged is success, Unsupported means cross margin is kept."""
        await self._setup.margin_mode(mode)

    async def require_one_way(self, symbol: str) -> None:
        """Make a perpetual hold one position at a time; RejectedForGood while hedge mode is held up by what is open."""
        await self._setup.one_way(symbol)

    async def set_stop(self, symbol: str, price: Decimal | None) -> None:
        """Set or (None) remove the stop of the whole position, triggered by the mark price; unchanged is success."""
        params: Params = {
            "category": "linear",
            "symbol": symbol,
            "positionIdx": 0,
            "tpslMode": "Full",
            "stopLoss": "0" if price is None else wire.write_number(price),
            "slTriggerBy": "MarkPrice",
        }
        await self._caller.set_value(endpoints.TRADING_STOP, params, f"trading-stop {symbol}")

    async def transfer(self, transfer_id: str, coin: str, amount: Decimal, from_uid: str, to_uid: str) -> str:
        """Move coins between sub-accounts; `transfer_id` is a UUID and the key of idempotency. Returns the status.

        Unsupported on the demo. After UnknownOutcome ask `transfer_status`.
        """
        self._caller.need(Capability.TRANSFER, "universal-transfer")
        where = f"universal-transfer {transfer_id}"
        params: Params = {
            "transferId": transfer_id,
            "coin": coin,
            "amount": wire.write_number(amount),
            "fromMemberId": int(from_uid),
            "toMemberId": int(to_uid),
            "fromAccountType": "UNIFIED",
            "toAccountType": "UNIFIED",
        }
        reply = await self._caller.call(endpoints.TRANSFER, params, where)
        try:
            return wire.read_field(reply.answer.result, "status", NAME, where)
        except BadReply as error:
            raise errors.unreadable(error, verb=Verb.TRANSFER, where=where) from error

    async def transfer_status(self, transfer_id: str) -> str | None:
        """Return the status of one transfer, None when the exchange does not know the id."""
        self._caller.need(Capability.TRANSFER, "universal-transfer")
        where = f"query-universal-transfer-list {transfer_id}"
        params: Params = {"transferId": transfer_id}
        reply = await self._caller.call(endpoints.TRANSFER_LIST, params, where)
        for row in rows_of(reply.answer.result, where):
            if row.get("transferId") == transfer_id:
                return wire.read_field(row, "status", NAME, where)
        return None

    async def warm(self) -> None:
        """Do nothing: a call inside this process waits for no connection."""

    async def close(self) -> None:
        """Give back threads and connections; the object is of no use afterwards."""
        self._caller.close()


class PybitClient(Client):
    """Be one account of Bybit over pybit. Public calls need no credentials; every signed one waits its turn."""

    environment = Environment.LIVE
    default_endpoint = LIVE_ENDPOINT

    def __init__(
        self,
        account: str,
        credentials: Credentials | None = None,
        *,
        endpoint: str | None = None,
        environment: Environment | None = None,
        throttle: Throttle | None = None,
        settings: TransportSettings | None = None,
    ) -> None:
        key, secret = (credentials.key, credentials.secret) if credentials else ("", "")
        self._wire_caller = WireCaller(
            account,
            Transport(endpoint or self.default_endpoint, key, secret, settings),
            throttle or Throttle(),
            CAPABILITIES[environment or self.environment],
            has_key=credentials is not None,
        )
        super().__init__(self._wire_caller)

    async def warm(self) -> None:
        """Open as many connections as calls may run at once; what cannot be opened now is opened when it is needed."""
        await self._wire_caller.warm()

    @property
    def clock_offset_ms(self) -> int | None:
        """Return the exchange's clock minus ours, None before the first answer."""
        return self._wire_caller.clock.offset_ms

    @property
    def silent_s(self) -> float | None:
        """Return the seconds since the last answered call (ORD-6), None before the first."""
        return self._wire_caller.silent_s


class PybitDemoClient(PybitClient):
    """Be the client of the demo site and, by `endpoint` and `environment`, of the embedded exchange."""

    environment = Environment.DEMO
    default_endpoint = DEMO_ENDPOINT


class PybitLiveClient(PybitClient):
    """Be the client of the real site."""

    environment = Environment.LIVE
    default_endpoint = LIVE_ENDPOINT


def _ack(reply: Reply, client_order_id: str, where: str, verb: Verb) -> OrderAck:
    try:
        ack = wire.ACK.parse(reply.answer.result, where)
    except BadReply as error:
        raise errors.unreadable(error, verb=verb, where=where) from error
    if ack.client_order_id != client_order_id:
        raise UnknownOutcome(
            f"the acknowledgement names order {ack.client_order_id!r}",
            where=where,
            mend="look the order up by its client order id",
        )
    return ack

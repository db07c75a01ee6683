"""The nouns of the venue: accounts, quotes, orders, executions, positions, and what it tells the outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from eternal_engine.simulator.venue.instruments import Category

Side = Literal["Buy", "Sell"]
OrderType = Literal["Market", "Limit"]
TimeInForce = Literal["GTC", "IOC", "FOK", "PostOnly"]
MarginMode = Literal["REGULAR_MARGIN", "ISOLATED_MARGIN"]

ZERO = Decimal(0)
# The smallest unit any wallet moves by, and the smallest that is told over the wire: who adds up what he is told has
# the wallet to the last digit. With balances under 1e12 every sum stays inside Decimal's 28 digits, so adding and
# subtracting is exact and the audit can compare with ==.
ATOM = Decimal("1e-12")

OPEN_STATUSES = frozenset({"New", "PartiallyFilled", "Untriggered"})


class VenueReject(Exception):
    """Refuse a request with the exchange's own number and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Quote:
    """Hold what the price source says now; all prices per base coin in the quote coin."""

    last: Decimal
    bid: Decimal
    ask: Decimal
    mark: Decimal
    index: Decimal

    @classmethod
    def flat(cls, price: Decimal) -> Quote:
        """Make a quote without spread, basis or premium."""
        return cls(price, price, price, price, price)


@dataclass(frozen=True, slots=True)
class Range:
    """Hold the path of one bar that has passed: its open, and the extremes of last, mark and index price."""

    open: Decimal
    low: Decimal
    high: Decimal
    close: Decimal
    mark_low: Decimal
    mark_high: Decimal
    index_low: Decimal
    index_high: Decimal


@dataclass(slots=True)
class Account:
    """Hold one (sub-)account and its settings; `parent_uid` is 0 for the master."""

    uid: int
    name: str
    api_key: str
    api_secret: str
    parent_uid: int = 0
    margin_mode: MarginMode = "REGULAR_MARGIN"
    hedge_symbols: list[str] = field(default_factory=list)
    leverage: dict[str, Decimal] = field(default_factory=dict)
    fees_in_mnt: bool = False
    read_only: bool = False
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Hold a request as the wire gave it, parsed but unchecked; None means the field was absent."""

    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    market_unit: Literal["", "baseCoin", "quoteCoin"] = ""
    link_id: str = ""
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: Decimal | None = None
    trigger_direction: int = 0
    trigger_by: Literal["LastPrice", "MarkPrice", "IndexPrice"] = "LastPrice"
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: Literal["LastPrice", "MarkPrice", "IndexPrice"] = "LastPrice"
    sl_trigger_by: Literal["LastPrice", "MarkPrice", "IndexPrice"] = "LastPrice"
    order_filter: str = "Order"
    slippage_frac: Decimal | None = None
    slippage_ticks: int | None = None
    is_leverage: int = 0


@dataclass(slots=True)
class Order:
    """Hold one order and how far it got; amounts in base coins unless `market_unit` is quoteCoin."""

    uid: int
    order_id: str
    link_id: str
    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    time_in_force: TimeInForce
    created_ms: int
    updated_ms: int
    number: int
    status: str = "New"
    market_unit: str = ""
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: Decimal | None = None
    trigger_direction: int = 0
    trigger_by: str = ""
    stop_order_type: str = ""
    order_filter: str = "Order"
    take_profit: Decimal = ZERO
    stop_loss: Decimal = ZERO
    tp_trigger_by: str = "LastPrice"
    sl_trigger_by: str = "LastPrice"
    slippage_frac: Decimal | None = None
    slippage_ticks: int | None = None
    reject_reason: str = "EC_NoError"
    cancel_type: str = "UNKNOWN"
    create_type: str = "CreateByUser"
    cum_qty: Decimal = ZERO
    cum_value: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=dict)
    leaves_qty: Decimal = ZERO
    leaves_value: Decimal = ZERO
    locked: Decimal = ZERO
    last_on_created: Decimal = ZERO
    closed_pnl: Decimal = ZERO
    visible_ms: int = 0
    live_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Tell whether the order may still trade."""
        return self.status in OPEN_STATUSES

    @property
    def in_quote(self) -> bool:
        """Tell whether `qty` is an amount of the quote coin."""
        return self.market_unit == "quoteCoin"

    @property
    def avg_price(self) -> Decimal | None:
        """Give the average price of what has been filled, or None before the first fill."""
        return self.cum_value / self.cum_qty if self.cum_qty else None


@dataclass(frozen=True, slots=True)
class Execution:
    """Hold one fill or funding settlement; `fee` is positive when paid, in `fee_coin`."""

    uid: int
    exec_id: str
    order_id: str
    link_id: str
    category: Category
    symbol: str
    side: Side
    exec_type: str
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    closed_qty: Decimal
    leaves_qty: Decimal
    order_price: Decimal
    order_qty: Decimal
    order_type: str
    stop_order_type: str
    create_type: str
    mark: Decimal
    pnl: Decimal
    time_ms: int
    seq: int


@dataclass(slots=True)
class Position:
    """Hold one perpetual position; `size` is signed, `cost` is the signed entry value in USDT."""

    uid: int
    symbol: str
    idx: int
    size: Decimal = ZERO
    cost: Decimal = ZERO
    margin: Decimal = ZERO
    take_profit: Decimal = ZERO
    stop_loss: Decimal = ZERO
    trailing_stop: Decimal = ZERO
    trailing_active: Decimal = ZERO
    trailing_best: Decimal = ZERO
    realised: Decimal = ZERO
    realised_total: Decimal = ZERO
    created_ms: int = 0
    opened_ms: int = 0
    updated_ms: int = 0
    seq: int = -1

    @property
    def avg_price(self) -> Decimal:
        """Give the average entry price, zero when flat."""
        return self.cost / self.size if self.size else ZERO


@dataclass(frozen=True, slots=True)
class LogRow:
    """Hold one line of an account's transaction log; `change` is what the wallet moved by, `balance` what it became."""

    uid: int
    row_id: str
    kind: str
    category: str
    symbol: str
    side: str
    coin: str
    qty: Decimal
    size: Decimal
    price: Decimal
    funding: Decimal
    fee: Decimal
    fee_rate: Decimal
    cash_flow: Decimal
    change: Decimal
    balance: Decimal
    order_id: str
    link_id: str
    trade_id: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class ClosedPnl:
    """Hold the result of one closing order of a perpetual position."""

    uid: int
    symbol: str
    order_id: str
    side: Side
    order_type: str
    exec_type: str
    qty: Decimal
    order_price: Decimal
    closed_qty: Decimal
    entry_value: Decimal
    exit_value: Decimal
    pnl: Decimal
    leverage: Decimal
    fills: int
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hold one transfer between accounts; its id is the client's and never repeats."""

    transfer_id: str
    from_uid: int
    to_uid: int
    coin: str
    amount: Decimal
    time_ms: int


EventKind = Literal["order", "execution", "position", "wallet"]


@dataclass(frozen=True, slots=True)
class VenueEvent:
    """Announce a change to one account, as a copy that later changes do not touch."""

    kind: EventKind
    uid: int
    time_ms: int
    body: Order | Execution | Position | None

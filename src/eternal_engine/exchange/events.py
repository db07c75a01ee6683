"""What the streams say, past tense and frozen. A stream's change of state is itself an event: none dies unseen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from eternal_engine.exchange.account import Position, Wallet
from eternal_engine.exchange.market import Candle, Ticker
from eternal_engine.exchange.orders import Execution, OrderReport


class StreamState(StrEnum):
    """Name where a stream stands."""

    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    LIVE = "live"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class TickerSeen:
    """Report the newest prices of a symbol."""

    ticker: Ticker


@dataclass(frozen=True, slots=True)
class CandleClosed:
    """Report a completed candle, once, whether the stream confirmed it or a catch-up found it."""

    candle: Candle
    caught_up: bool = False


@dataclass(frozen=True, slots=True)
class OrderUpdated:
    """Report an order that changed; never older than one already reported."""

    report: OrderReport
    caught_up: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionSeen:
    """Report an execution, once per execution id."""

    execution: Execution
    caught_up: bool = False


@dataclass(frozen=True, slots=True)
class PositionUpdated:
    """Report a position as the exchange now sees it."""

    position: Position
    caught_up: bool = False


@dataclass(frozen=True, slots=True)
class WalletUpdated:
    """Report a wallet; a streamed one may hold only the coins that changed."""

    wallet: Wallet
    caught_up: bool = False


@dataclass(frozen=True, slots=True)
class StreamStateChanged:
    """Report that a stream changed state, and why in words for the operator."""

    stream: str
    state: StreamState
    reason: str
    at: datetime
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class StreamProblem:
    """Report a message that could not be used; it is dropped, and a catch-up by REST follows."""

    stream: str
    what: str
    at: datetime


StreamEvent = (
    TickerSeen
    | CandleClosed
    | OrderUpdated
    | ExecutionSeen
    | PositionUpdated
    | WalletUpdated
    | StreamStateChanged
    | StreamProblem
)

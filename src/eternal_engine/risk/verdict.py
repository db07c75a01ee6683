"""What the risk manager sees of one signal, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from eternal_engine.model import reason
from eternal_engine.risk.breaker import RiskState


class Exposure(NamedTuple):
    """Hold everything a review may look at besides the signal itself (money in USDT).

    `known` whether every price behind the equities is known (U-6); `halted` operator halt of this engine;
    `stale_bars` bars since the symbol's last price; `free_usdt` cash not bound by margin or pending orders;
    `position_usdt` notional held or pending in the symbol; `perp_usdt` the engine's whole perp notional;
    `open_count` TREND positions open or pending; `correlation` the largest with one of them (-1 none, NaN unknown);
    `kelly_frac` RISK-7's cap of engine equity (inf before enough trades); `exposure_usdt` all engines' together;
    `mark` the last mark price.
    """

    now_h: int
    state: RiskState
    known: bool
    halted: bool
    stale_bars: int
    portfolio_usdt: float
    engine_usdt: float
    free_usdt: float
    position_usdt: float
    perp_usdt: float
    open_count: int
    correlation: float
    kelly_frac: float
    orders_last_minute: int
    exposure_usdt: float
    mark: float


class Verdict(NamedTuple):
    """Answer one signal: `qty` coins or `quote_usdt` allowed; `rule` the last reason that resized or denied it."""

    approved: bool
    qty: float
    quote_usdt: float
    rule: int


def denied(rule: int) -> Verdict:
    """Refuse a signal, with its reason code."""
    return Verdict(False, 0.0, 0.0, rule)


def passed(qty: float, quote_usdt: float) -> Verdict:
    """Let a signal pass as it is."""
    return Verdict(True, qty, quote_usdt, reason.NONE)

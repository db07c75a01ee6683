"""Realised profit: closed trades, FUNDING's pairs, and the share of profit above its peak (H7, RISK-7, CAP-2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from eternal_engine.model.ids import Account, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import ZERO, exact_arithmetic, ratio
from eternal_engine.model.position import PositionSide
from eternal_engine.model.rule import Rule
from eternal_engine.model.trade import ClosedPart

RULES: tuple[Rule, ...] = (
    Rule(
        "FUND-X1",
        "A pair's profit is that of its spot leg plus that of its perp leg plus funding minus the fees of both.",
        (),
        ("tests/unit/ledger/test_pnl.py::test_h7_a_pairs_profit_is_spot_plus_perp_plus_funding_minus_fees",),
    ),
)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """Hold one position from its first fill to its last, all its parts together, USDT."""

    account: Account
    symbol: Symbol
    market: Market
    position_side: PositionSide
    opened_at: datetime
    closed_at: datetime
    qty: Decimal
    entry_usdt: Decimal
    exit_usdt: Decimal
    gross_usdt: Decimal
    fees_usdt: Decimal
    funding_usdt: Decimal

    @property
    def net_usdt(self) -> Decimal:
        """Give gross + funding - fees."""
        with exact_arithmetic():
            return self.gross_usdt + self.funding_usdt - self.fees_usdt

    @property
    def entry_price(self) -> Decimal | None:
        """Give the mean entry price, None where no coins moved."""
        return ratio(self.entry_usdt, self.qty) if self.qty else None

    @property
    def exit_price(self) -> Decimal | None:
        """Give the mean exit price, None where no coins moved."""
        return ratio(self.exit_usdt, self.qty) if self.qty else None


def closed_trades(parts: Iterable[ClosedPart]) -> tuple[ClosedTrade, ...]:
    """Join the parts of each position, in the order in which the positions ended; open ones are left out.

    Parts must come in the order in which they were booked. A late funding payment (a part without coins) joins the
    last closed trade of its position's kind.
    """
    growing: dict[tuple[Account, Symbol, Market], list[ClosedPart]] = {}
    done: list[tuple[tuple[Account, Symbol, Market], list[ClosedPart]]] = []
    for part in parts:
        key = (part.account, part.symbol, part.market)
        if not part.qty:
            _add_late_funding(part, key, growing, done)
            continue
        growing.setdefault(key, []).append(part)
        if part.is_last:
            done.append((key, growing.pop(key)))
    return tuple(_join(group) for _, group in done)


def net_usdt(parts: Iterable[ClosedPart]) -> Decimal:
    """Sum up the net profit of closed parts."""
    with exact_arithmetic():
        return sum((part.net_usdt for part in parts), ZERO)


def _add_late_funding(
    part: ClosedPart,
    key: tuple[Account, Symbol, Market],
    growing: dict[tuple[Account, Symbol, Market], list[ClosedPart]],
    done: list[tuple[tuple[Account, Symbol, Market], list[ClosedPart]]],
) -> None:
    for ended, group in reversed(done):
        if ended == key:
            group.append(part)
            return
    growing.setdefault(key, []).append(part)


def _join(parts: list[ClosedPart]) -> ClosedTrade:
    coins = [part for part in parts if part.qty]
    first, last = coins[0], coins[-1]
    with exact_arithmetic():
        return ClosedTrade(
            account=first.account,
            symbol=first.symbol,
            market=first.market,
            position_side=first.position_side,
            opened_at=first.opened_at,
            closed_at=last.closed_at,
            qty=sum((part.qty for part in coins), ZERO),
            entry_usdt=sum((part.entry_usdt for part in coins), ZERO),
            exit_usdt=sum((part.exit_usdt for part in coins), ZERO),
            gross_usdt=sum((part.gross_usdt for part in coins), ZERO),
            fees_usdt=sum((part.fees_usdt for part in parts), ZERO),
            funding_usdt=sum((part.funding_usdt for part in parts), ZERO),
        )

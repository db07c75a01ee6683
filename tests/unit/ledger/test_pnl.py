"""Closed trades and pairs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from builders import a_fill
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.fills import book_fill
from eternal_engine.ledger.flows import book_funding
from eternal_engine.ledger.pnl import closed_trades, net_usdt
from eternal_engine.model.event import FundingSettled
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, ExecutionId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.position import PositionSide
from eternal_engine.model.trade import ClosedPart

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
PERP, SELL = Market.PERP, Side.SELL


def parts_of(*entries: Fill | FundingSettled) -> list[ClosedPart]:
    book, parts = Book(Account.FUNDING), []
    for entry in entries:
        after = book_fill(book, entry) if isinstance(entry, Fill) else book_funding(book, entry)
        book = after.book
        parts += after.closed
    assert net_usdt(parts) == book.totals.closed_net_usdt
    return parts


def fill(
    execution_id: str, side: Side, qty: str, price: str, market: Market = PERP, fee: str = "0", day: int = 0
) -> Fill:
    at = AT + timedelta(days=day)
    return a_fill(execution_id, account=Account.FUNDING, market=market, side=side, qty=qty, price=price, fee=fee, at=at)


def funding(execution_id: str, amount: str, symbol: Symbol = BTC) -> FundingSettled:
    return FundingSettled(
        AT, Account.FUNDING, symbol, ExecutionId(execution_id), D(-1), D(1), D(1), D(amount), AT + timedelta(days=9)
    )


def test_h7_a_pairs_profit_is_spot_plus_perp_plus_funding_minus_fees() -> None:
    parts = parts_of(
        fill("s1", Side.BUY, "2", "100", Market.SPOT, "0.2"),
        fill("p1", SELL, "2", "101", fee="0.11"),
        funding("f1", "1.5"),
        fill("s2", SELL, "1", "110", Market.SPOT, "0.11"),
        fill("p2", Side.BUY, "1", "111.5", fee="0.06"),
        funding("f2", "-0.25"),
        fill("s3", SELL, "1", "90", Market.SPOT, "0.09"),
        fill("p3", Side.BUY, "1", "90.5", fee="0.05"),
    )
    spot = sum(part.gross_usdt for part in parts if part.market is Market.SPOT)
    perp = sum(part.gross_usdt for part in parts if part.market is Market.PERP)
    assert (spot, perp) == (0, 0)
    assert sum(part.funding_usdt for part in parts) == D("1.25")
    assert sum(part.fees_usdt for part in parts) == D("0.62")
    assert net_usdt(parts) == D("0.63")
    assert (parts[0].gross_usdt, net_usdt(parts[:1])) == (10, 10 - D("0.21"))
    assert parts[1].gross_usdt == D("-10.5")


def test_risk7_a_trade_is_counted_once_when_its_last_part_is_closed() -> None:
    parts = parts_of(
        fill("e1", Side.BUY, "3", "100", fee="0.3"),
        fill("e2", SELL, "1", "110", fee="0.1", day=1),
        fill("e3", SELL, "2", "120", fee="0.2", day=2),
        fill("e4", SELL, "1", "130", day=3),
    )
    (trade,) = closed_trades(parts)
    assert closed_trades(parts[:1]) == ()
    assert (trade.qty, trade.gross_usdt, trade.fees_usdt, trade.net_usdt) == (3, 50, D("0.6"), D("49.4"))
    assert trade.entry_price == 100
    assert trade.exit_price is not None
    assert trade.exit_price.quantize(D("0.0001")) == D("116.6667")
    assert (trade.entry_usdt, trade.exit_usdt, trade.funding_usdt) == (300, 350, 0)
    assert (trade.opened_at, trade.closed_at) == (AT, AT + timedelta(days=2))
    assert (trade.account, trade.symbol, trade.market, trade.position_side) == (
        Account.FUNDING, BTC, PERP, PositionSide.LONG,
    )  # fmt: skip


def test_trades_come_in_the_order_in_which_they_ended() -> None:
    eth = [replace(fill("x1", Side.BUY, "1", "10"), symbol=Symbol("ETHUSDT"))]
    eth.append(replace(fill("x2", SELL, "1", "11"), symbol=Symbol("ETHUSDT")))
    parts = parts_of(fill("e1", Side.BUY, "1", "100"), *eth, fill("e2", SELL, "1", "90"), fill("e3", SELL, "1", "80"))
    assert [(t.symbol, t.net_usdt) for t in closed_trades(parts)] == [("ETHUSDT", 1), ("BTCUSDT", -10)]


def test_parts_of_two_positions_do_not_mix() -> None:
    eth = Symbol("ETHUSDT")
    parts = parts_of(
        fill("e1", Side.BUY, "2", "100"),
        replace(fill("x1", Side.BUY, "2", "10"), symbol=eth),
        fill("e2", SELL, "1", "110"),
        replace(fill("x2", SELL, "1", "12"), symbol=eth),
        fill("e3", SELL, "1", "120"),
        replace(fill("x3", SELL, "1", "13"), symbol=eth),
    )
    assert [(t.symbol, t.qty, t.net_usdt) for t in closed_trades(parts)] == [("BTCUSDT", 2, 30), ("ETHUSDT", 2, 5)]


def test_no_parts_are_no_profit_and_still_exact() -> None:
    assert isinstance(net_usdt(()), Decimal)
    assert net_usdt(()) == 0


def test_late_funding_joins_the_trade_that_it_was_paid_for() -> None:
    parts = parts_of(
        fill("e1", SELL, "1", "100"),
        fill("e2", Side.BUY, "1", "90"),
        fill("e3", SELL, "1", "100"),
        fill("e4", Side.BUY, "1", "95", day=1),
        funding("f1", "-2"),
    )
    first, second = closed_trades(parts)
    assert (first.net_usdt, second.net_usdt) == (10, 3)
    assert (second.funding_usdt, second.closed_at) == (-2, AT + timedelta(days=1))


def test_late_funding_without_any_trade_waits_for_one() -> None:
    parts = parts_of(funding("f1", "-2"), funding("f0", "7", Symbol("ETHUSDT")))
    assert closed_trades(parts) == ()
    parts = parts_of(funding("f1", "-2"), fill("e1", SELL, "1", "100"), fill("e2", Side.BUY, "1", "90"))
    (trade,) = closed_trades(parts)
    assert (trade.net_usdt, trade.opened_at, trade.qty) == (8, AT, 1)
    assert trade.position_side is PositionSide.SHORT


def test_a_trade_without_coins_has_no_price() -> None:
    (trade,) = closed_trades(parts_of(fill("e1", SELL, "1", "100"), fill("e2", Side.BUY, "1", "90")))
    assert trade.entry_price == 100
    empty = replace(trade, qty=D(0))
    assert (empty.entry_price, empty.exit_price) == (None, None)

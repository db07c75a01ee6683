"""Tax lots against the books, over random histories of spot and perp: nothing is lost, nothing is made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from builders import a_fill
from eternal_engine.ledger.books import Books
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Filled, Mismatch
from eternal_engine.model.ids import Account, Coin, RecordId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.model.position import PositionSide
from eternal_engine.reports.lots import Disposal, Lot, Lots, Method, tax_lots

START = datetime(2024, 1, 1, tzinfo=UTC)
AMOUNTS = st.decimals("0.001", "9", places=3)
PRICES = st.decimals("10", "70000", places=2)
WISHES = st.tuples(
    st.sampled_from(["buy", "buy", "sell", "long", "short", "in", "out", "found", "lost"]), AMOUNTS, PRICES,
    st.sampled_from(["0", "0.5", "coin"]),
)  # fmt: skip


def history(wishes: list[tuple[str, Decimal, Decimal, str]], *, corrections: bool = True) -> list[BookEntry]:
    """Make a history that may be booked from random wishes: a sale never sells more than there is."""
    entries: list[BookEntry] = []
    held = ZERO
    for number, (wish, amount, price, fee) in enumerate(wishes):
        at = START + timedelta(days=number)
        if wish in ("long", "short"):
            side = Side.BUY if wish == "long" else Side.SELL
            entries.append(Filled(at, _fill(number, Market.PERP, side, amount, price, "0" if fee == "coin" else fee)))
        elif wish == "buy":
            entries.append(Filled(at, _fill(number, Market.SPOT, Side.BUY, amount, price, fee)))
            held += amount - (amount / 1000 if fee == "coin" else ZERO)
        elif wish == "in":
            entries.append(_deposit(number, amount, price))
            held += amount
        elif wish == "found" and corrections:
            entries.append(_correction(number, amount, price))
            held += amount
        elif held > ZERO:
            amount = min(amount, held)
            if wish == "sell":
                entries.append(
                    Filled(at, _fill(number, Market.SPOT, Side.SELL, amount, price, "0" if fee == "coin" else fee))
                )
            elif wish == "out":
                entries.append(_deposit(number, -amount, price))
            elif corrections:
                entries.append(_correction(number, -amount, price))
            else:
                continue
            held -= amount
    return entries


def _fill(number: int, market: Market, side: Side, qty: Decimal, price: Decimal, fee: str) -> object:
    made = a_fill(f"e{number}", market=market, side=side, at=START + timedelta(days=number), fee="0")
    coin, paid = (Coin("BTC"), qty / 1000) if fee == "coin" else (Coin("USDT"), Decimal(fee))
    return replace(made, qty=qty, price=price, fee=paid, fee_coin=coin)


def _deposit(number: int, qty: Decimal, price: Decimal) -> Deposited:
    at = START + timedelta(days=number)
    return Deposited(at, RecordId(f"d{number}"), Account.TREND, Coin("BTC"), qty, qty * price, at)


def _correction(number: int, qty: Decimal, price: Decimal) -> Corrected:
    return Corrected(
        START + timedelta(days=number), RecordId(f"c{number}"), Account.TREND, Symbol("BTCUSDT"), Coin("BTC"),
        Market.SPOT, qty, price, Mismatch.WRONG_SIZE,
    )  # fmt: skip


def booked(entries: list[BookEntry]) -> Books:
    books = Books()
    for entry in entries:
        books = books.apply(entry).books
    return books


def gains(made: Lots) -> Decimal:
    with exact_arithmetic():
        return sum((gone.gain_usdt for gone in made.disposals), ZERO)


def in_hand(lots: tuple[Lot, ...]) -> Decimal:
    """Give what held lots cost, a short's as money that was received."""
    with exact_arithmetic():
        return sum(
            (lot.entry_usdt if lot.position_side is PositionSide.LONG else -lot.entry_usdt for lot in lots), ZERO
        )


@given(st.lists(WISHES, max_size=30))
def test_average_lots_sum_to_the_books_realised_result_at_any_moment(wishes: list) -> None:
    entries = history(wishes)
    made = tax_lots(entries, Method.AVERAGE)
    assert gains(made) == booked(entries).of(Account.TREND).totals.realised_usdt


@given(st.lists(WISHES, max_size=30))
def test_fifo_lots_sum_to_the_books_realised_result_when_nothing_is_held(wishes: list) -> None:
    entries = history(wishes, corrections=False)
    entries += _closing(entries)
    made = tax_lots(entries, Method.FIFO)
    book = booked(entries).of(Account.TREND)
    assert not book.spot
    assert not book.perp
    assert made.held == ()
    assert gains(made) == book.totals.realised_usdt


@given(st.lists(WISHES, max_size=30))
def test_in_between_the_two_methods_differ_by_the_cost_of_what_is_held(wishes: list) -> None:
    entries = history(wishes, corrections=False)
    fifo, average = tax_lots(entries, Method.FIFO), tax_lots(entries, Method.AVERAGE)
    with exact_arithmetic():
        assert gains(fifo) - in_hand(fifo.held) == gains(average) - in_hand(average.held)


@given(st.lists(WISHES, max_size=30), st.sampled_from(Method))
def test_what_is_held_is_what_the_book_holds_and_every_coin_has_come_before_it_goes(
    wishes: list, method: Method
) -> None:
    entries = history(wishes)
    made = tax_lots(entries, method)
    book = booked(entries).of(Account.TREND)
    with exact_arithmetic():
        for market, rows in ((Market.SPOT, book.spot), (Market.PERP, book.perp)):
            there = sum((lot.qty for lot in made.held if lot.market is market), ZERO)
            assert there == sum((abs(row.qty) for row in rows.values()), ZERO)
    assert all(gone.acquired_at <= gone.disposed_at for gone in made.disposals)
    assert all(gone.qty > ZERO for gone in made.disposals)


@given(st.lists(WISHES, max_size=30))
def test_net_of_sales_is_the_books_closed_result_without_funding(wishes: list) -> None:
    entries = [entry for entry in history(wishes, corrections=False) if isinstance(entry, Filled)]
    entries = _bookable(entries)
    made = tax_lots(entries, Method.AVERAGE)
    with exact_arithmetic():
        net = sum((gone.net_usdt for gone in made.disposals), ZERO)
    assert net == booked(entries).of(Account.TREND).totals.closed_net_usdt


def _bookable(entries: list[BookEntry]) -> list[BookEntry]:
    """Leave out sales of coins whose deposit was left out."""
    kept: list[BookEntry] = []
    held = ZERO
    for entry in entries:
        fill = entry.fill  # type: ignore[union-attr]
        if fill.market is Market.SPOT:
            change = fill.qty - (fill.fee if fill.fee_coin == "BTC" else ZERO)
            change = change if fill.side is Side.BUY else -fill.qty
            if held + change < ZERO:
                continue
            held += change
        kept.append(entry)
    return kept


def _closing(entries: list[BookEntry]) -> list[BookEntry]:
    book = booked(entries).of(Account.TREND)
    closing: list[BookEntry] = []
    for number, (market, rows) in enumerate(((Market.SPOT, book.spot), (Market.PERP, book.perp)), start=1000):
        for row in rows.values():
            side = Side.SELL if row.qty > ZERO else Side.BUY
            fill = _fill(number, market, side, abs(row.qty), Decimal(100), "0")
            closing.append(Filled(START + timedelta(days=number), fill))  # type: ignore[arg-type]
    return closing


def test_fifo_takes_the_oldest_coins_first_and_cuts_the_last_lot() -> None:
    entries = [
        Filled(START, _fill(0, Market.SPOT, Side.BUY, Decimal(1), Decimal(100), "1")),
        Filled(START, _fill(1, Market.SPOT, Side.BUY, Decimal(1), Decimal(200), "1")),
        Filled(START, _fill(2, Market.SPOT, Side.SELL, Decimal("1.5"), Decimal(300), "3")),
    ]  # fmt: skip
    fifo = tax_lots(entries, Method.FIFO)  # type: ignore[arg-type]
    assert [(gone.qty, gone.cost_usdt, gone.proceeds_usdt, gone.fees_usdt) for gone in fifo.disposals] == [
        (Decimal(1), Decimal(100), Decimal(300), Decimal(3)),
        (Decimal("0.5"), Decimal(100), Decimal(150), Decimal("1.5")),
    ]
    (average,) = tax_lots(entries, Method.AVERAGE).disposals  # type: ignore[arg-type]
    assert (average.cost_usdt, average.gain_usdt) == (Decimal(225), Decimal(225))
    assert isinstance(average, Disposal)
    assert [(lot.qty, lot.entry_usdt, lot.fees_usdt) for lot in fifo.held] == [
        (Decimal("0.5"), Decimal(100), Decimal("0.5"))
    ]

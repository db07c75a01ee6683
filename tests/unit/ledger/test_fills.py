"""Executions in the book."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.ledger.book import Book, Booked
from eternal_engine.ledger.fills import book_fill
from eternal_engine.model.errors import BookError
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Coin, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.position import PerpPosition, PositionSide, SpotHolding

D = Decimal
BTC = Symbol("BTCUSDT")
AT = datetime(2024, 1, 1, tzinfo=UTC)
PERP, SELL, BUY = Market.PERP, Side.SELL, Side.BUY


def booked(*fills: Fill, book: Book | None = None) -> Booked:
    """Book fills one after the other, checking the book's balance after each; `closed` holds all parts."""
    after = Booked(book or Book(Account.TREND))
    closed = []
    for fill in fills:
        after = book_fill(after.book, fill)
        assert after.book.imbalance_usdt == 0
        closed += after.closed
    return Booked(after.book, tuple(closed), after.is_new)


def test_d1_three_increments_make_one_position() -> None:
    fills = [
        a_fill(f"e{n}", qty=q, price=p) for n, (q, p) in enumerate((("0.4", "100"), ("0.3", "110"), ("0.3", "120")))
    ]
    held = booked(*fills).book.spot[BTC]
    assert (held.qty, held.cost_usdt) == (1, 109)


def test_ord4_the_same_execution_again_changes_nothing() -> None:
    first = booked(a_fill("e1"))
    again = book_fill(first.book, a_fill("e1"))
    assert again.book is first.book
    assert (again.is_new, again.closed) == (False, ())
    assert first.is_new


def test_d7_a_part_sold_leaves_the_rest_and_realises_its_part() -> None:
    after = booked(a_fill("e1", price="70000"), a_fill("e2", side=SELL, qty="0.25", price="77000"))
    held = after.book.spot[BTC]
    assert (held.qty, held.cost_usdt, held.average_price) == (D("0.75"), 52_500, 70_000)
    assert after.book.totals.realised_usdt == 1_750
    (part,) = after.closed
    assert (part.gross_usdt, part.entry_usdt, part.exit_usdt, part.is_last) == (1_750, 17_500, 19_250, False)
    assert (part.position_side, part.market, part.qty) == (PositionSide.LONG, Market.SPOT, D("0.25"))


def test_d8_a_long_cut_and_a_short_added_to() -> None:
    long = booked(a_fill("e1", market=PERP, price="100"), a_fill("e2", market=PERP, side=SELL, qty="0.4", price="110"))
    assert long.book.totals.realised_usdt == 4
    assert (long.book.perp[BTC].qty, long.book.perp[BTC].average_price) == (D("0.6"), 100)
    short = booked(a_fill("e1", market=PERP, side=SELL, price="100"), a_fill("e2", market=PERP, side=SELL, price="110"))
    assert (short.book.perp[BTC].qty, short.book.perp[BTC].average_price) == (-2, 105)
    assert short.closed == ()


def test_d10_a_fee_in_coin_reduces_the_holding() -> None:
    fill = a_fill(qty="0.0702278571", price="70000", fee="0.0000702278571", fee_coin="BTC")
    book = booked(fill).book
    held = book.spot[BTC]
    assert held.qty == D("0.0701576292429")
    assert held.average_price == 70_000
    assert book.cash[Coin("USDT")] == -D("0.0702278571") * 70_000
    assert book.totals.fees_usdt == held.fees_usdt == D("0.0000702278571") * 70_000
    sold = booked(a_fill("e2", side=SELL, qty="0.070157", price="70000"), book=book)
    assert sold.book.spot[BTC].qty == D("0.0000006292429")
    assert sold.closed[0].is_last, "the dust that is left does not keep the trade open"


def test_a_fee_in_quote_leaves_the_coins_whole() -> None:
    book = booked(a_fill(qty="1", price="100", fee="0.1")).book
    assert (book.spot[BTC].qty, book.spot[BTC].cost_usdt, book.cash_usdt) == (1, 100, D("-100.1"))
    assert book.totals.fees_usdt == book.spot[BTC].fees_usdt == D("0.1")


def test_fees_of_both_ends_meet_in_the_closed_part() -> None:
    buy = a_fill("e1", qty="2", price="100", fee="0.4")
    sell = a_fill("e2", side=SELL, qty="1", price="150", fee="0.15", at=AT + timedelta(days=3), order="o2")
    after = booked(buy, sell)
    (part,) = after.closed
    assert (part.fees_usdt, part.gross_usdt, part.net_usdt) == (D("0.35"), 50, D("49.65"))
    assert (part.opened_at, part.closed_at) == (AT, AT + timedelta(days=3))
    assert (part.account, part.symbol, part.execution_id, part.client_order_id) == (Account.TREND, BTC, "e2", "o2")
    assert part.funding_usdt == 0
    assert after.book.spot[BTC].fees_usdt == D("0.2")
    assert after.book.totals.closed_net_usdt == D("49.65")
    assert after.book.cash_usdt == D("-200.4") + D("149.85")


def test_a_sale_whose_fee_is_in_coin_takes_those_coins_too() -> None:
    after = booked(
        a_fill("e1", qty="2", price="100"), a_fill("e2", side=SELL, qty="1", price="110", fee="0.5", fee_coin="BTC")
    )
    assert after.book.spot[BTC].qty == D("0.5")
    assert after.book.cash_usdt == -200 + 110
    assert after.book.totals.fees_usdt == 55
    assert after.closed[0].net_usdt == D("1.5") * 10 - 55


def test_a_rebate_adds_to_what_is_received() -> None:
    book = booked(a_fill(qty="1", price="100", fee="-0.01", fee_coin="BTC")).book
    assert book.spot[BTC].qty == D("1.01")
    assert book.totals.fees_usdt == -1
    assert book.cash_usdt == -100


@pytest.mark.parametrize("market", list(Market))
def test_a_fee_in_a_third_coin_is_kept_apart(market: Market) -> None:
    fills = [a_fill(f"e{n}", market=market, qty="1", price="100", fee="0.25", fee_coin="MNT") for n in (1, 2)]
    book = booked(*fills).book
    assert book.other_fees == {"MNT": D("0.5")}
    assert book.totals.fees_usdt == 0


def test_a_perp_fee_in_its_base_is_not_taken_from_spot_coins() -> None:
    book = booked(a_fill(market=PERP, fee="0.1", fee_coin="BTC")).book
    assert book.spot == {}
    assert book.other_fees == {"BTC": D("0.1")}


def test_a_sale_of_all_takes_the_row_out_and_others_stay() -> None:
    after = booked(a_fill("e1"), a_fill("e2", symbol="ETHUSDT", price="10"), a_fill("e3", side=SELL, price="71000"))
    assert list(after.book.spot) == ["ETHUSDT"]
    assert after.closed[0].is_last


REFUSALS = [
    (
        Book(Account.TREND),
        a_fill("e2", side=SELL),
        (
            "1 BTCUSDT left a book that holds 0 (at execution e2, trend); "
            "to mend: reconcile the account: record the missing fill, or a correction, first"
        ),
    ),
    (
        book_fill(Book(Account.TREND), a_fill("e1", qty="0.5")).book,
        a_fill("e2", side=SELL),
        (
            "1 BTCUSDT left a book that holds 0.5 (at execution e2, trend); "
            "to mend: reconcile the account: record the missing fill, or a correction, first"
        ),
    ),
    (
        Book(Account.TREND),
        a_fill(account=Account.FUNDING),
        (
            "a fill of funding came to the book of trend (at execution e1); "
            "to mend: route each account's stream to its own book"
        ),
    ),
    (
        Book(Account.TREND),
        a_fill(qty="1", fee="1", fee_coin="BTC"),
        (
            "the fee 1 eats the whole fill of 1 BTC (at execution e1); "
            "to mend: check the fee of the execution at the exchange"
        ),
    ),
    (
        Book(Account.TREND),
        replace(a_fill(), quote=Coin("EUR"), fee_coin=Coin("EUR")),
        "EUR is not cash (at book of trend); to mend: trade symbols quoted in USDT or USDC",
    ),
]


@pytest.mark.parametrize(("book", "fill", "message"), REFUSALS)
def test_what_cannot_be_is_refused_with_its_mend(book: Book, fill: Fill, message: str) -> None:
    with pytest.raises(BookError) as caught:
        book_fill(book, fill)
    assert str(caught.value) == message


def test_a_second_purchase_adds_coins_cost_and_fees() -> None:
    book = booked(a_fill("e1", qty="1", price="100", fee="0.1"), a_fill("e2", qty="2", price="130", fee="0.26")).book
    assert book.spot == {BTC: SpotHolding(BTC, D(3), D(360), D("0.36"), AT)}


def test_the_rows_of_a_book_carry_their_symbol() -> None:
    book = booked(a_fill("e1", price="100"), a_fill("e2", market=PERP, price="100", fee="0.5")).book
    assert book.spot == {BTC: SpotHolding(BTC, D(1), D(100), D(0), AT)}
    assert book.perp == {BTC: PerpPosition(BTC, D(1), D(100), D("0.5"), D(0), AT)}


def test_i8_the_age_of_a_position_counts_from_its_first_fill() -> None:
    later = AT + timedelta(days=10)
    held = booked(a_fill("e1"), a_fill("e2", at=later)).book.spot[BTC]
    assert held.opened_at == AT


def test_a_position_bought_on_top_of_dust_is_new() -> None:
    later = AT + timedelta(days=400)
    dust = a_fill("e1", qty="0.00001", price="70000")
    held = booked(dust, a_fill("e2", at=later)).book.spot[BTC]
    assert (held.opened_at, held.qty) == (later, D("1.00001"))


@pytest.mark.parametrize(("left", "is_last"), [("0.0099", True), ("0.01", False)])
def test_d11_a_trade_is_over_when_only_dust_is_left(left: str, is_last: bool) -> None:
    sold = D(1) - D(left)
    after = booked(a_fill("e1", price="100"), a_fill("e2", side=SELL, qty=str(sold), price="100"))
    assert after.closed[0].is_last is is_last


@pytest.mark.parametrize(
    ("first", "second", "realised", "side"),
    [(BUY, SELL, 20, PositionSide.LONG), (SELL, BUY, -20, PositionSide.SHORT)],
)
def test_a_perp_turned_over_closes_the_old_side_and_opens_the_new(
    first: Side, second: Side, realised: int, side: PositionSide
) -> None:
    opened = a_fill("e1", market=PERP, side=first, qty="2", price="100", fee="0.2")
    turned = a_fill("e2", market=PERP, side=second, qty="5", price="110", fee="0.5", at=AT + timedelta(hours=1))
    after = booked(opened, turned)
    position = after.book.perp[BTC]
    assert position.qty == second.sign * 3
    assert position.cost_usdt == second.sign * 330
    assert position.fees_usdt == D("0.3")
    assert position.opened_at == AT + timedelta(hours=1)
    (part,) = after.closed
    assert (part.position_side, part.qty, part.gross_usdt, part.is_last) == (side, 2, realised, True)
    assert part.fees_usdt == D("0.4")
    assert part.entry_usdt == 200
    assert part.exit_usdt == 220
    assert after.book.totals.realised_usdt == realised
    assert after.book.totals.fees_usdt == D("0.7")
    assert after.book.cash_usdt == realised - D("0.7")
    assert after.book.totals.closed_net_usdt == realised - D("0.4")


def test_a_perp_cut_leaves_its_share_of_cost_and_fees() -> None:
    opened = a_fill("e1", market=PERP, qty="3", price="100", fee="0.3")
    cut = a_fill("e2", market=PERP, side=SELL, qty="1", price="90", fee="0.09", order="o2")
    after = booked(opened, cut)
    position = after.book.perp[BTC]
    assert (position.qty, position.cost_usdt, position.fees_usdt) == (2, 200, D("0.2"))
    (part,) = after.closed
    assert (part.net_usdt, part.is_last, part.market) == (D("-10.19"), False, Market.PERP)
    assert (part.execution_id, part.client_order_id, part.account) == ("e2", "o2", Account.TREND)
    assert after.book.cash_usdt == D("-10.39")


def test_a_perp_closed_exactly_is_gone() -> None:
    after = booked(a_fill("e1", market=PERP), a_fill("e2", market=PERP, side=SELL, price="70100"))
    assert after.book.perp == {}
    assert after.closed[0].is_last


def test_opening_a_perp_costs_only_its_fee() -> None:
    book = booked(a_fill(market=PERP, qty="1", price="100", fee="0.055")).book
    assert book.cash_usdt == D("-0.055")
    assert book.perp[BTC].fees_usdt == D("0.055")


def test_adding_to_a_perp_keeps_its_birth_and_adds_cost_and_fees() -> None:
    later = AT + timedelta(hours=1)
    first = a_fill("e1", market=PERP, qty="1", price="100", fee="0.1")
    second = a_fill("e2", market=PERP, qty="3", price="120", fee="0.2", at=later)
    position = booked(first, second).book.perp[BTC]
    assert (position.qty, position.cost_usdt, position.fees_usdt, position.opened_at) == (4, 460, D("0.3"), AT)


def test_a_book_does_not_change_when_a_fill_is_booked() -> None:
    empty = Book(Account.TREND)
    booked(a_fill(), book=empty)
    assert (empty.cash, empty.spot, len(empty.seen)) == ({}, {}, 0)

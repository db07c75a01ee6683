"""Conservation: over any path of events the books agree with a plain retelling of the same events, to the last digit.

The retelling knows nothing of averages, shares or realised profit: it only adds up what each event moved at the
exchange (coins and USDT), which is what an exchange's wallet does.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_fill
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.equity import Prices, mark_accounts
from eternal_engine.ledger.pnl import net_usdt
from eternal_engine.model.errors import BookError
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Filled, FundingSettled, Mismatch, Transferred
from eternal_engine.model.ids import Account, Coin, ExecutionId, RecordId, RuleId, Symbol, TransferId
from eternal_engine.model.instrument import Market, Side

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
ACCOUNTS = (Account.MASTER, Account.TREND, Account.FUNDING)
PRICES = Prices(
    {Symbol("BTCUSDT"): D("70123.4"), Symbol("ETHUSDT"): D("2090.01")},
    {Symbol("BTCUSDT"): D("70111.1"), Symbol("ETHUSDT"): D("2088.88")},
)
WIDE = Context(prec=200)

quantities = st.integers(1, 10**9).map(lambda n: D(n).scaleb(-6))
prices = st.integers(1, 10**9).map(lambda n: D(n).scaleb(-4))
amounts = st.integers(-(10**12), 10**12).map(lambda n: D(n).scaleb(-8))
ids = st.integers(0, 60).map(str)  # few, so that the same id often comes again
accounts = st.sampled_from(ACCOUNTS)


@st.composite
def fills(draw: st.DrawFn) -> Filled:
    symbol = draw(st.sampled_from(SYMBOLS))
    market = draw(st.sampled_from(Market))
    qty = draw(quantities)
    fee_coin = draw(st.sampled_from(("USDT", symbol.removesuffix("USDT"), "MNT")))
    rate = D(draw(st.integers(-25, 200))).scaleb(-5)
    price = draw(prices)
    fee = qty * rate if fee_coin != "USDT" else qty * price * rate
    fill = a_fill(
        draw(ids),
        account=draw(accounts),
        symbol=symbol,
        market=market,
        side=draw(st.sampled_from(Side)),
        qty=str(qty),
        price=str(price),
        fee=f"{fee:f}",
        fee_coin=fee_coin,
    )
    return Filled(AT, fill, draw(st.booleans()))


@st.composite
def fundings(draw: st.DrawFn) -> FundingSettled:
    symbol = Symbol(draw(st.sampled_from(SYMBOLS)))
    return FundingSettled(AT, draw(accounts), symbol, ExecutionId(draw(ids)), D(1), D(1), D(1), draw(amounts), AT)


@st.composite
def transfers(draw: st.DrawFn) -> Transferred:
    source, target = draw(st.permutations(ACCOUNTS))[:2]
    amount = abs(draw(amounts)) + D("0.00000001")
    return Transferred(AT, TransferId(draw(ids)), source, target, Coin("USDT"), amount, RuleId("CAP-2"))


@st.composite
def deposits(draw: st.DrawFn) -> Deposited:
    coin = draw(st.sampled_from(("USDT", "USDC", "BTC")))
    amount = draw(amounts)
    value = amount if coin != "BTC" else amount * draw(prices)
    return Deposited(AT, RecordId(draw(ids)), draw(accounts), Coin(coin), amount, value, AT)


@st.composite
def corrections(draw: st.DrawFn) -> Corrected:
    symbol = draw(st.sampled_from((None, *SYMBOLS)))
    market = draw(st.sampled_from(Market)) if symbol else Market.SPOT
    coin = Coin(symbol.removesuffix("USDT") if symbol else "USDT")
    qty = draw(amounts)
    price = draw(prices) if symbol else D(1)
    known = Symbol(symbol) if symbol else None
    return Corrected(AT, RecordId(draw(ids)), draw(accounts), known, coin, market, qty, price, Mismatch.WRONG_SIZE)


paths = st.lists(st.one_of(fills(), fills(), fills(), fundings(), transfers(), deposits(), corrections()), max_size=40)


class Wallets:
    """Retell events as an exchange's wallets and positions would."""

    def __init__(self) -> None:
        self.coins: dict[tuple[Account, str], Decimal] = defaultdict(D)
        self.perps: dict[tuple[Account, str, bool], Decimal] = defaultdict(D)
        self.perp_cash: Decimal = D(0)  # what perp fills moved if every one were paid in full

    def retell(self, event: BookEntry) -> None:
        match event:
            case Filled(fill=fill, unassigned=unassigned):
                signed = fill.side.sign * fill.qty
                if fill.market is Market.SPOT:
                    self.coins[fill.account, fill.base] += signed
                    self.coins[fill.account, "USDT"] -= signed * fill.price
                    self.coins[fill.account, fill.fee_coin] -= fill.fee
                else:
                    self.perps[fill.account, fill.symbol, unassigned] += signed
                    self.perp_cash -= signed * fill.price
                    if fill.fee_coin == "USDT":
                        self.coins[fill.account, "USDT"] -= fill.fee
            case FundingSettled():
                self.coins[event.account, "USDT"] += event.amount_usdt
            case Transferred():
                self.coins[event.source, "USDT"] -= event.amount
                self.coins[event.target, "USDT"] += event.amount
            case Deposited():
                self.coins[event.account, event.coin] += event.amount
            case Corrected():
                if event.market is Market.PERP:
                    raise AssertionError("left to its own property")
                self.coins[event.account, event.coin] += event.qty


def is_retellable(event: BookEntry) -> bool:
    """A corrected perp has no wallet entry to compare with."""
    return not (isinstance(event, Corrected) and event.market is Market.PERP)


@settings(max_examples=300, deadline=None)
@given(paths)
def test_conservation_the_books_equal_a_plain_retelling(path: list[BookEntry]) -> None:
    books, wallets = Books(), Wallets()
    with localcontext(WIDE):
        for event in filter(is_retellable, path):
            try:
                after = books.apply(event)
            except BookError:
                continue  # coins that are not there, refused: the book must not have changed
            assert books.imbalance_usdt == 0
            if after.is_new:
                wallets.retell(event)
            books = after.books
        assert books.imbalance_usdt == 0
        for account in ACCOUNTS:
            rows = (books.of(account), books.of(account, unassigned=True))
            for symbol in SYMBOLS:
                held = sum((row.spot[Symbol(symbol)].qty for row in rows if symbol in row.spot), D(0))
                assert held == wallets.coins[account, symbol.removesuffix("USDT")]
                for row in rows:
                    position = row.perp.get(Symbol(symbol))
                    assert (position.qty if position else D(0)) == wallets.perps[account, symbol, row.unassigned]
        equity = mark_accounts(books, PRICES)
        assert equity.total_usdt == _retold_equity(wallets)


def _retold_equity(wallets: Wallets) -> Decimal:
    """Value wallets at PRICES; perps as if each fill were paid and the position sold at the mark."""
    total = wallets.perp_cash
    for (_, coin), amount in wallets.coins.items():
        if coin != "MNT":
            total += amount * (D(1) if coin in ("USDT", "USDC") else PRICES.spot[Symbol(f"{coin}USDT")])
    for (_, symbol, _), qty in wallets.perps.items():
        total += qty * PRICES.mark[Symbol(symbol)]
    return total


@settings(max_examples=200, deadline=None)
@given(paths)
def test_conservation_realised_profit_is_the_sum_of_its_parts(path: list[BookEntry]) -> None:
    books, parts = Books(), []
    with localcontext(WIDE):
        for event in path:
            try:
                after = books.apply(event)
            except BookError:
                continue
            books = after.books
            parts += after.closed
        assert books.imbalance_usdt == 0
        for account in ACCOUNTS:
            closed = sum((row.totals.closed_net_usdt for row in books.all() if row.account is account), D(0))
            assert closed == net_usdt(part for part in parts if part.account is account)


@settings(max_examples=200, deadline=None)
@given(st.lists(transfers(), max_size=30))
def test_cap2_transfers_never_create_money(path: list[Transferred]) -> None:
    books = Books()
    for event in path:
        with contextlib.suppress(BookError):  # an id that came before, for another pair of accounts
            books = books.apply(event).books
        assert mark_accounts(books, PRICES).total_usdt == 0
        assert books.imbalance_usdt == 0


@settings(max_examples=200, deadline=None)
@given(paths, st.randoms(use_true_random=False))
def test_ord4_events_told_again_change_nothing(path: list[BookEntry], random: object) -> None:
    books, booked = Books(), []
    for event in path:
        try:
            after = books.apply(event)
        except BookError:
            continue
        books = after.books
        booked.append(event)
    assert random.shuffle(booked) is None  # type: ignore[attr-defined]
    for event in booked:
        again = books.apply(event)
        assert not again.is_new
        assert again.books is books

"""The venue never makes or loses money, whatever is done to it."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest

from eternal_engine.simulator.soak import Soak
from eternal_engine.simulator.venue import filling
from eternal_engine.simulator.venue.books import FEES, Books

OPERATIONS = int(os.environ.get("ETERNAL_SOAK_OPERATIONS", "100000"))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_books_balance_exactly_over_random_operations(seed: int) -> None:
    soak = Soak(seed, audit_every=250)
    assert soak.run(1500) == ()
    assert soak.audits == 6
    assert {"Trade", "Funding", "Settle"} <= set(soak.fills)
    assert min(soak.done[name] for name in ("order", "bar", "funding", "transfer")) > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_books_balance_exactly_after_each_thousand_of_many_operations() -> None:
    soak = Soak(3)
    assert soak.run(OPERATIONS) == ()
    assert soak.audits == OPERATIONS // 1000


def test_the_same_seed_does_the_same_things() -> None:
    first, second = Soak(5), Soak(5)
    first.run(400)
    second.run(400)
    assert first.venue.state.books.balances == second.venue.state.books.balances
    assert first.venue.state.checks == second.venue.state.checks


def test_a_planted_leak_of_a_fee_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(books: Books, source: int, target: int, coin: str, amount: Decimal) -> Decimal:
        if target == FEES:
            books._add(source, coin, -amount)
            return amount
        return honest(books, source, target, coin, amount)

    honest = Books.move
    monkeypatch.setattr(Books, "move", leaky)
    wrong = Soak(1, audit_every=50).run(500)
    assert any("all holders together" in line for line in wrong)


def test_a_planted_fill_that_forgets_the_position_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = filling.move_position

    def forgetful(*args: object) -> object:
        made = honest(*args)  # type: ignore[arg-type]
        args[0].size += Decimal("0.001")  # type: ignore[attr-defined]
        return made

    monkeypatch.setattr(filling, "move_position", forgetful)
    wrong = Soak(1, audit_every=50).run(500)
    assert any("its fills add up to" in line for line in wrong)

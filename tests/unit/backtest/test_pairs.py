"""Settlements pass quietly only where FUNDING has nothing to decide; runs with and without the proof agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from core_builders import QUICK_TREND, THREE, a_history, a_random_history, only, play, some_params
from eternal_engine.backtest import loop, pairs
from eternal_engine.backtest.fills import Market
from eternal_engine.backtest.prepare import features_of, market_of
from eternal_engine.backtest.simulate import Simulation
from eternal_engine.backtest.tape import ORDERS
from eternal_engine.backtest.worth import Ahead
from eternal_engine.model import reason
from eternal_engine.portfolio.params import BookView, Features, Params, empty_book
from eternal_engine.strategies.base import FUNDING

HOURS = 24 * 12


def reasons_of(done: Simulation) -> Counter[int]:
    return Counter(done.tape.order_i[: done.tape.counts[ORDERS], 6].tolist())


@pytest.mark.parametrize("seed", [1, 3, 4, 6])
def test_fund_quiet_settlements_change_nothing_for_pairs_cut_and_grown(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = a_random_history(seed, days=40, holes=(0, 12)[seed % 2], vol=0.008)
    own = {"min_margin_frac": 0.45, "entry_edge_frac": 0.0, "rate_window": 9, "positive_settlements": 1}
    params = some_params(THREE, trend=QUICK_TREND, funding={**own, "horizon_days": 3, "entry_basis_frac": 0.01})
    answers: Counter[bool] = Counter()
    honest = pairs.lacks_coins

    def asked(*given: Any) -> bool:
        answer = honest(*given)
        answers[answer] += 1
        return answer

    monkeypatch.setattr(pairs, "lacks_coins", asked)
    fast = play(history, params)
    monkeypatch.setattr(loop, "quiet_until", lambda params, states, market, first_bar, *given: first_bar)
    slow = play(history, params)
    assert fast.tape.counts.tolist() == slow.tape.counts.tolist()
    count, bars = int(fast.tape.counts[ORDERS]), int(fast.tape.counts[0])
    assert np.array_equal(fast.tape.order_i[:count], slow.tape.order_i[:count])
    assert np.array_equal(fast.tape.order_f[:count], slow.tape.order_f[:count])
    assert np.array_equal(fast.tape.equity[:, :bars], slow.tape.equity[:, :bars])
    assert np.array_equal(fast.tape.denials, slow.tape.denials)
    assert fast.states.risk == slow.states.risk
    for mine, theirs in zip(fast.states.funding, slow.states.funding, strict=True):
        assert np.array_equal(mine, theirs)
    assert reasons_of(fast)[reason.FUND_CUT] > 0
    assert reasons_of(fast)[reason.FUND_GROW] > 0
    assert answers[True] > 0


def a_pair(
    rate: float = 0.0003, price: float = 100.0, coins: float = 10.0
) -> tuple[Params, Features, Market, BookView]:
    """Give one open pair in the first coin, at constant prices and rates."""
    params = only("funding", THREE, funding={"positive_settlements": 1, "rate_window": 3})
    history = a_history(np.full((3, HOURS), price), rate=np.full((3, HOURS // 8 + 1), rate))
    book = empty_book(3, params.risk.kelly_window)
    book.cash[FUNDING] = 2_000.0
    book.spot_qty[FUNDING, 0] = coins
    book.perp_qty[FUNDING, 0], book.perp_entry[FUNDING, 0] = -coins, price
    return params, features_of(params, history), market_of(history), book


def test_fund_x2_a_cut_pair_lacks_coins_only_below_its_target() -> None:
    params, features, market, book = a_pair()
    paid = np.zeros(3, np.int64)
    # Equity is 2,000 of cash and 1,000 in coins.
    target = params.funding.weights[0] * 3_000.0 * params.funding.use_frac / (1.0 + 1.0 / params.funding.leverage)
    for coins, lacks in ((target / 100.0 * 0.99, True), (target / 100.0 * 1.01, False)):
        book.spot_qty[FUNDING, 0], book.perp_qty[FUNDING, 0] = coins, -coins
        book.cash[FUNDING] = 3_000.0 - 100.0 * coins
        assert pairs.lacks_coins(params, features, market, book, paid, 0, 30, 31) is lacks


def test_fund_x2_a_cut_pair_is_not_called_full_where_payments_might_lift_its_target() -> None:
    params, features, market, book = a_pair(rate=0.02)
    target = params.funding.weights[0] * 3_000.0 * params.funding.use_frac / (1.0 + 1.0 / params.funding.leverage)
    coins = target / 100.0 * 1.001
    book.spot_qty[FUNDING, 0], book.perp_qty[FUNDING, 0] = coins, -coins
    book.cash[FUNDING] = 3_000.0 - 100.0 * coins
    known = features.funding.stamp_h[0] <= market.first_h + 30
    paid = np.full(3, np.count_nonzero(known), np.int64)
    assert not pairs.lacks_coins(params, features, market, book, paid, 0, 30, 31)
    assert pairs.lacks_coins(params, features, market, book, paid, 0, 30, 50)


def test_payments_count_against_a_short_only_where_it_pays() -> None:
    for rate, pays in ((0.001, 0.0), (-0.001, 3.0)):
        _, features, market, _ = a_pair(rate=rate)
        first = int(features.funding.stamp_h[0, 3] - market.first_h)
        assert pairs.payable_usdt(features, market, -10.0, 3, 0, first, first + 24) == pytest.approx(pays)
        assert pairs.payable_usdt(features, market, 10.0, 3, 0, first, first + 24) == pytest.approx(3.0 - pays)


def test_an_unpriced_settlement_is_never_called_harmless() -> None:
    params, features, market, book = a_pair()
    stamp = int(features.funding.stamp_h[0, 3] - market.first_h)
    market.perp_open[0, stamp] = np.nan
    assert np.isnan(pairs.payable_usdt(features, market, -10.0, 3, 0, stamp, stamp + 24))
    room = np.zeros((4, 24))
    ahead = Ahead(np.zeros((4, 3)), np.zeros(4, np.int64), np.zeros((4, 4)), room)
    paid = np.full(3, 3, np.int64)
    assert pairs.clear_of_margin(params, features, market, book, ahead, paid, stamp, stamp + 8) == stamp


def test_fund_x2_margin_counts_what_will_be_paid() -> None:
    params, features, market, book = a_pair(rate=-0.05)
    room = Ahead(np.zeros((4, 3)), np.zeros(4, np.int64), np.zeros((4, 4)), np.zeros((4, 24)))
    stamp = int(features.funding.stamp_h[0, 3] - market.first_h)
    paid = np.full(3, 3, np.int64)
    # Just above the margin asked for, and 50 USDT to pay.
    book.cash[FUNDING] = params.funding.min_margin_frac * 1_000.0 + 40.0
    assert pairs.clear_of_margin(params, features, market, book, room, paid, stamp - 4, stamp) == stamp
    assert pairs.clear_of_margin(params, features, market, book, room, paid, stamp - 4, stamp + 2) == stamp - 4


def test_coins_too_few_to_be_sold_stay_so_only_while_their_price_allows() -> None:
    params, _, market, book = a_pair()
    book.spot_qty[FUNDING, 1] = 0.004
    assert pairs.stays_closed(params, market, book, 1, 24, 48)
    market.spot_close[1, 40] = 1_200.0
    assert pairs.stays_closed(params, market, book, 1, 24, 48)
    market.spot_close[1, 40] = 1_300.0
    assert not pairs.stays_closed(params, market, book, 1, 24, 48)
    assert pairs.stays_closed(params, market, book, 1, 24, 40)


def test_fund_e1_a_crumb_grown_dear_keeps_no_pair_from_its_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coin's price is 100 until its first pair has been left, and 3,000 when the rates call for a second."""
    price = np.full((3, HOURS), 100.0)
    rate = np.full((3, HOURS // 8 + 1), 0.002)
    rate[:, 6:18] = -0.002
    price[2, 24 * 5 :] = 3_000.0
    params = some_params(
        THREE, core={"enabled": False}, trend={"enabled": False}, tactical={"enabled": False},
        funding={"weights": np.array([0.4, 0.4, 0.2]), "positive_settlements": 1, "rate_window": 3},
    )  # fmt: skip
    fast = play(a_history(price, rate=rate), params)
    count = int(fast.tape.counts[ORDERS])
    entered = [
        at_h for at_h, s, why in fast.tape.order_i[:count, [1, 3, 6]].tolist() if (s, why) == (2, reason.FUND_ENTRY)
    ]
    assert len(entered) == 4  # both legs of two pairs
    assert reason.FUND_HEDGE not in reasons_of(fast)
    monkeypatch.setattr(loop, "quiet_until", lambda params, states, market, first_bar, *given: first_bar)
    slow = play(a_history(price, rate=rate), params)
    assert np.array_equal(fast.tape.order_i[:count], slow.tape.order_i[:count])
    assert np.array_equal(fast.tape.denials, slow.tape.denials)


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_fund_2_margin_counts_a_pair_without_a_bar_at_its_last_close(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = a_random_history(seed, days=40, holes=60, vol=0.004)
    params = only("funding", THREE, funding={"entry_edge_frac": 0.0, "rate_window": 3, "positive_settlements": 1})
    honest = loop.liquidate_funding
    unpriced: list[bool] = []

    def watched(*given: Any) -> None:
        market, book, marks, bar = given[1], given[2], given[5], given[6]
        for s in np.flatnonzero(book.perp_qty[FUNDING]):
            if np.isnan(market.perp_open[s, bar]):
                known = market.perp_close[s, :bar]
                unpriced.append(marks.perp[s] == known[~np.isnan(known)][-1])
        honest(*given)

    monkeypatch.setattr(loop, "liquidate_funding", watched)
    play(history, params)
    assert len(unpriced) > 5
    assert all(unpriced)

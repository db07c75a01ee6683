"""What a run of many parameter sets repeats by hand: a fresh start, and the fields of a set by their place."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.backtest.fills import empty_lots
from eternal_engine.backtest.many import begin_anew, trend_params
from eternal_engine.portfolio.params import empty_book, empty_marks
from eternal_engine.strategies.trend import TrendParams

# Every field another number, and none that its type would change.
SET = TrendParams(
    enabled=True,
    sma_days=2,
    ema_days=3,
    adx_days=4,
    adx_min=5.5,
    atr_days=6,
    warmup_days=7,
    max_stop_frac=0.08,
    stop_atr=9.5,
    trail_start_atr=10.5,
    trail_atr=11.5,
    risk_frac=0.12,
    volume_filter=False,
    volume_days=14,
    shorts=True,
    leverage=16.5,
    maintenance_frac=0.017,
)


def test_a_set_is_read_back_as_it_was_written() -> None:
    assert trend_params(np.array(SET, np.float64)) == SET


@pytest.mark.parametrize("field", TrendParams._fields)
def test_no_two_fields_of_a_set_are_mistaken_for_each_other(field: str) -> None:
    value = getattr(SET, field)
    changed = SET._replace(**{field: not value if isinstance(value, bool) else value + 20})
    assert trend_params(np.array(changed, np.float64)) == changed
    assert type(getattr(trend_params(np.array(changed, np.float64)), field)) is type(value)


def test_a_run_begins_as_if_none_had_been_before_it() -> None:
    cash = np.array([60.0, 20.0, 15.0, 5.0])
    book, lots, marks = empty_book(3, 4), empty_lots(3), empty_marks(3)
    for used in (*book, *lots, *marks):
        used[...] = 7
    begin_anew(book, lots, marks, cash)
    fresh = empty_book(3, 4)
    fresh.cash[:] = cash
    for name, was, now in zip(book._fields, fresh, book, strict=True):
        np.testing.assert_array_equal(now, was, err_msg=name)
    for name, was, now in zip(lots._fields, empty_lots(3), lots, strict=True):
        np.testing.assert_array_equal(now, was, err_msg=name)
    for name, was, now in zip(marks._fields, empty_marks(3), marks, strict=True):
        np.testing.assert_array_equal(now, was, err_msg=name)

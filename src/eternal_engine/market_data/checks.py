"""Refuse bad rows: every check names the file, the row, its stamp and the mend (exit code 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eternal_engine import clock
from eternal_engine.market_data.datasets import CANDLE_COLUMNS, FUNDING, SENTIMENT, Dataset, Series, iso
from eternal_engine.market_data.history import BoolArray, Float64Array, Int64Array
from eternal_engine.model.errors import DataError

EARLIEST_MS = 1_230_940_800_000  # 2009-01-03: before it there was no coin to quote
INTERVALS_H = (1, 2, 3, 4, 6, 8, 12, 24)
RATE_LIMIT_FRAC = 0.25  # venues cap a settlement at a few percent: beyond this the column is not a fraction


@dataclass(frozen=True)
class Rows:
    """Hold the unchecked columns of one file as read, with the name to use in messages."""

    dataset: Dataset
    symbol: str
    stamp_ms: Int64Array
    values: dict[str, Float64Array]
    where: str


def checked(rows: Rows) -> Series:
    """Check all rows (at least one) and return them as a series, identical duplicates dropped and counted.

    Raises DataError for the first bad row: off the grid, unsorted, conflicting, future-dated or an impossible value.
    """
    rows = _on_grid(rows)
    rows, dropped = _without_duplicates(rows)
    _check_not_in_future(rows)
    if rows.dataset is FUNDING:
        _check_funding(rows)
    elif rows.dataset is SENTIMENT:
        _check_sentiment(rows)
    else:
        _check_candles(rows)
    return Series(rows.dataset, rows.symbol, rows.stamp_ms, rows.values, dropped)


def _refuse(rows: Rows, bad: BoolArray, message: str, mend: str, column: str = "") -> None:
    """Raise for the first row that `bad` marks; `{value}` in the message is that row's value of `column`."""
    if not bad.any():
        return
    row = int(np.argmax(bad))
    value = f"{rows.values[column][row]:.10g}" if column else ""
    more = int(bad.sum()) - 1
    others = f" (and {more} more such rows)" if more else ""
    where = f"{rows.where}, row {row + 1}, {iso(int(rows.stamp_ms[row]))}"
    raise DataError(message.format(value=value) + others, where=where, mend=mend)


def _on_grid(rows: Rows) -> Rows:
    stamps, step_ms = rows.stamp_ms, rows.dataset.step_ms
    _refuse(
        rows,
        stamps < EARLIEST_MS,
        f"{rows.dataset.time_column} lies before 2009",
        "give times as UTC timestamps or as milliseconds since 1970 (seconds must be multiplied by 1000)",
    )
    late_ms = stamps % step_ms
    if not late_ms.any():
        return rows
    step = "full hour" if step_ms < 86_400_000 else "start of a UTC day"
    _refuse(
        rows,
        late_ms > rows.dataset.slack_ms,
        f"{rows.dataset.time_column} is not on a {step}",
        f"resample this file: each row is stamped with the {step} (UTC) it belongs to",
    )
    return Rows(rows.dataset, rows.symbol, stamps - late_ms, rows.values, rows.where)


def _without_duplicates(rows: Rows) -> tuple[Rows, int]:
    steps = np.diff(rows.stamp_ms)
    if steps.shape[0] == 0 or steps.min() > 0:
        return rows, 0
    later = np.zeros(rows.stamp_ms.shape[0], np.bool_)
    later[1:] = steps < 0
    _refuse(rows, later, "the rows are not in order of time", "sort the file by its time column, oldest first")
    again = np.zeros_like(later)
    again[1:] = steps == 0
    differs = np.zeros_like(later)
    for column in rows.values.values():
        same = (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
        differs[1:] |= ~same
    _refuse(
        rows,
        again & differs,
        "the same stamp appears twice with different values",
        "keep the right one of the two rows (identical duplicates are dropped without asking)",
    )
    kept = {name: column[~again] for name, column in rows.values.items()}
    return Rows(rows.dataset, rows.symbol, rows.stamp_ms[~again], kept, rows.where), int(again.sum())


def _check_not_in_future(rows: Rows) -> None:
    now_ms = clock.now_ms()
    if int(rows.stamp_ms[-1]) + rows.dataset.span_ms <= now_ms:
        return
    _refuse(
        rows,
        rows.stamp_ms + rows.dataset.span_ms > now_ms,
        f"the row is dated in the future or its period has not ended yet (now: {iso(now_ms // 60_000 * 60_000)})",
        "remove the rows from there on; if they are right, mend this machine's clock",
    )


def _check_candles(rows: Rows) -> None:
    mend = "remove the row (a missing hour is allowed and listed as a gap) or take the file from a better source"
    values = rows.values
    for name in CANDLE_COLUMNS[:-1]:
        column = values[name]
        # `min` is NaN if any value is, and inf only hides in a maximum: two passes prove the whole column.
        if not (column.min() > 0.0 and column.max() < np.inf):
            _refuse(rows, ~(column > 0.0) | np.isinf(column), f"{name} is not a price above 0: {{value}}", mend, name)
    volume = values["volume"]
    if not (volume.min() >= 0.0 and volume.max() < np.inf):
        _refuse(
            rows, ~(volume >= 0.0) | np.isinf(volume), "volume is not a number of 0 or more: {value}", mend, "volume"
        )
    body_high = np.maximum(values["open"], values["close"])
    body_low = np.minimum(values["open"], values["close"])
    _refuse(rows, values["high"] < values["low"], "high {value} is below low", mend, "high")
    _refuse(rows, values["high"] < body_high, "high {value} is below open or close", mend, "high")
    _refuse(rows, values["low"] > body_low, "low {value} is above open or close", mend, "low")


def _check_funding(rows: Rows) -> None:
    rate, interval_h = rows.values["rate"], rows.values["interval_hours"]
    _refuse(
        rows,
        ~(np.abs(rate) <= RATE_LIMIT_FRAC),
        f"rate is not a fraction within +-{RATE_LIMIT_FRAC} per settlement: {{value}}",
        "give the rate as a fraction (0.01 % is 0.0001) or remove the row",
        "rate",
    )
    _refuse(
        rows,
        ~np.isin(interval_h, INTERVALS_H),
        "interval_hours is {value}, not one of " + ", ".join(map(str, INTERVALS_H)),
        "give the hours since the settlement before it (mostly 8), as the exchange declares them",
        "interval_hours",
    )


def _check_sentiment(rows: Rows) -> None:
    value = rows.values["value"]
    _refuse(
        rows,
        ~((value >= 0.0) & (value <= 100.0)),
        "value is not within 0..100: {value}",
        "remove the row (a missing day is allowed) or take the file from a better source",
        "value",
    )

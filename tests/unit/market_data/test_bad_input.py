"""Bad files: each one clear message with file, row and mend, exit code 3, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import time_machine

from eternal_engine import cli
from eternal_engine.market_data.importing import import_folder
from eternal_engine.market_data.load import load_history
from eternal_engine.model.errors import DataError

BOTH = ("BTCUSDT", "ETHUSDT")
HOUR_MS = 3_600_000


class Bad(NamedTuple):
    name: str
    change: Callable[[dict], dict | None]
    message: str
    where: str
    mend: str


def put(column: str, row: int, value: float) -> Callable[[dict], None]:
    def change(columns: dict) -> None:
        columns[column] = columns[column].astype(np.float64)
        columns[column][row] = value

    return change


def move(row: int, by_ms: int) -> Callable[[dict], None]:
    def change(columns: dict) -> None:
        columns["timestamp"][row] += by_ms

    return change


def each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], dict]:
    return lambda columns: {name: change(values) for name, values in columns.items()}


def twice_but_different(columns: dict) -> dict:
    columns = {name: np.insert(values, 7, values[7]) for name, values in columns.items()}
    columns["volume"][7] += 1
    return columns


SPOT, FUNDING, MOOD = "spot_1h/BTCUSDT", "funding/ETHUSDT", "sentiment/fear_greed"
TABLE = {
    "no rows": Bad(SPOT, each(lambda v: v[:0]), "no rows", "BTCUSDT", "import it again"),
    "a missing column": Bad(
        SPOT,
        lambda c: {k: v for k, v in c.items() if k != "low"},
        "column low is missing",
        "BTCUSDT",
        "name the columns",
    ),
    "other columns": Bad(SPOT, lambda c: {"a": c["open"]}, "column timestamp, open", "BTCUSDT", "name the columns"),
    "text for numbers": Bad(
        SPOT,
        lambda c: {**c, "close": np.full(len(c["close"]), "ten")},
        "does not hold numbers",
        "BTCUSDT",
        "plain numbers",
    ),
    "text for times": Bad(
        SPOT,
        lambda c: {**c, "timestamp": np.full(len(c["close"]), "noon")},
        "is not a time",
        "BTCUSDT",
        "UTC timestamps",
    ),
    "unsorted": Bad(SPOT, each(lambda v: v[::-1]), "not in order of time", "row 2", "sort the file"),
    "two rows swapped": Bad(
        SPOT,
        each(lambda v: v[np.r_[0:50, 51, 50, 52:240]]),
        "not in order of time",
        "row 52, 2020-01-03T02:00Z",
        "sort",
    ),
    "a conflicting duplicate": Bad(
        SPOT, twice_but_different, "twice with different values", "row 9", "keep the right one"
    ),
    "off the grid": Bad(SPOT, move(5, 60_000), "not on a full hour", "row 6, 2020-01-01T05:01Z", "resample"),
    "seconds for milliseconds": Bad(
        SPOT, lambda c: {**c, "timestamp": c["timestamp"] // 1000}, "before 2009", "row 1", "multiplied by 1000"
    ),
    "future-dated": Bad(
        SPOT, move(-1, 50 * 365 * 24 * HOUR_MS), "in the future", "row 240", "remove the rows from there on"
    ),
    "NaN price": Bad(SPOT, put("close", 3, np.nan), "close is not a price above 0: nan", "row 4", "remove the row"),
    "negative price": Bad(SPOT, put("low", 0, -2.5), "low is not a price above 0: -2.5", "row 1", "remove the row"),
    "zero price": Bad(SPOT, put("open", 239, 0), "open is not a price above 0: 0", "row 240", "remove the row"),
    "infinite price": Bad(SPOT, put("high", 9, np.inf), "high is not a price above 0: inf", "row 10", "remove the row"),
    "high below low": Bad(SPOT, put("high", 9, 0.5), "high 0.5 is below low", "row 10", "remove the row"),
    "high below close": Bad(
        SPOT, lambda c: {**c, "high": c["low"] * 1.0}, "is below open or close", "row 1", "remove the row"
    ),
    "low above open": Bad(SPOT, lambda c: {**c, "low": c["high"] * 1.0}, "low 1", "row 1", "remove the row"),
    "negative volume": Bad(SPOT, put("volume", 2, -1), "volume is not a number of 0 or more: -1", "row 3", "remove"),
    "NaN volume": Bad(SPOT, put("volume", 2, np.nan), "volume is not a number of 0 or more: nan", "row 3", "remove"),
    "bad perp too": Bad("perp_1h/ETHUSDT", put("close", 3, -1), "close is not a price", "row 4", "remove the row"),
    "absurd interval": Bad(FUNDING, put("interval_hours", 4, 0), "interval_hours is 0", "row 5", "mostly 8"),
    "interval of minutes": Bad(FUNDING, put("interval_hours", 4, 480), "interval_hours is 480", "row 5", "hours"),
    "a rate in percent": Bad(FUNDING, put("rate", 4, 1.0), "rate is not a fraction", "row 5", "0.01 % is 0.0001"),
    "NaN rate": Bad(FUNDING, put("rate", 4, np.nan), "rate is not a fraction", "row 5", "remove the row"),
    "a settlement off the hour": Bad(FUNDING, move(4, 120_000), "not on a full hour", "row 5", "resample"),
    "rows of another symbol": Bad(
        FUNDING,
        lambda c: {**c, "symbol": np.full(len(c["rate"]), "XRPUSDT")},
        "rows of XRPUSDT",
        "ETHUSDT",
        "one symbol",
    ),
    "sentiment above 100": Bad(MOOD, put("value", 2, 101), "not within 0..100: 101", "row 3", "remove the row"),
    "sentiment NaN": Bad(MOOD, put("value", 2, np.nan), "not within 0..100: nan", "row 3", "remove the row"),
}


@pytest.mark.parametrize("market", [".parquet", ".csv"], indirect=True)
@pytest.mark.parametrize("bad", TABLE.values(), ids=TABLE)
def test_a_bad_file_is_refused_by_import_and_by_loading_alike(market, bad, tmp_path):
    path = market.edit(bad.name, bad.change)
    for attempt in (lambda: load_history(market.path, BOTH), lambda: import_folder(market.path, tmp_path / "store")):
        with pytest.raises(DataError) as caught:
            attempt()
        error = caught.value
        assert bad.message in error.message
        assert str(path) in error.where
        assert bad.where in error.where
        assert bad.mend in error.mend
        assert error.exit_code == 3
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("market", [".parquet", ".csv"], indirect=True)
@pytest.mark.parametrize("kept", [0, 1, 100, 2000, -7])
def test_a_truncated_file_is_refused_by_name(market, kept, tmp_path):
    path = market.file("spot_1h/BTCUSDT")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError) as caught:
        load_history(market.path, BOTH)
    assert str(path) in caught.value.where
    with pytest.raises(DataError):
        import_folder(market.path, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_random_bytes_are_refused_as_not_parquet(market):
    path = market.file("perp_1h/BTCUSDT")
    content = bytearray(path.read_bytes())
    content[500:900] = np.random.default_rng(1).bytes(400)
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_history(market.path, BOTH)
    assert str(path) in caught.value.where


def test_a_candle_that_has_not_closed_yet_is_refused(market):
    last_open_ms = int(market.columns["spot_1h/BTCUSDT"]["timestamp"][-1])
    with time_machine.travel((last_open_ms + HOUR_MS) / 1000, tick=False):
        assert load_history(market.path, BOTH).hours == 240
    with time_machine.travel((last_open_ms + HOUR_MS - 1) / 1000, tick=False), pytest.raises(DataError) as caught:
        load_history(market.path, BOTH)
    assert "its period has not ended yet" in caught.value.message
    assert "row 240" in caught.value.where


def test_settlements_printed_seconds_late_are_put_on_their_hour(market):
    whole = load_history(market.path, BOTH)
    market.edit("funding/ETHUSDT", lambda c: {**c, "timestamp": c["timestamp"] + 59_000})
    assert load_history(market.path, BOTH).fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no header"),
        ("coin,from,to\n", "no header"),
        ("symbol,listed,delisted\nBTCUSDT,soon,\n", "'soon' is not a date"),
        ("symbol,listed,delisted\nBTCUSDT,2020-01-01\n", "needs 3 fields"),
        ("symbol,listed,delisted\nBTCUSDT,2020-01-02,2020-01-02\n", "delisted is not after listed"),
        ("symbol,listed,delisted\nBTCUSDT,2020-01-02,\nBTCUSDT,2020-01-02,\n", "BTCUSDT appears twice"),
    ],
)
def test_j14_a_bad_universe_file_is_refused_before_anything_is_written(market, content, message, tmp_path):
    (market.path / "universe.csv").write_text(content)
    for attempt in (lambda: load_history(market.path, BOTH), lambda: import_folder(market.path, tmp_path / "store")):
        with pytest.raises(DataError, match=message) as caught:
            attempt()
        assert "universe.csv" in caught.value.where
    assert not (tmp_path / "store").exists()


def test_the_command_line_says_what_where_and_mend_and_ends_with_3(market, tmp_path, capsys):
    market.edit("spot_1h/BTCUSDT", put("close", 3, -1))
    for args in (["import", str(market.path), "--to", str(tmp_path / "store")], ["verify", str(market.path)]):
        assert cli.run(["data", *args]) == 3
        printed = capsys.readouterr().err
        assert "close is not a price above 0: -1" in printed
        assert "row 4, 2020-01-01T03:00Z" in printed
        assert "mend:" in printed
        assert "Traceback" not in printed


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["no folder", "empty folder"])
def test_a_folder_without_data_is_refused_with_the_layout_as_mend(tmp_path, make):
    make(tmp_path / "nothing")
    with pytest.raises(DataError) as caught:
        load_history(tmp_path / "nothing", BOTH)
    assert "spot_1h/" in caught.value.mend

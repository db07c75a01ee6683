"""Downloading from a local server that answers as the exchanges do (J19)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eternal_engine import cli, clock
from eternal_engine.market_data.datasets import FUNDING, PERP, SPOT
from eternal_engine.market_data.download import venue as venue_module
from eternal_engine.market_data.download.run import Request, download
from eternal_engine.market_data.download.venue import Patience, Unreachable
from eternal_engine.market_data.folder import open_folder
from eternal_engine.market_data.inventory import take_inventory
from eternal_engine.market_data.load import load_history
from eternal_engine.model.errors import DataError, RefusedError, UsageError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOURS = 2500
KLINE, RATES = "/v5/market/kline", "/v5/market/funding/history"


@pytest.fixture
def first_ms() -> int:
    return clock.now_ms() // HOUR_MS * HOUR_MS - HOURS * HOUR_MS


@pytest.fixture
def request_(exchange, first_ms) -> Request:
    return Request(
        symbols=("BTCUSDT",),
        start_ms=first_ms,
        api_url=exchange.url,
        fallback_url=exchange.url,
        sentiment_url=exchange.url,
        patience=Patience(attempts=4, first_wait_s=0.01, longest_wait_s=0.05),
    )


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


def test_all_pages_are_fetched_and_the_open_candle_is_never_stored(exchange, request_, store, first_ms):
    outcome = download(request_, store)
    assert outcome.failures == ()
    spot, manifest = open_folder(store).read(SPOT, "BTCUSDT")
    assert spot.stamp_ms[0] == first_ms
    assert spot.stamp_ms[-1] + HOUR_MS <= clock.now_ms()
    assert len(spot) in (HOURS, HOURS + 1)
    assert (manifest.source, manifest.exchange, manifest.gaps) == ("bybit", "bybit", ())
    spot_pages = [query for query in exchange.asked(KLINE) if query["category"] == "spot"]
    assert len(spot_pages) == 3
    history = load_history(store, ("BTCUSDT",))
    hour = (first_ms + 1234 * HOUR_MS - history.start_ms) // HOUR_MS
    assert history.spot.open[0, hour] == 100.0 + (first_ms // HOUR_MS + 1234) % 97
    assert history.perp.open[0, hour] == history.spot.open[0, hour] + 0.5
    assert history.source == "alternative.me fear and greed index, bybit"
    # In the first hour of a UTC day no bar of today is closed yet: today's value lies beyond the history.
    values = [14, 13, 12, 11, 10]
    today_has_bars = history.end_ms > clock.now_ms() // DAY_MS * DAY_MS
    assert history.sentiment.value.tolist() == (values if today_has_bars else values[:-1])
    assert not list((store / ".partial").rglob("*.jsonl"))


def test_funding_is_asked_with_both_bounds_and_gets_its_interval(exchange, request_, store):
    download(request_, store)
    funding, _ = open_folder(store).read(FUNDING, "BTCUSDT")
    assert set(funding.values["interval_hours"]) == {8}
    assert all({"startTime", "endTime"} <= set(query) for query in exchange.asked(RATES))


def test_a_full_page_of_funding_is_split_until_nothing_can_be_cut_off(exchange, request_, store, first_ms):
    # Contracts change their interval at a settlement, whatever the hour of today is.
    begins_ms = (first_ms // (8 * HOUR_MS) + 50) * 8 * HOUR_MS
    spell = range(begins_ms, begins_ms + 504 * HOUR_MS)
    exchange.interval_h = lambda stamp_ms: 1 if stamp_ms in spell else 8
    download(request_, store)
    funding, manifest = open_folder(store).read(FUNDING, "BTCUSDT")
    expected = exchange.settlements(first_ms, clock.now_ms() // HOUR_MS * HOUR_MS - 1)
    assert funding.stamp_ms.tolist() == expected
    assert manifest.gaps == ()
    assert (funding.values["interval_hours"] == 1).sum() in (503, 504)


def test_gaps_are_kept_as_gaps_and_listed(exchange, request_, store, first_ms):
    exchange.missing = {first_ms + hour * HOUR_MS for hour in (50, 51, 1500)}
    download(request_, store)
    entry = next(entry for entry in take_inventory(store).entries if entry.dataset == "spot_1h")
    assert (entry.gaps, entry.missing) == (2, 3)


def test_identical_duplicates_are_dropped_and_counted(exchange, request_, store, first_ms):
    # Fewer rows than a page holds, so that the doubled rows do not push others off it.
    exchange.begin_ms = first_ms + 100 * HOUR_MS
    exchange.doubled = {first_ms + 500 * HOUR_MS, first_ms + 501 * HOUR_MS}
    download(request_, store)
    series, manifest = open_folder(store).read(SPOT, "BTCUSDT")
    assert manifest.duplicates_dropped == 2
    assert manifest.gaps == ()
    assert series.stamp_ms[0] == exchange.begin_ms


def test_contradicting_rows_are_refused_and_not_kept_for_the_next_try(exchange, request_, store, first_ms):
    exchange.contradicted = {first_ms + 500 * HOUR_MS}
    exchange.begin_ms = first_ms + 100 * HOUR_MS
    with pytest.raises(DataError, match="twice with different values"):
        download(request_, store)
    assert not list((store / ".partial").rglob("*.jsonl"))
    exchange.contradicted = set()
    assert download(request_, store).failures == ()


@pytest.mark.parametrize("fault", ["10006", "10016", "429", "500", "502", "html", "cut", "no list", "hang up"])
def test_a_passing_failure_is_tried_again_and_costs_no_row(exchange, request_, store, fault, first_ms):
    end_ms = first_ms + 2400 * HOUR_MS
    exchange.faults = ["", fault, "", "", "", fault, fault, "", fault, "", "", "", fault]
    assert download(replace(request_, end_ms=end_ms), store).failures == ()
    for dataset in (SPOT, PERP):
        series, manifest = open_folder(store).read(dataset, "BTCUSDT")
        assert series.stamp_ms.tolist() == list(range(first_ms, end_ms, HOUR_MS))
        assert manifest.exchange == "bybit"
    funding, _ = open_folder(store).read(FUNDING, "BTCUSDT")
    assert funding.stamp_ms.tolist() == exchange.settlements(first_ms, end_ms - 1)


def test_a_final_refusal_is_not_repeated(exchange, request_, store):
    exchange.faults = ["", "", "", "10001"]
    with pytest.raises(DataError, match="symbol invalid"):
        download(replace(request_, fallback=""), store)
    assert len(exchange.asked(KLINE)) == 1


def test_a_rate_limit_is_waited_out_as_long_as_the_exchange_says(exchange, request_, store, monkeypatch):
    waits = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    exchange.faults = ["", "", "", "10006"]
    download(request_, store)
    # The reset stamp of the answer lies in the past: that still means a moment, never a negative sleep.
    assert 0.1 in waits


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "99999"}, 300.0),
        ({"retry-after": "soon"}, None),
        ({"x-bapi-limit-reset-timestamp": "1000000000000"}, 0.1),
        ({}, None),
    ],
)
def test_the_asked_wait_is_read_and_bounded(headers, wait_s):
    assert venue_module._asked_wait_s(headers) == wait_s


class Interrupted(BaseException):
    """Stand in for Ctrl-C."""


def test_j19_an_interrupted_download_is_not_complete_and_goes_on_where_it_stopped(exchange, request_, store):
    pages = []

    def stop_after_two(label: str, done: int, total: int) -> None:
        pages.append((label, done, total))
        if len(pages) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        download(request_, store, stop_after_two)
    assert pages == [("bybit spot_1h BTC/USDT", 1, 3), ("bybit spot_1h BTC/USDT", 2, 3)]
    assert not list(store.rglob("*.parquet"))
    with pytest.raises(DataError, match="missing"):
        load_history(store, ("BTCUSDT",))
    assert take_inventory(store).partial == ("spot_1h/BTCUSDT.bybit.jsonl",)
    exchange.requests.clear()
    download(request_, store)
    spot_pages = [query for query in exchange.asked(KLINE) if query["category"] == "spot"]
    assert [int(query["start"]) for query in spot_pages] == [request_.start_ms + 2000 * HOUR_MS]
    assert open_folder(store).read(SPOT, "BTCUSDT")[1].gaps == ()


def test_j19_a_download_killed_by_the_system_goes_on_where_it_stopped(exchange, request_, store):
    exchange.begin_ms = request_.start_ms
    day = np.datetime64(request_.start_ms - 4000 * HOUR_MS, "ms").astype(str)[:10]
    args = ["data", "download", "--symbols", "BTCUSDT", "--start", day, "--to", str(store), "--first-wait-s", "0.01"]
    args += ["--api-url", exchange.url, "--fallback", "none", "--sentiment-url", exchange.url]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "src")}
    code = f"from eternal_engine import cli; raise SystemExit(cli.run({args!r}))"
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        _wait_for(lambda: len(exchange.asked(KLINE)) >= 3)
        process.send_signal(signal.SIGKILL)
    asked_before = {query["start"] for query in exchange.asked(KLINE) if query["category"] == "spot"}
    assert not list(store.rglob("perp_1h/*.parquet"))
    exchange.requests.clear()
    assert cli.run(args) == 0
    again = {query["start"] for query in exchange.asked(KLINE) if query["category"] == "spot"}
    # Only the page in flight may be asked twice.
    assert len(asked_before & again) <= 1
    assert take_inventory(store).bad == ()
    assert open_folder(store).read(SPOT, "BTCUSDT")[1].gaps == ()


def _wait_for(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_an_exchange_that_goes_away_keeps_the_pages_and_says_that_they_are_continued(exchange, request_, store):
    exchange.faults = [""] * 5 + ["503"] * 100
    with pytest.raises(Unreachable) as caught:
        download(replace(request_, fallback=""), store)
    assert "kept and continued" in caught.value.mend
    assert caught.value.exit_code == 3
    assert take_inventory(store).partial == ("spot_1h/BTCUSDT.bybit.jsonl",)
    exchange.faults = []
    exchange.requests.clear()
    download(replace(request_, fallback=""), store)
    assert len([query for query in exchange.asked(KLINE) if query["category"] == "spot"]) == 1


def test_the_declared_fallback_gives_a_whole_series_and_is_named_in_the_manifest(exchange, request_, store, first_ms):
    download(replace(request_, api_url="http://127.0.0.1:9"), store)
    for dataset in (SPOT, PERP, FUNDING):
        series, manifest = open_folder(store).read(dataset, "BTCUSDT")
        assert (manifest.source, manifest.gaps) == ("binance", ())
        assert "declared fallback: bybit did not give" in manifest.note
        assert series.stamp_ms[0] - first_ms <= 8 * HOUR_MS
    assert not exchange.asked(KLINE)
    notes = load_history(store, ("BTCUSDT",)).notes
    assert any(note.startswith("perp_1h BTCUSDT from binance: declared fallback: bybit did not") for note in notes)


def test_a_later_download_appends_from_the_same_exchange(exchange, request_, store, first_ms):
    middle_ms = first_ms + 1200 * HOUR_MS
    download(replace(request_, end_ms=middle_ms), store)
    assert open_folder(store).read(SPOT, "BTCUSDT")[0].stamp_ms[-1] == middle_ms - HOUR_MS
    exchange.requests.clear()
    # The fallback is not asked to continue what Bybit began, nor Bybit what it has given already.
    download(request_, store)
    assert min(int(query["start"]) for query in exchange.asked(KLINE)) == middle_ms
    series, manifest = open_folder(store).read(SPOT, "BTCUSDT")
    assert (manifest.gaps, manifest.duplicates_dropped, series.stamp_ms[0]) == ((), 0, first_ms)
    funding, manifest = open_folder(store).read(FUNDING, "BTCUSDT")
    assert manifest.gaps == ()
    assert set(funding.values["interval_hours"]) == {8}


def test_an_earlier_start_than_stored_is_fetched_too(exchange, request_, store, first_ms):
    download(replace(request_, start_ms=first_ms + 1000 * HOUR_MS, end_ms=first_ms + 2000 * HOUR_MS), store)
    download(replace(request_, end_ms=first_ms + 1500 * HOUR_MS), store)
    series, manifest = open_folder(store).read(SPOT, "BTCUSDT")
    assert (series.stamp_ms[0], series.stamp_ms[-1]) == (first_ms, first_ms + 1999 * HOUR_MS)
    assert (manifest.gaps, manifest.duplicates_dropped) == ((), 0)


def test_imported_series_are_not_mixed_with_downloaded_ones(exchange, request_, market, store):
    assert cli.run(["data", "import", str(market.path), "--to", str(store)]) == 0
    with pytest.raises(RefusedError, match="would mix two sources"):
        download(request_, store)
    assert download(replace(request_, replace=True), store).failures == ()


def test_a_coin_without_a_perpetual_gets_empty_files_and_is_not_tradable_there(exchange, request_, store):
    exchange.perps = {"ETHUSDT"}
    download(replace(request_, symbols=("BTCUSDT", "ETHUSDT"), fallback=""), store)
    history = load_history(store, ("BTCUSDT", "ETHUSDT"))
    assert history.first_funding_ms[0] == -1
    assert history.first_funding_ms[1] > 0
    assert np.isnan(history.perp.close[0]).all()
    assert "perp_1h BTCUSDT from bybit: bybit has no perpetual BTCUSDT" in history.notes


def test_an_unknown_symbol_fails_alone_and_is_named_with_exit_code_3(exchange, request_, store, capsys):
    args = ["data", "download", "--symbols", "NOSUCHUSDT,BTCUSDT", "--to", str(store), "--first-wait-s", "0.01"]
    args += ["--start", _day(request_), "--api-url", exchange.url, "--fallback-url", exchange.url]
    assert cli.run([*args, "--sentiment-url", exchange.url, "--json"]) == 3
    printed = capsys.readouterr()
    assert "spot_1h NOSUCHUSDT: bybit has no spot market NOSUCHUSDT; binance has no" in printed.err
    assert "bybit" in {item["source"] for item in json.loads(printed.out)["written"]}
    assert load_history(store, ("BTCUSDT",)).hours > 0


def _day(request_: Request) -> str:
    return str(np.datetime64(request_.start_ms, "ms"))[:10]


def test_missing_sentiment_is_a_named_failure_and_loses_nothing_else(exchange, request_, store):
    outcome = download(replace(request_, sentiment_url="http://127.0.0.1:9"), store)
    assert outcome.failures[0].startswith("sentiment: ")
    assert load_history(store, ("BTCUSDT",)).sentiment.value.shape == (0,)


def test_an_exchange_without_known_page_sizes_is_refused():
    with pytest.raises(UsageError, match="no download from 'kraken'"):
        venue_module.Venue("kraken")

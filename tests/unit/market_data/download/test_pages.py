"""Pages of an unfinished download: only whole pages that join count (J19)."""

from __future__ import annotations

import json

import pytest

from eternal_engine.market_data.datasets import SPOT
from eternal_engine.market_data.download.pages import Head, Pages

HEAD = Head("bybit", "spot_1h", "BTCUSDT", 1000)


@pytest.fixture
def begun(tmp_path) -> Pages:
    pages = Pages(tmp_path, SPOT, HEAD)
    pages.add(2000, [[1000, 1.5], [1500, 2.5]])
    pages.add(3000, [])
    return pages


def test_pages_are_continued_at_the_end_of_the_last_whole_one(begun, tmp_path):
    again = Pages(tmp_path, SPOT, HEAD)
    assert (again.rows, again.cursor_ms) == ([[1000, 1.5], [1500, 2.5]], 3000)


def test_a_page_cut_anywhere_is_dropped_and_the_file_is_continued_cleanly(begun, tmp_path):
    whole = begun.path.read_bytes()
    before = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for length in range(before, len(whole)):
        begun.path.write_bytes(whole[:length])
        again = Pages(tmp_path, SPOT, HEAD)
        assert (again.rows, again.cursor_ms) == ([[1000, 1.5], [1500, 2.5]], 2000)
        again.add(3000, [])
        assert begun.path.read_bytes() == whole


@pytest.mark.parametrize("change", [{"symbol": "ETHUSDT"}, {"from_ms": 1}, {"version": 2}, {"exchange": "binance"}])
def test_pages_of_another_request_are_not_continued(begun, tmp_path, change):
    lines = begun.path.read_bytes().splitlines(keepends=True)
    head = {**json.loads(lines[0]), **change}
    begun.path.write_bytes(json.dumps(head).encode() + b"\n" + b"".join(lines[1:]))
    again = Pages(tmp_path, SPOT, HEAD)
    assert (again.rows, again.cursor_ms) == ([], 1000)


def test_a_page_that_does_not_join_ends_what_counts(begun, tmp_path):
    with begun.path.open("ab") as file:
        file.write(b'{"from":4000,"until":5000,"rows":[[4000,9]]}\n')
    again = Pages(tmp_path, SPOT, HEAD)
    assert (len(again.rows), again.cursor_ms) == (2, 3000)

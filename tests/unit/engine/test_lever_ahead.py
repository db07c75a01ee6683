"""Leverage is set before anything is decided: no first order waits for it, and what fails is set later (TREND-X3)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine_bench import Bench, a_bench
from eternal_engine.model.errors import HaltTrading, RejectedForGood, Retry
from eternal_engine.model.ids import Engine

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def holding(bench: Bench, *symbols: str, error: Exception | None = None) -> None:
    async def positions() -> list[Any]:
        if error is not None:
            raise error
        return [SimpleNamespace(symbol=symbol, qty=Decimal(1)) for symbol in symbols]

    bench.exchange.positions = positions  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", [Engine.TREND, Engine.FUNDING])
async def test_trend_x3_what_is_flat_is_levered_ahead_once(engine: Engine, tmp_path: Path) -> None:
    async with a_bench(tmp_path, engine) as bench:
        holding(bench, "ETHUSDT")
        await bench.manager.lever_ahead(SYMBOLS)
        await bench.manager.lever_ahead(SYMBOLS)
        assert [row.split()[0] for row in bench.exchange.levered] == ["BTCUSDT", "SOLUSDT"]
        assert await bench.manager._lever("BTCUSDT")
        assert len(bench.exchange.levered) == 2, "the first order asks no more"
        assert await bench.manager._lever("ETHUSDT")
        assert len(bench.exchange.levered) == 3, "what was held is set before its first order"


async def test_trend_x3_what_could_not_be_set_ahead_is_set_before_its_order(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        holding(bench)
        bench.exchange.lever_script = [RejectedForGood("no"), HaltTrading("no")]
        await bench.manager.lever_ahead(SYMBOLS)
        assert [row.split()[0] for row in bench.exchange.levered] == ["SOLUSDT"]
        assert await bench.manager._lever("BTCUSDT")
        assert len(bench.exchange.levered) == 2


async def test_an_exchange_that_does_not_answer_ahead_is_asked_later(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        holding(bench, error=Retry("silence"))
        await bench.manager.lever_ahead(SYMBOLS)
        assert bench.exchange.levered == []


@pytest.mark.parametrize("engine", [Engine.CORE_HODL, Engine.TACTICAL])
async def test_who_trades_no_perps_sets_no_leverage(engine: Engine, tmp_path: Path) -> None:
    async with a_bench(tmp_path, engine) as bench:
        holding(bench)
        await bench.manager.lever_ahead(SYMBOLS)
        assert bench.exchange.levered == []

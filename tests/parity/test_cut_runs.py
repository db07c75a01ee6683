"""A run that was told to end and goes on later is the same as one that never ended (C6, U-8)."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.config.settings import Settings
from eternal_engine.launch.daemon import Outcome
from eternal_engine.launch.markets import Wish
from eternal_engine.launch.start import Request, start

FIRST = datetime(2021, 3, 1, tzinfo=UTC)
# All engines trade at once; funding is settled at 00:00, 08:00 and 16:00.
LIVELY: dict[str, Any] = {
    "core_hodl": {"interval_h": 48},
    "trend": {"adx_min": 5.0, "sma_days": 30, "ema_days": 10, "warmup_days": 30},
    "funding": {"entry_edge_frac": 0.0, "horizon_days": 60, "min_margin_frac": 0.45},
}
FACTS = {
    "marks": "SELECT at, account, equity_usdt FROM equity_marks ORDER BY at, account",
    "funding": "SELECT account, symbol, qty, amount_usdt, settled_at FROM funding_payments ORDER BY 5, 1, 2",
    "orders": "SELECT client_order_id, qty, amount_usdt, state, filled_qty, filled_usdt FROM orders ORDER BY 1",
}


def lived(folder: Path, *ends: datetime) -> list[Outcome]:
    """Live from the first day to each of the ends, every time as `eternal run --speed max --until` does."""
    paths = {"state_dir": folder / "state", "log_dir": folder / "logs", "data_dir": folder / "data"}
    settings = Settings.model_validate({**LIVELY, "paths": paths})
    outcomes = []
    for until in ends:
        request = Request(
            mode="paper",
            settings=settings,
            directory=folder,
            read_settings=lambda: settings,
            wish=Wish(market="synthetic", start_ms=int(FIRST.timestamp() * 1000), speed=0),
            until=until,
            console=False,
            handles_signals=False,
        )
        outcomes.append(asyncio.run(start(request)))
    return outcomes


def facts(folder: Path) -> dict[str, list[Any]]:
    with sqlite3.connect(f"file:{folder / 'state' / 'eternal.db'}?mode=ro", uri=True) as database:
        return {name: database.execute(query).fetchall() for name, query in FACTS.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_c6_a_run_cut_at_any_hour_has_every_settlement_once_and_the_same_equity(tmp_path: Path) -> None:
    end = FIRST + timedelta(days=3)
    (whole,) = lived(tmp_path / "whole", end)
    wanted = facts(tmp_path / "whole")
    assert len(wanted["funding"]) > 20
    for hours in (7, 8, 23, 24, 48):
        folder = tmp_path / f"cut at {hours}"
        first, second = lived(folder, FIRST + timedelta(hours=hours), end)
        assert first.summary.differences == second.summary.differences == ()
        assert (first.summary.hours, second.summary.hours) == (hours, 72 - hours)
        assert second.summary.tally.result_hash == whole.summary.tally.result_hash
        found = facts(folder)
        for name in FACTS:
            assert found[name] == wanted[name], (hours, name)

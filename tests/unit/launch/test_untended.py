"""What a changed configuration leaves to nobody is said, at a start and after a reload; nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from builders import a_fill
from eternal_engine.bootstrap import params_of
from eternal_engine.config import Settings, load
from eternal_engine.engine.memory import Memory, fresh_memory
from eternal_engine.launch.untended import untended
from eternal_engine.ledger.books import Books
from eternal_engine.model.event import Deposited, Filled
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Coin, RecordId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.strategies import core_hodl

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAIR = (
    a_fill("f1", account=Account.FUNDING, symbol="SOLUSDT", qty="2", price="100"),
    a_fill("f2", account=Account.FUNDING, symbol="SOLUSDT", qty="2", price="100", market=Market.PERP, side=Side.SELL),
)
LONG = (a_fill("t1", account=Account.TREND, market=Market.PERP, qty="0.1"),)
COINS = (a_fill("a1", account=Account.TACTICAL, qty="0.05", price="40000"),)
DUST = (a_fill("a2", account=Account.TACTICAL, qty="0.00001", price="40000"),)
KEPT = (a_fill("c1", account=Account.CORE_HODL, qty="0.5", price="40000"),)


def settings(folder: Path, **environ: str) -> Settings:
    return load("paper", directory=folder, environ={f"ETERNAL_{name}": text for name, text in environ.items()})


def books(*fills: Fill) -> Books:
    found = Books()
    for fill in fills:
        name, usdt = RecordId(f"d:{fill.execution_id}"), Decimal(100_000)
        found = found.apply(Deposited(NOW, name, fill.account, Coin("USDT"), usdt, usdt, NOW)).books
        found = found.apply(Filled(NOW, fill)).books
    return found


def a_memory() -> Memory:
    return fresh_memory(params_of(Settings()), Settings().symbols, 0)


@pytest.mark.parametrize(
    ("engine", "fills", "symbol"),
    [("TREND", LONG, "BTCUSDT"), ("FUNDING", PAIR, "SOLUSDT"), ("TACTICAL", COINS, "BTC")],
)
def test_k3_an_engine_that_is_off_and_holds_something_is_said(
    tmp_path: Path, engine: str, fills: tuple[Fill, ...], symbol: str
) -> None:
    off = settings(tmp_path, **{f"{engine}__ENABLED": "false"})
    (alert,) = untended(off, a_memory(), books(*fills))
    assert alert.where == f"{engine.lower()}.enabled"
    assert f"switched off and holds {symbol}" in alert.what
    assert untended(settings(tmp_path), a_memory(), books(*fills)) == ()
    assert untended(off, a_memory(), books(*DUST)) == ()


def test_core_11_coins_of_core_hodl_wait_for_nobody(tmp_path: Path) -> None:
    assert untended(settings(tmp_path, CORE_HODL__ENABLED="false"), a_memory(), books(*KEPT)) == ()


def test_fund_x1_a_pair_without_a_weight_is_said(tmp_path: Path) -> None:
    less = settings(tmp_path, FUNDING__WEIGHTS='{"BTCUSDT": 0.5, "ETHUSDT": 0.5}')
    (alert,) = untended(less, a_memory(), books(*PAIR))
    assert (alert.where, "SOLUSDT" in alert.what) == ("funding.weights", True)


def test_core_7_a_plan_of_a_coin_without_a_weight_is_said(tmp_path: Path) -> None:
    less = settings(tmp_path, CORE_HODL__WEIGHTS='{"BTCUSDT": 0.67, "ETHUSDT": 0.33}')
    memory = a_memory()
    gap, plan = np.zeros(10), np.zeros(10, np.int64)
    gap[:3], plan[:3] = 400.0, core_hodl.MAIN_PLAN
    memory = replace(memory, states=memory.states._replace(core=memory.states.core._replace(gap_usdt=gap, plan=plan)))
    (alert,) = untended(less, memory, Books())
    assert (alert.where, "SOLUSDT" in alert.what, "BTCUSDT" in alert.what) == ("core_hodl.weights", True, False)
    assert untended(settings(tmp_path), memory, Books()) == ()

"""What a crew is put together from: a memory fits the coins it was made for, or nothing starts (CORE-12)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from core_builders import TEN, some_params
from engine_bench import AT, OWNERS, HandClock
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import hour_of
from eternal_engine.launch.assembly import Orders, assemble
from eternal_engine.model.errors import UsageError
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import empty_marks
from eternal_engine.storage.store import Store


@pytest.mark.parametrize("symbols", [TEN[::-1], TEN[:9], (*TEN, "TONUSDT")])
async def test_core_12_a_memory_of_other_coins_or_another_order_is_refused(
    tmp_path: Path, symbols: tuple[str, ...]
) -> None:
    store = await Store.open(tmp_path / "eternal.db")
    try:
        params = some_params(TEN)
        memory = fresh_memory(params, TEN, month_of(hour_of(AT)))
        recorder = Recorder(store, params, memory, HandClock(), marks=empty_marks(len(TEN)), is_new=True)
        await recorder.commit(lambda now, _: (now, ()))
        orders = Orders(params, symbols, "hash", lambda _: 0, OWNERS)
        nothing = cast("Any", None)
        with pytest.raises(UsageError, match="this state trades BTCUSDT"):
            assemble(nothing, store, nothing, nothing, {}, orders)
    finally:
        await store.close()

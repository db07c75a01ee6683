"""The daemon's memory comes back exactly, and refuses what it cannot read (C6, CORE-12, BRK-2)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import TWO, some_params
from eternal_engine.engine.memory import (
    CLOCK_OWNER,
    OWNER,
    VERSION,
    Memory,
    fresh_memory,
    load,
    read,
    saves,
    write,
    written_after,
)
from eternal_engine.model.errors import StorageError, UsageError
from eternal_engine.portfolio.params import NO_INTENT
from eternal_engine.storage.projection import SavedState

PARAMS = some_params(TWO)
AT = datetime(2024, 1, 2, tzinfo=UTC)
FLOATS = st.floats(allow_nan=False)


def a_memory(price: float = 1.5, stop: float = -np.inf) -> Memory:
    memory = fresh_memory(PARAMS, TWO, 24_000)
    states = memory.states
    states = states._replace(
        risk=states.risk._replace(level=3, high_usdt=price, halted=True, day=19_000, approvals=2),
        trend=states.trend._replace(best_close=np.array([stop, price]), trailing=np.array([True, False])),
        core=states.core._replace(phase=2, weeks_remaining=7, spent_usdt=np.array([price, 0.1 + 0.2])),
    )
    return replace(
        memory,
        states=states,
        cycle_h=473_000,
        started_h=472_000,
        pending=(NO_INTENT._replace(qty_steps=7, price=price), NO_INTENT._replace(quote_steps=9, reduces=True)),
        halted=0b0110,
        flowed_usdt=(Decimal("12345678.123456789012345678"), Decimal(0), Decimal(-1), Decimal("0.1")),
        paused=frozenset({"BTCUSDT"}),
        stops=((0, Decimal("31000.10")),),
        held_back=((1, 473_100),),
        portfolio_high_usdt=123_456.7,
        portfolio_level=2,
    )


def saved_states(memory: Memory) -> dict[str, SavedState]:
    return {e.owner: SavedState(e.schema_version, e.document, e.at) for e in saves(memory, None, AT)}


@given(price=FLOATS, stop=FLOATS)
def test_c6_everything_comes_back_exactly(price: float, stop: float) -> None:
    memory = a_memory(price, stop)
    back = load(saved_states(memory), PARAMS)
    assert back is not None
    assert write(back) == write(memory)
    assert (back.cycle_h, back.pending, back.flowed_usdt) == (memory.cycle_h, memory.pending, memory.flowed_usdt)
    assert (back.paused, back.stops, back.held_back, back.halted) == (
        memory.paused, memory.stops, memory.held_back, memory.halted,
    )  # fmt: skip
    assert (back.portfolio_high_usdt, back.portfolio_level) == (123_456.7, 2)
    for name, part in memory.states._asdict().items():
        for field, value in part._asdict().items():
            found = getattr(getattr(back.states, name), field)
            np.testing.assert_array_equal(found, value)
            assert np.asarray(found).dtype == np.asarray(value).dtype, f"{name}.{field}"


def test_only_what_changed_is_saved() -> None:
    memory = a_memory()
    stands = written_after(None, memory, ())
    assert saves(memory, stands, AT) == ()
    later = saves(replace(memory, cycle_h=memory.cycle_h + 1), stands, AT)
    assert [event.owner for event in later] == [CLOCK_OWNER]
    halted = saves(replace(memory, halted=1), stands, AT)
    assert [event.owner for event in halted] == [OWNER]
    assert written_after(stands, replace(memory, halted=1), halted).document == halted[0].document


def test_nothing_saved_is_no_memory() -> None:
    assert load({}, PARAMS) is None


def test_c12_another_version_or_other_parts_are_refused_by_name() -> None:
    document = write(a_memory())
    with pytest.raises(StorageError, match="version 99"):
        read(document, 99, PARAMS)
    changed = json.loads(document)
    del changed["states"]["risk"]["approved"]
    with pytest.raises(StorageError, match="approved"):
        read(json.dumps(changed), VERSION, PARAMS)


def test_core_12_another_number_of_levels_is_refused_with_its_mend() -> None:
    own = PARAMS.tactical
    more = own._replace(
        level_drawdown=np.array([*own.level_drawdown, 0.9]), level_budget=np.array([*own.level_budget, 0.0])
    )
    with pytest.raises(UsageError, match="values where the configuration asks for") as refused:
        read(write(a_memory()), VERSION, PARAMS._replace(tactical=more))
    assert "tactical.levels" in refused.value.mend

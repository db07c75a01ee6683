"""The daemon's memory comes back exactly, and refuses what it cannot read (C6, CORE-12, BRK-2)."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import TEN, THREE, TWO, some_params
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
from eternal_engine.model.errors import SchemaError, StorageError, UsageError
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
        resumed_ms=(0, 1_704_153_600_123, 0, 7),
        scope=1,
    )


def saved_states(memory: Memory) -> dict[str, SavedState]:
    return {e.owner: SavedState(e.schema_version, e.document, e.at) for e in saves(memory, None, AT)}


@given(price=FLOATS, stop=FLOATS)
def test_a_document_made_of_texts_that_are_known_is_the_whole_one(price: float, stop: float) -> None:
    before, other = a_memory(price, stop), a_memory(stop, price)
    known = written_after(None, before, ())
    after = replace(before, halted=5, states=before.states._replace(trend=other.states.trend))
    found = [event.document for event in saves(after, known, AT) if event.owner == OWNER]
    assert found == [write(after)]
    assert json.dumps(json.loads(write(after)), sort_keys=True, separators=(",", ":")) == write(after)


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
    assert (back.resumed_ms, back.scope) == (memory.resumed_ms, 1)
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


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List where every field of a document stands, by the names and numbers that lead to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    own = [path] if path and isinstance(path[-1], str) else []
    return [*own, *(place for key, part in inner for place in places(part, (*path, key)))]


def at_place(document: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        document = document[key]
    return document


WRITTEN = json.loads(write(a_memory()))


@given(path=st.sampled_from(places(WRITTEN)))
def test_c12_every_missing_field_is_named_with_its_mend(path: tuple[str | int, ...]) -> None:
    document = copy.deepcopy(WRITTEN)
    del at_place(document, path[:-1])[path[-1]]
    with pytest.raises(SchemaError, match=str(path[-1])) as refused:
        read(json.dumps(document), VERSION, PARAMS)
    assert refused.value.exit_code == 4
    assert "restore a backup" in refused.value.mend


@given(path=st.sampled_from(places(WRITTEN)), odd=st.sampled_from([None, "x", {}, [[]], {"a": 1}]))
def test_c12_a_field_of_another_kind_is_read_or_refused_but_never_breaks(path: tuple[str | int, ...], odd: Any) -> None:
    document = copy.deepcopy(WRITTEN)
    at_place(document, path[:-1])[path[-1]] = odd
    with suppress(SchemaError, UsageError):
        found = write(read(json.dumps(document), VERSION, PARAMS))
        assert write(read(found, VERSION, PARAMS)) == found, "what was taken must be kept"


@pytest.mark.parametrize("text", ["", "[]", "null", "5", "{", '"x"'])
def test_c12_what_is_no_document_at_all_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match=f"version {VERSION}"):
        read(text, VERSION, PARAMS)


def test_c12_a_state_of_version_1_is_read_with_the_portfolios_high_begun_anew() -> None:
    memory, document = a_memory(), copy.deepcopy(WRITTEN)
    assert read(json.dumps(document), 1, PARAMS).portfolio_high_usdt == memory.portfolio_high_usdt
    del document["portfolio_high_usdt"], document["portfolio_level"]
    found = read(json.dumps(document), 1, PARAMS)
    assert (found.portfolio_high_usdt, found.portfolio_level) == (0.0, 0)
    assert write(replace(found, portfolio_high_usdt=123_456.7, portfolio_level=2)) == write(memory)
    with pytest.raises(SchemaError, match="portfolio_high_usdt"):
        read(json.dumps(document), VERSION, PARAMS)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_c12_a_state_of_an_older_version_has_never_been_resumed(version: int) -> None:
    document = copy.deepcopy(WRITTEN)
    del document["resumed_ms"]
    assert read(json.dumps(document), version, PARAMS).resumed_ms == (0, 0, 0, 0)
    with pytest.raises(SchemaError, match="resumed_ms"):
        read(json.dumps(document), VERSION, PARAMS)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_c12_a_state_of_an_older_version_was_measured_in_the_present_scope(version: int) -> None:
    document = copy.deepcopy(WRITTEN)
    del document["scope"]
    assert read(json.dumps(document), version, PARAMS).scope is None
    with pytest.raises(SchemaError, match="scope"):
        read(json.dumps(document), VERSION, PARAMS)


@pytest.mark.parametrize("symbols", [TWO, TEN])
def test_c12_a_state_of_more_or_fewer_coins_is_refused_by_their_names(symbols: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="this state trades BTCUSDT, ETHUSDT, SOLUSDT;") as refused:
        read(write(fresh_memory(some_params(THREE), THREE, 24_000)), VERSION, some_params(symbols))
    assert refused.value.where == "symbols"


@pytest.mark.parametrize("version", [1, 2])
def test_c12_an_intent_of_an_older_version_counts_in_the_present_steps(version: int) -> None:
    document = copy.deepcopy(WRITTEN)
    for row in document["pending"]:
        del row["unit"]
    assert [intent.unit for intent in read(json.dumps(document), version, PARAMS).pending] == [0.0] * len(
        document["pending"]
    )
    with pytest.raises(SchemaError, match="unit"):
        read(json.dumps(document), VERSION, PARAMS)


def test_c12_an_hour_that_cannot_be_read_is_refused() -> None:
    saved = saved_states(a_memory())
    for text in ("{}", "", "null", '{"cycle_h": "x"}'):
        broken = {**saved, CLOCK_OWNER: replace(saved[CLOCK_OWNER], document=text)}
        with pytest.raises(SchemaError, match="saved hour"):
            load(broken, PARAMS)


def test_core_12_another_number_of_levels_is_refused_with_its_mend() -> None:
    own = PARAMS.tactical
    more = own._replace(
        level_drawdown=np.array([*own.level_drawdown, 0.9]), level_budget=np.array([*own.level_budget, 0.0])
    )
    with pytest.raises(UsageError, match="values where the configuration asks for") as refused:
        read(write(a_memory()), VERSION, PARAMS._replace(tactical=more))
    assert "tactical.levels" in refused.value.mend

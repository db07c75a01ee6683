"""Whatever is left in the inbox: no command raises, sells CORE_HODL unasked, enters while halted, or counts twice."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_fill
from command_builders import NOW, a_command, a_context, a_memory, a_projection, after, at_level
from core_builders import TWO, some_params
from eternal_engine.engine.commands import VERBS, apply
from eternal_engine.engine.memory import VERSION, read, write
from eternal_engine.model.event import CommandApplied, Corrected, Deposited, Filled, Mismatch
from eternal_engine.model.ids import Account, Coin, RecordId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.strategies.base import CORE_HODL

PARAMS = some_params(TWO)
HELD = a_projection(
    Filled(NOW, a_fill("c1", account=Account.CORE_HODL, qty="0.5", price="40000", at=NOW)),
    Deposited(NOW, RecordId("dep"), Account.MASTER, Coin("USDT"), Decimal(1000), Decimal(1000), NOW),
    Corrected(
        NOW,
        RecordId("o1"),
        Account.TACTICAL,
        Symbol("BTCUSDT"),
        Coin("BTC"),
        Market.SPOT,
        Decimal("0.1"),
        Decimal(40_000),
        Mismatch.ORPHAN_POSITION,
        unassigned=True,
    ),
    Corrected(
        NOW,
        RecordId("o2"),
        Account.TREND,
        Symbol("ETHUSDT"),
        Coin("ETH"),
        Market.PERP,
        Decimal(1),
        Decimal(2_400),
        Mismatch.ORPHAN_POSITION,
        unassigned=True,
    ),
    Filled(NOW, a_fill("t1", account=Account.TREND, qty="0.1", price="45000", market=Market.PERP, at=NOW)),
)
ENGINES = ("", "trend", "core_hodl", "funding,tactical", "core_hodl,trend", "trent")
LIKELY = {
    "engines": ENGINES,
    "emergency": ("RESUME", "yes"),
    "level": ("2", "3", "4"),
    "confirmation": ("APPROVE", "FLATTEN", "no"),
    "second_confirmation": ("LEVEL 4", "no"),
    "core_confirmation": ("SELL CORE_HODL", "no"),
    "symbols": ("BTCUSDT", "ETHUSDT,BTCUSDT", "BTCUSDT,BTCUSDT", "PEPEUSDT"),
    "amount_usdt": ("500", "5", "0.01", "1e9", "1e400", "-1", "0", "NaN", "Infinity"),
    "execute": ("yes", "no"),
    "date": ("2024-01-03", "2024-01-09T07:30", "9999-12-31", "0001-01-01", "soon"),
    "to": ("shares", "trend", "master"),
    "symbol": ("BTCUSDT", "ETHUSDT", "PEPEUSDT"),
    "account": ("", "trend", "tactical", "mine"),
    "action": ("", "assign", "ignore"),
    "stop_usdt": ("46000", "60000", "1e400"),
}


def _arguments(verb: str) -> st.SearchStrategy[dict[str, str]]:
    known = {name: st.sampled_from(LIKELY[name]) | st.text(max_size=4) for name in VERBS[verb].arguments}
    return st.fixed_dictionaries({}, optional=known)


@st.composite
def some_commands(draw: st.DrawFn) -> list[tuple[str, dict[str, str]]]:
    """Draw a few commands, most of them nearly right."""
    verbs = draw(st.lists(st.sampled_from(sorted(VERBS)), min_size=1, max_size=5))
    return [(verb, draw(_arguments(verb))) for verb in verbs]


@settings(max_examples=200, deadline=None)
@given(some_commands(), st.integers(0, 4), st.integers(0, 15))
def test_any_sequence_of_commands_keeps_the_invariants(commands, level: int, halted: int) -> None:
    memory = replace(at_level(a_memory(PARAMS), level), halted=halted)
    projection = HELD
    for number, (verb, arguments) in enumerate(commands):
        command = a_command(verb, f"k{number}", **arguments)
        outcome = apply(command, memory, projection, a_context(projection, params=PARAMS))
        entries = [event for event in outcome.events if isinstance(event, CommandApplied)]
        assert len(entries) == 1
        assert json.loads(entries[0].arguments) == arguments
        if not outcome.accepted:
            assert outcome.memory is memory
            assert len(outcome.events) == 1
        for intent in outcome.intents:
            sells_core = intent.engine == CORE_HODL and intent.reduces
            assert not sells_core or arguments.get("core_confirmation") == "SELL CORE_HODL"
            assert intent.reduces or not memory.halted & 1
        assert write(read(write(outcome.memory), VERSION, PARAMS)) == write(outcome.memory)
        memory, projection = outcome.memory, after(projection, *outcome.events)
        again = apply(command, memory, projection, a_context(projection, params=PARAMS))
        assert (again.memory is memory, again.events, again.is_new) == (True, (), False)
        assert projection.books.imbalance_usdt == 0

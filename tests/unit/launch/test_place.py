"""The exchange's instruments as they are read now and then (bybit-v5 1.2)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from contract_arena import SYMBOLS
from eternal_engine.exchange.terms import Market
from eternal_engine.launch.place import read_table
from eternal_engine.model.ids import Account, Symbol
from reconcile_bench import Bench

ETH = Symbol("ETHUSDT")


async def test_risk_10_a_halted_symbol_keeps_the_rules_that_were_read_last() -> None:
    bench = Bench.make()
    port: Any = bench.client(Account.MASTER)
    instruments = bench.world.venue.state.instruments
    instruments["linear", "ETHUSDT"] = replace(instruments["linear", "ETHUSDT"], tick=Decimal("0.05"))
    first = await read_table(port, SYMBOLS, "the exchange")
    assert first.rules(ETH, Market.PERP).tick == Decimal("0.05")
    instruments["linear", "ETHUSDT"] = replace(instruments["linear", "ETHUSDT"], status="Closed")
    again = await read_table(port, SYMBOLS, "the exchange", first)
    assert again == first
    assert (await read_table(port, SYMBOLS, "the exchange")).rules(ETH, Market.PERP).tick != Decimal("0.05")

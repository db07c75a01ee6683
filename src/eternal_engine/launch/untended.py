"""Say what no rule tends any more: an engine was switched off, or a coin lost its weight, while it is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from eternal_engine.config import Settings
from eternal_engine.engine.findings import Alert
from eternal_engine.engine.memory import Memory
from eternal_engine.launch.keys import engines_on
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.model.ids import Engine
from eternal_engine.model.money import DUST_USDT, ZERO
from eternal_engine.strategies import core_hodl

# What goes on by itself while an engine is off. CORE_HODL's coins wait for nothing: they are never sold.
_WHILE_OFF: Final = {
    Engine.TREND: "their stops rest, but no rule moves or leaves them",
    Engine.FUNDING: "no rule closes them, corrects their hedge or looks at their margin",
    Engine.TACTICAL: "no rule sells them",
}


def untended(settings: Settings, memory: Memory, books: Books) -> tuple[Alert, ...]:
    """List what is held, or planned, under a configuration that has nobody look after it."""
    on = engines_on(settings)
    found = []
    for engine, words in _WHILE_OFF.items():
        held = _held(books.of(engine.account))
        if held and engine not in on:
            what = f"{engine.value} is switched off and holds {', '.join(held)}: {words}"
            mend = "switch it on again, or close them: `eternal flatten`"
            found.append(Alert(f"off:{engine.value}", what, f"{engine.value}.enabled", mend))
    if Engine.FUNDING in on:
        lost = _without_weight(_held(books.of(Engine.FUNDING.account)), settings.funding.weights)
        if lost:
            what = f"funding holds {', '.join(lost)} without a weight: {_WHILE_OFF[Engine.FUNDING]}"
            found.append(Alert("weight:funding", what, "funding.weights", "set the weight back, or `eternal flatten`"))
    core = memory.states.core
    planned = [
        symbol
        for symbol, plan, gap in zip(memory.symbols, core.plan, core.gap_usdt, strict=True)
        if plan != core_hodl.NO_PLAN and gap >= float(DUST_USDT)
    ]
    lost = _without_weight(planned, settings.core_hodl.weights)
    if lost:
        what = f"core_hodl planned to buy {', '.join(lost)}, without a weight now: their plan ends with the next cycle"
        mend = "nothing, if that is meant: their money is free then; else set the weight back before"
        found.append(Alert("weight:core_hodl", what, "core_hodl.weights", mend))
    return tuple(found)


def _held(book: Book) -> list[str]:
    spot = {symbol for symbol, row in book.spot.items() if row.cost_usdt >= DUST_USDT}
    return sorted(spot | set(book.perp))


def _without_weight(symbols: Iterable[str], weights: Mapping[str, Decimal]) -> list[str]:
    return [symbol for symbol in symbols if weights.get(symbol, ZERO) <= ZERO]

"""The instrument rules in force: read at start, read again when they are old, and every change said aloud.

Maximum quantities change twice a month and symbols are delisted (bybit-v5 1.2): nothing here is compiled in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from eternal_engine.exchange.market import Instrument
from eternal_engine.exchange.port import MarketSource
from eternal_engine.exchange.terms import Market
from eternal_engine.exchange.translate import rules_of
from eternal_engine.model.errors import SymbolPaused
from eternal_engine.model.instrument import InstrumentRules

TRADING = "Trading"
MAX_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Report that one rule of an instrument is another now; `before` or `after` "missing": it came or it left."""

    market: Market
    symbol: str
    what: str
    before: str
    after: str


class Rulebook:
    """Hold the rules of the symbols the daemon trades."""

    def __init__(self, source: MarketSource, symbols: Mapping[Market, Collection[str]]) -> None:
        self._source = source
        self._symbols = {market: frozenset(names) for market, names in symbols.items()}
        self._known: dict[tuple[Market, str], Instrument] = {}
        self._read_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Tell whether the rules are missing or older than an hour; also refresh after a rejection for size."""
        return self._read_at is None or now - self._read_at >= MAX_AGE

    async def refresh(self, now: datetime) -> tuple[RuleChange, ...]:
        """Read all rules and return what changed; nothing at the first reading.

        Raises the exchange branch of the error tree and then keeps the old rules.
        """
        found: dict[tuple[Market, str], Instrument] = {}
        for market, symbols in self._symbols.items():
            for instrument in await self._source.instruments(market, symbols):
                found[market, instrument.symbol] = instrument
        before, first = self._known, self._read_at is None
        self._known, self._read_at = found, now
        return () if first else _changes(before, found)

    def instrument(self, market: Market, symbol: str) -> Instrument:
        """Return what the exchange says of a symbol.

        Raises SymbolPaused for one that is not listed or not trading now.
        """
        found = self._known.get((market, symbol))
        if found is None or found.status != TRADING:
            state = "not listed" if found is None else f"in state {found.status}"
            raise SymbolPaused(
                f"{market.value} {symbol} is {state}", where="rulebook", mend="entries wait until it trades again"
            )
        return found

    def rules(self, market: Market, symbol: str) -> InstrumentRules:
        """Return the model's rules of a symbol that trades now.

        Raises SymbolPaused otherwise.
        """
        return rules_of(self.instrument(market, symbol))


def _changes(
    before: Mapping[tuple[Market, str], Instrument], after: Mapping[tuple[Market, str], Instrument]
) -> tuple[RuleChange, ...]:
    changes: list[RuleChange] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            words = ["missing" if row is None else row.status for row in (old, new)]
            changes.append(RuleChange(*key, "listing", *words))
            continue
        for field in fields(Instrument):
            was, now = getattr(old, field.name), getattr(new, field.name)
            if was != now:
                changes.append(RuleChange(*key, field.name, str(was), str(now)))
    return tuple(changes)

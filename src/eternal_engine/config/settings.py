"""The whole settings tree, the checks between its branches, and its hash."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, Self

from pydantic import Field, model_validator

from eternal_engine.config.engines import CoreHodl, Funding, Tactical, Trend
from eternal_engine.config.risk import Risk
from eternal_engine.config.sections import SYMBOLS, Alerts, Backtest, Costs, Daemon, Keys, Log, Paths, Shares
from eternal_engine.config.types import Section, Symbol, key
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "CAP-3",
        "Symbols are decided in the order of one list, quoted in USDT: by default BTC ETH SOL XRP BNB DOGE ADA TRX "
        "AVAX LINK.",
        ("symbols",),
        ("tests/unit/config/test_settings.py::test_cap_3_symbols_are_decided_in_the_order_of_the_list",),
    ),
)

# Where files lie, how often the daemon looks, what is logged and who is told changes no decision; secrets belong in no
# hash.
UNHASHED = frozenset({"paths", "daemon", "log", "alerts", "keys"})


class Settings(Section):
    """Hold every setting of one run, frozen; made by `eternal_engine.config.load`, never by hand."""

    capital_usdt: Decimal = key(
        Decimal(100_000), "Capital of a backtest and of the paper account.", unit="USDT", rules="CAP-1", gt=0, le=10**12
    )
    symbols: tuple[Symbol, ...] = key(
        SYMBOLS,
        "Coins that may be traded, in the order of decisions.",
        unit="list of symbols",
        rules="CAP-3",
        min_length=1,
    )
    shares: Shares = Field(default_factory=Shares, description="How the portfolio is divided over the engines.")
    paths: Paths = Field(default_factory=Paths, description="Where files are kept.")
    costs: Costs = Field(default_factory=Costs, description="What trading costs.")
    backtest: Backtest = Field(default_factory=Backtest, description="What only a backtest decides for itself.")
    daemon: Daemon = Field(default_factory=Daemon, description="How the daemon keeps its hours.")
    log: Log = Field(default_factory=Log, description="How much is written to the log.")
    alerts: Alerts = Field(default_factory=Alerts, description="Whom to tell what should not wait.")
    core_hodl: CoreHodl = Field(default_factory=CoreHodl, description="CORE_HODL, which accumulates.")
    trend: Trend = Field(default_factory=Trend, description="TREND, which follows.")
    funding: Funding = Field(default_factory=Funding, description="FUNDING, which is paid to hedge.")
    tactical: Tactical = Field(default_factory=Tactical, description="TACTICAL, which buys crashes.")
    risk: Risk = Field(default_factory=Risk, description="The risk manager and the circuit breaker.")
    keys: Keys = Field(default_factory=Keys, description="API keys, from .env.local or the environment only.")

    @model_validator(mode="after")
    def _symbols_are_known(self) -> Self:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols names a coin twice")
        for name in ("core_hodl", "funding", "tactical"):
            unknown = [symbol for symbol in getattr(self, name).weights if symbol not in self.symbols]
            if unknown:
                coins = ", ".join(unknown)
                mend = f"add {coins} to symbols, or give {name}.weights that sum to 1 without it"
                raise ValueError(f"{name}.weights names {coins}, missing in symbols; mend: {mend}")
        return self

    def hash(self) -> str:
        """Return the sha256 of everything that can change a decision, in canonical JSON (numbers without zeros)."""
        text = json.dumps(_canonical(self.model_dump(exclude=set(UNHASHED))), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, Decimal | float):
        return format(Decimal(str(value)).normalize(), "f")
    return value

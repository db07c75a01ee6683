"""How the accounts that hold perps must be set before the first order: margin mode and one-way positions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from eternal_engine.exchange.bybit.client import Client
from eternal_engine.exchange.terms import MarginMode
from eternal_engine.model.errors import RejectedForGood, Unsupported
from eternal_engine.model.ids import Account
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "TREND-F1",
        "TREND's account is set to isolated margin, so that a position loses its own margin at most; FUNDING's to "
        "cross, so that its pairs share theirs (FUND-2).",
        (),
        ("tests/unit/launch/test_account_setup.py::test_trend_f1_each_account_gets_its_margin_mode",),
    ),
)

# A parameter error, and the symbol is the only one.
NOT_LISTED: Final = 10001
MODES: Final = {Account.TREND: MarginMode.ISOLATED, Account.FUNDING: MarginMode.CROSS}


async def set_up_accounts(ports: Mapping[Account, Client], symbols: Sequence[str]) -> tuple[str, ...]:
    """Set the accounts that hold perps as their rules need them; returns in words what the environment cannot do.

    Raises RejectedForGood where positions in hedge mode stand in the way: a person must close them.
    """
    there = [(account, mode) for account, mode in MODES.items() if account in ports]
    told = await asyncio.gather(*(_set_up(ports[account], account, mode, symbols) for account, mode in there))
    return tuple(words for words in told if words)


async def _set_up(port: Client, account: Account, mode: MarginMode, symbols: Sequence[str]) -> str:
    told = []
    try:
        await port.set_margin_mode(mode)
    except Unsupported as error:
        told.append(f"{account.value}: {error.message}")
    told += await asyncio.gather(*(_one_way(port, account, symbol) for symbol in symbols))
    return "; ".join(filter(None, told))


async def _one_way(port: Client, account: Account, symbol: str) -> str:
    """Make a perpetual hold one position; one that is not listed is no reason to keep the others from trading."""
    try:
        await port.require_one_way(symbol)
    except RejectedForGood as error:
        if error.code != NOT_LISTED:
            raise
        return f"{account.value}: the exchange does not know {symbol}, which is left out ({error.message})"
    return ""

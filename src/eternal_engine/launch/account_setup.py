"""How the accounts that hold perps must be set before the first order: margin mode and one-way positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from eternal_engine.exchange.bybit.client import Client
from eternal_engine.exchange.terms import MarginMode
from eternal_engine.model.errors import Unsupported
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

MODES: Final = {Account.TREND: MarginMode.ISOLATED, Account.FUNDING: MarginMode.CROSS}


async def set_up_accounts(ports: Mapping[Account, Client], symbols: Sequence[str]) -> tuple[str, ...]:
    """Set the accounts that hold perps as their rules need them; returns in words what the environment cannot do.

    Raises RejectedForGood where positions in hedge mode stand in the way: a person must close them.
    """
    told: list[str] = []
    for account, mode in MODES.items():
        if account not in ports:
            continue
        try:
            await ports[account].set_margin_mode(mode)
        except Unsupported as error:
            told.append(f"{account.value}: {error.message}")
        for symbol in symbols:
            await ports[account].require_one_way(symbol)
    return tuple(told)

"""Accounts are set as their rules need them, and what cannot be set is said (TREND-F1, FUND-2)."""

from __future__ import annotations

from typing import Any

import pytest

from eternal_engine.exchange.terms import MarginMode
from eternal_engine.launch.account_setup import set_up_accounts
from eternal_engine.model.errors import RejectedForGood, Unsupported
from eternal_engine.model.ids import Account

SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Port:
    def __init__(self, *, can: bool = True) -> None:
        self.can = can
        self.calls: list[Any] = []

    async def set_margin_mode(self, mode: MarginMode) -> None:
        if not self.can:
            raise Unsupported("cross margin is kept")
        self.calls.append(mode)

    async def require_one_way(self, symbol: str) -> None:
        self.calls.append(symbol)


async def test_trend_f1_each_account_gets_its_margin_mode() -> None:
    ports: Any = {account: Port() for account in Account}
    assert await set_up_accounts(ports, SYMBOLS) == ()
    assert ports[Account.TREND].calls == [MarginMode.ISOLATED, *SYMBOLS]
    assert ports[Account.FUNDING].calls == [MarginMode.CROSS, *SYMBOLS]
    assert ports[Account.CORE_HODL].calls == ports[Account.TACTICAL].calls == []


@pytest.mark.parametrize("code", [10001, 110024])
async def test_trend_f1_a_perp_that_is_not_listed_any_more_is_left_out_and_one_in_hedge_mode_refuses(code: int) -> None:
    class Without(Port):
        async def require_one_way(self, symbol: str) -> None:
            if symbol == "ETHUSDT":
                raise RejectedForGood("symbol invalid", code=code)
            await super().require_one_way(symbol)

    ports: Any = {Account.TREND: Without()}
    if code == 10001:
        (told,) = await set_up_accounts(ports, SYMBOLS)
        assert told == "trend: the exchange does not know ETHUSDT, which is left out (symbol invalid)"
        return
    with pytest.raises(RejectedForGood, match="symbol invalid"):
        await set_up_accounts(ports, SYMBOLS)


@pytest.mark.parametrize("account", [Account.TREND, Account.FUNDING])
async def test_what_the_demo_cannot_do_is_said(account: Account) -> None:
    ports: Any = {account: Port(can=False)}
    assert await set_up_accounts(ports, SYMBOLS) == (f"{account.value}: cross margin is kept",)
    assert ports[account].calls == list(SYMBOLS)

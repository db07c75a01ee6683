"""One refused key halts its engine and says why; the other engines trade on (D5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core_builders import OFF, QUICK_TREND, TWO, a_history, some_params
from eternal_engine.engine.lockout import Lockouts
from eternal_engine.model.errors import ExchangeError, HaltTrading, Retry
from eternal_engine.model.event import Deposited, ErrorOccurred, TransferPlanned
from eternal_engine.model.ids import Account, Coin, Engine, RecordId, RuleId, TransferId
from eternal_engine.model.money import exact
from hours_bench import Daemon, World, a_daemon

DAY = 24
PARAMS = some_params(TWO, trend=QUICK_TREND, funding=OFF, tactical=OFF)
KEY = HaltTrading("key invalid", code=10003, where="trend: order/create", mend="check the key")
TREND_BIT = 0b0010


def a_world() -> World:
    """Make BTC rise steadily and ETH stand still; the world's first decision is at the end of day 12."""
    rising = 36_000 + 400 * np.arange(16 * DAY) / DAY
    return World(a_history(np.vstack((rising, np.full(16 * DAY, 40_000.0))), symbols=TWO))


@pytest.fixture
def world() -> World:
    return a_world()


@pytest.fixture
async def daemon(world: World, tmp_path: Path) -> AsyncIterator[Daemon]:
    async with a_daemon(tmp_path, world, PARAMS, at_h=world.first_h + 12 * DAY) as made:
        yield made


def said(daemon: Daemon) -> list[str]:
    return [event.what for event in daemon.told if isinstance(event, ErrorOccurred) and "refuses the key" in event.what]


async def test_d5_a_refused_key_halts_its_engine_and_the_others_trade_on(world: World, daemon: Daemon) -> None:
    world.exchanges[Engine.TREND].lever_script = [KEY] * 9
    start = world.first_h + 12 * DAY
    await daemon.each(start, start + 1)
    assert daemon.recorder.memory.halted == TREND_BIT
    assert world.placed(Engine.TREND) == []
    assert len(world.placed(Engine.CORE_HODL)) == 2
    assert daemon.recorder.memory.pending == ()
    assert said(daemon) == [
        "the exchange refuses the key of trend: key invalid; trend is halted, the others trade on",
    ]
    (told,) = [event for event in daemon.told if isinstance(event, ErrorOccurred) and event.what in said(daemon)]
    assert (told.engine, told.where) == (Engine.TREND, "trend: order/create")
    assert "`eternal resume trend`" in told.mend


async def test_risk_0_a_stop_that_a_refused_key_held_up_is_tried_again_at_once_and_every_hour(
    world: World, daemon: Daemon
) -> None:
    start = world.first_h + 12 * DAY
    world.exchanges[Engine.TREND].stop_script = [KEY]
    await daemon.each(start, start)
    assert world.exchanges[Engine.TREND].stops["BTCUSDT"] is not None
    assert daemon.recorder.memory.halted == TREND_BIT
    assert len(said(daemon)) == 1


async def test_d5_a_key_that_stays_refused_is_said_once_and_again_after_a_resume(world: World, daemon: Daemon) -> None:
    start = world.first_h + 12 * DAY
    world.exchanges[Engine.TREND].stop_script = [KEY] * 99
    await daemon.each(start, start + 5)
    assert len(said(daemon)) == 1
    await daemon.recorder.commit(lambda memory, _: (replace(memory, halted=0), ()))
    await daemon.each(start + 6, start + 7)
    assert len(said(daemon)) == 2
    assert daemon.recorder.memory.halted == TREND_BIT
    daemon.engine.lockouts.accept(Account.TREND)
    await daemon.each(start + 8, start + 9)
    assert len(said(daemon)) == 3


async def test_d5_each_refused_key_halts_its_own_engine_beside_those_that_are_halted(daemon: Daemon) -> None:
    lockouts = Lockouts(daemon.recorder, daemon.world.clock)
    for account, halted in ((Account.TREND, 0b0010), (Account.MASTER, 0b0010), (Account.TACTICAL, 0b1010)):
        await lockouts.refuse(account, KEY)
        assert daemon.recorder.memory.halted == halted
    assert lockouts.refused == {Account.TREND, Account.MASTER, Account.TACTICAL}


async def test_cap_2_while_master_is_refused_transfers_wait_and_every_engine_trades(
    world: World, daemon: Daemon
) -> None:
    at = world.clock.at
    money = exact("10")
    await daemon.recorder.append(
        Deposited(at, RecordId("d"), Account.TACTICAL, Coin("USDT"), money, money, at),
        TransferPlanned(
            at, TransferId("t-1"), Account.TACTICAL, Account.CORE_HODL, Coin("USDT"), money, RuleId("CAP-2")
        ),
    )
    world.teller.script = [KEY] * 99
    start = world.first_h + 12 * DAY
    await daemon.each(start, start + 2)
    assert daemon.recorder.memory.halted == 0
    assert list(daemon.recorder.projection.pending_transfers) == ["t-1"]
    assert len(world.placed(Engine.TREND)) == 1
    assert said(daemon) == [
        "the exchange refuses the key of master: key invalid; no money moves between accounts",
    ]


async def test_other_failures_of_the_exchange_pass_a_lockout_untouched(daemon: Daemon) -> None:
    lockouts = Lockouts(daemon.recorder, daemon.world.clock)

    async def fails() -> None:
        raise Retry("no route")

    with pytest.raises(ExchangeError, match="no route"):
        await lockouts.run(Account.TREND, fails)
    assert lockouts.refused == frozenset()
    assert daemon.recorder.memory.halted == 0

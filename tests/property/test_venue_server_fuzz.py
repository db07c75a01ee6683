"""Whatever is sent to any call, the answer is an envelope: no exception, no money made, the books in balance."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from typing import Any

import pytest

from eternal_engine.market_data.synthetic import synthesize
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.server.call import Call
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.rest import perform
from eternal_engine.simulator.server.routes import ROUTES
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.venue import Venue

START_MS = 1_675_209_600_000
DAY_MS = 86_400_000
CALLS = int(os.environ.get("ETERNAL_FUZZ_CALLS", "3000"))
FIELD_NAMES = """
category symbol side orderType qty price timeInForce marketUnit positionIdx reduceOnly orderLinkId triggerPrice
triggerDirection triggerBy closeOnTrigger takeProfit stopLoss orderFilter slippageToleranceType isLeverage
slippageTolerance orderId openOnly limit cursor baseCoin settleCoin orderStatus startTime endTime execType coin
accountType buyLeverage sellLeverage mode trailingStop activePrice setMarginMode currency type interval start end
status transferId amount fromMemberId toMemberId fromAccountType toAccountType username utaDemoApplyMoney adjustType
memberId request tpTriggerBy
"""
SAID = """
spot linear inverse option BTCUSDT ETHUSDT btcusdt NOPE Buy Sell buy Market Limit GTC IOC FOK PostOnly RPI baseCoin
quoteCoin LastPrice MarkPrice Order StopOrder tpslOrder TickSize Percent UNIFIED FUND USDT BTC 60 D W M 1 0 2 3 -1
0.001 0.1 5 10 100 1000 20000 16000 1e3 1E-8 0.00000001 123456789012345678901234567890 99999999999999 1e14 1e999 NaN
Infinity -0 +5 1_000 ٣ true false New Filled Trade Funding ISOLATED_MARGIN REGULAR_MARGIN PORTFOLIO_MARGIN
1675209600000 1675296000000 100000001 100000002 a%3Ab 5%3A5 mine another1
"""
FIELDS, WORDS = FIELD_NAMES.split(), SAID.split()
ODD: tuple[Any, ...] = (None, "", True, False, 0, -1, 7, 10**30, 0.1, [], {}, [1], {"a": 1}, "x" * 600, "\x00", "é" * 5)
LIKELY = {
    "category": ("spot", "linear"),
    "symbol": ("BTCUSDT", "ETHUSDT"),
    "side": ("Buy", "Sell"),
    "orderType": ("Market", "Limit"),
    "qty": ("0.1", "0.001", "1000", "5"),
    "price": ("16000", "23000.1", "30000"),
    "accountType": ("UNIFIED",),
    "interval": ("60", "D", "1"),
}


def some_fields(dice: random.Random) -> dict[str, Any]:
    """Make a request that is often nearly right."""
    fields: dict[str, Any] = {}
    for name, values in LIKELY.items():
        if dice.random() < 0.85:
            fields[name] = dice.choice(values)
    for _ in range(dice.randint(0, 6)):
        name = dice.choice(FIELDS)
        fields[name] = dice.choice(WORDS) if dice.random() < 0.75 else dice.choice(ODD)
    if dice.random() < 0.05:
        fields["request"] = [some_fields(dice) for _ in range(dice.randint(0, 3))]
    return fields


def make_world() -> World:
    """Open a stepped world of two coins over five days."""
    history = synthesize(7, start_ms=START_MS, end_ms=START_MS + 5 * DAY_MS, symbols=("BTCUSDT", "ETHUSDT"))
    feed = HistoryFeed(history)
    venue = Venue(now_ms=START_MS + DAY_MS)
    master = venue.open_account("MASTER")
    sub = venue.open_account("SUB", parent_uid=master.uid)
    for account in (master, sub):
        venue.deposit(account.uid, "USDT", Decimal(50_000))
        venue.deposit(account.uid, "BTC", Decimal(1))
    feed.open_market(venue)
    return World(venue, feed, VenueClock(0.0, venue.state.now_ms))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_request_breaks_the_exchange(seed: int) -> None:
    dice = random.Random(seed)
    world = make_world()
    callers = list(world.venue.state.accounts.values())[:2]
    codes: dict[int, int] = {}
    for number in range(CALLS):
        path = dice.choice(list(ROUTES))
        route, fields = ROUTES[path], some_fields(dice)
        caller = dice.choice(callers) if route.limit_class else None
        try:
            made = perform(world, route, Call(world, caller, Params(fields)))
            made.body()
        except Exception as error:
            raise AssertionError(f"{path} {fields}") from error
        codes[made.code] = codes.get(made.code, 0) + 1
        if number % 200 == 199:
            assert world.venue.audit() == ()
            if world.venue.state.now_ms < world.feed.end_ms - DAY_MS:
                world.step_to(world.venue.state.now_ms + 3_600_000)
    assert codes[0] > CALLS / 20
    assert len(codes) > 12

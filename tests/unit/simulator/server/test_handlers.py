"""What each call answers, without sockets: fields, codes and defaults."""

from __future__ import annotations

from typing import Any

import pytest

from eternal_engine.simulator.server.call import Call
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.rest import Answer, perform
from eternal_engine.simulator.server.routes import ROUTES
from eternal_engine.simulator.server.world import World

HOUR_MS = 3_600_000
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def world(wire: Any) -> World:
    """Give the world of a stepped server with a master and a sub-account."""
    made: World = wire.server.world
    return made


def ask(world: World, path: str, number: int = 0, **fields: Any) -> Answer:
    """Call a handler as the account of a number."""
    caller = list(world.venue.state.accounts.values())[number]
    return perform(world, ROUTES[path], Call(world, caller if ROUTES[path].limit_class else None, Params(fields)))


def order(world: World, **fields: Any) -> Answer:
    """Send a linear market order of 0.1 unless told otherwise."""
    return ask(world, "/v5/order/create", **{**LINEAR, "side": "Buy", "orderType": "Market", "qty": "0.1", **fields})


async def test_every_public_call_answers(world: World) -> None:
    for path, fields in {
        "/v5/market/time": {},
        "/v5/market/tickers": {"category": "spot"},
        "/v5/market/orderbook": {**LINEAR, "limit": "5"},
        "/v5/market/recent-trade": LINEAR,
        "/v5/market/price-limit": {"symbol": "BTCUSDT"},
        "/v5/market/risk-limit": {"category": "linear"},
        "/v5/market/mark-price-kline": {**LINEAR, "interval": "60"},
        "/v5/market/index-price-kline": {**LINEAR, "interval": "D"},
        "/v5/market/kline": {**LINEAR, "interval": "M"},
        "/v5/system/status": {},
    }.items():
        made = ask(world, path, **fields)
        assert (path, made.code, bool(made.result)) == (path, 0, True)


@pytest.mark.parametrize("category", ["inverse", "option"])
async def test_markets_that_do_not_exist_here_are_empty_lists(world: World, category: str) -> None:
    assert ask(world, "/v5/market/instruments-info", category=category).result["list"] == []
    assert ask(world, "/v5/market/tickers", category=category).result["list"] == []


async def test_instruments_page_by_cursor_on_linear_and_not_on_spot(world: World) -> None:
    seen, cursor = [], ""
    while True:
        made = ask(world, "/v5/market/instruments-info", category="linear", status="PreLaunch", limit=4, cursor=cursor)
        seen += [row["symbol"] for row in made.result["list"]]
        cursor = made.result["nextPageCursor"]
        if not cursor:
            break
    everything = ask(world, "/v5/market/instruments-info", category="linear", status="PreLaunch").result["list"]
    assert seen == [row["symbol"] for row in everything] == []
    trading = ask(world, "/v5/market/instruments-info", category="linear", limit=4)
    assert (len(trading.result["list"]), trading.result["nextPageCursor"]) == (4, trading.result["list"][-1]["symbol"])
    spot = ask(world, "/v5/market/instruments-info", category="spot", limit=4)
    assert len(spot.result["list"]) == 10
    assert "nextPageCursor" not in spot.result


async def test_spot_and_linear_name_their_rules_differently(world: World) -> None:
    (spot,) = ask(world, "/v5/market/instruments-info", category="spot", symbol="BTCUSDT").result["list"]
    (linear,) = ask(world, "/v5/market/instruments-info", category="linear", symbol="BTCUSDT").result["list"]
    assert "qtyStep" not in spot["lotSizeFilter"]
    assert spot["lotSizeFilter"]["minOrderAmt"] == "5"
    assert linear["lotSizeFilter"]["minNotionalValue"] == "5"
    assert linear["fundingInterval"] == 480
    assert linear["priceFilter"]["tickSize"] == "0.10"


async def test_a_lone_start_gives_candles_from_there_on(world: World) -> None:
    start = world.feed.start_ms + 10 * HOUR_MS
    rows = ask(world, "/v5/market/kline", **LINEAR, interval="60", start=start, limit=5).result["list"]
    assert [int(row[0]) for row in rows] == [start + hour * HOUR_MS for hour in (4, 3, 2, 1, 0)]
    both = ask(world, "/v5/market/kline", **LINEAR, interval="60", start=start, end=start + 2 * HOUR_MS)
    assert [int(row[0]) for row in both.result["list"]] == [start + hour * HOUR_MS for hour in (2, 1, 0)]


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/v5/market/kline", {"category": "linear", "symbol": "NOPE", "interval": "60"}, 10001),
        ("/v5/market/kline", {**LINEAR, "interval": "7"}, 10001),
        ("/v5/market/tickers", {"category": "linear", "symbol": "NOPE"}, 10001),
        ("/v5/market/tickers", {"category": "moon"}, 10001),
        ("/v5/market/instruments-info", {"category": "spot", "symbol": "NOPE"}, 10001),
        ("/v5/market/orderbook", {"category": "spot", "symbol": "SOLUSDT"}, 10001),
        ("/v5/order/realtime", {"category": "linear"}, 10001),
        ("/v5/order/realtime", {**LINEAR, "limit": "51"}, 10001),
        ("/v5/order/realtime", {**LINEAR, "cursor": "rubbish"}, 10001),
        ("/v5/order/cancel", LINEAR, 10001),
        ("/v5/order/cancel", {**LINEAR, "orderId": "x"}, 110001),
        ("/v5/order/cancel", {"category": "spot", "symbol": "BTCUSDT", "orderId": "x"}, 170213),
        ("/v5/order/amend", {**LINEAR, "orderLinkId": "x", "qty": "1"}, 110001),
        ("/v5/order/cancel-all", {"category": "linear"}, 10001),
        ("/v5/order/create-batch", {"category": "linear", "request": []}, 10001),
        ("/v5/order/spot-borrow-check", {"category": "spot", "symbol": "NOPE", "side": "Buy"}, 170121),
        ("/v5/position/list", {"category": "linear"}, 10001),
        ("/v5/position/set-leverage", {**LINEAR, "buyLeverage": "2", "sellLeverage": "3"}, 10001),
        ("/v5/position/set-leverage", {"category": "spot", "buyLeverage": "2", "sellLeverage": "2"}, 10001),
        ("/v5/position/switch-mode", {"category": "linear", "mode": "3"}, 10001),
        ("/v5/position/switch-mode", {**LINEAR, "mode": "0"}, 110025),
        ("/v5/position/switch-isolated", LINEAR, 100028),
        ("/v5/position/trading-stop", {**LINEAR, "stopLoss": "1"}, 10001),
        ("/v5/account/wallet-balance", {"accountType": "SPOT"}, 10001),
        ("/v5/account/set-margin-mode", {"setMarginMode": "PORTFOLIO_MARGIN"}, 3400045),
        ("/v5/account/demo-apply-money", {"utaDemoApplyMoney": [{"coin": "BTC", "amountStr": "16"}]}, 10001),
        ("/v5/account/demo-apply-money", {"utaDemoApplyMoney": "all"}, 10001),
        ("/v5/user/create-sub-member", {"username": "no"}, 20001),
        ("/v5/asset/transfer/inter-transfer", {"coin": "USDT", "amount": "0", "transferId": "a"}, 131203),
        ("/v5/asset/transfer/universal-transfer", {"transferId": "a"}, 10001),
    ],
)
async def test_refusals_carry_the_exchanges_code(world: World, path: str, fields: Any, code: int) -> None:
    assert ask(world, path, **fields).code == code
    assert world.venue.audit() == ()


async def test_amend_moves_an_open_order_and_crossing_fills_it(world: World) -> None:
    made = order(world, orderType="Limit", price="39000", orderLinkId="a")
    assert ask(world, "/v5/order/amend", **LINEAR, orderLinkId="a", qty="0.2", price="38000").code == 0
    (row,) = ask(world, "/v5/order/realtime", **LINEAR).result["list"]
    assert (row["orderId"], row["qty"], row["price"], row["leavesQty"]) == (
        made.result["orderId"],
        "0.200",
        "38000.00",
        "0.200",
    )
    assert ask(world, "/v5/order/amend", **LINEAR, orderLinkId="a", price="40000").code == 0
    (done,) = ask(world, "/v5/order/realtime", **LINEAR, orderLinkId="a").result["list"]
    assert done["orderStatus"] == "Filled"
    assert ask(world, "/v5/order/amend", **LINEAR, orderLinkId="a", price="39000").code == 110001
    assert ask(world, "/v5/order/cancel", **LINEAR, orderLinkId="a").code == 110001


async def test_cancel_all_on_spot_leaves_conditional_orders(world: World) -> None:
    spot = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy"}
    ask(world, "/v5/order/create", **spot, orderType="Limit", qty="0.01", price="39000")
    ask(world, "/v5/order/create", **spot, orderType="Market", qty="100", triggerPrice="41000", orderFilter="StopOrder")
    assert len(ask(world, "/v5/order/cancel-all", category="spot").result["list"]) == 1
    (left,) = ask(world, "/v5/order/realtime", category="spot").result["list"]
    assert left["orderStatus"] == "Untriggered"
    assert len(ask(world, "/v5/order/cancel-all", category="spot", orderFilter="StopOrder").result["list"]) == 1


async def test_a_batch_gives_each_order_its_own_verdict(world: World) -> None:
    rows = [
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1", "orderLinkId": "b1"},
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.00001"},
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1", "orderLinkId": "b1"},
    ]
    made = ask(world, "/v5/order/create-batch", category="linear", request=rows)
    assert [row["code"] for row in made.ext["list"]] == [0, 10001, 110072]
    assert [bool(row["orderId"]) for row in made.result["list"]] == [True, False, False]


async def test_a_flat_symbol_has_a_row_and_the_settle_coin_lists_only_what_is_held(world: World) -> None:
    (flat,) = ask(world, "/v5/position/list", **LINEAR).result["list"]
    assert (flat["side"], flat["size"], flat["seq"]) == ("", "0.000", -1)
    settle = {"category": "linear", "settleCoin": "USDT"}
    assert ask(world, "/v5/position/list", **settle).result["list"] == []
    order(world, side="Sell")
    (held,) = ask(world, "/v5/position/list", **settle).result["list"]
    assert (held["side"], held["size"], held["avgPrice"]) == ("Sell", "0.100", "39980")
    assert ask(world, "/v5/position/list", category="linear", settleCoin="USDC").result["list"] == []
    assert ask(world, "/v5/position/list", category="inverse").result["list"] == []


async def test_stops_of_a_position_are_set_changed_and_removed(world: World) -> None:
    order(world)
    path = "/v5/position/trading-stop"
    stop = {**LINEAR, "tpslMode": "Full", "positionIdx": 0, "slTriggerBy": "MarkPrice"}
    assert ask(world, path, **stop, stopLoss="38000").code == 0
    assert ask(world, path, **stop, stopLoss="38000").code == 34040
    assert ask(world, path, **stop, stopLoss="41000").code == 10001
    (row,) = ask(world, "/v5/order/realtime", **LINEAR).result["list"]
    assert (row["triggerPrice"], row["triggerBy"], row["stopOrderType"], row["reduceOnly"]) == (
        "38000.00",
        "MarkPrice",
        "StopLoss",
        True,
    )
    assert ask(world, path, **stop, stopLoss="0").code == 0
    assert ask(world, "/v5/order/realtime", **LINEAR).result["list"] == []


async def test_closed_results_and_the_transaction_log(world: World) -> None:
    order(world)
    world.step_to(world.venue.state.now_ms + HOUR_MS)
    order(world, side="Sell", reduceOnly=True)
    (row,) = ask(world, "/v5/position/closed-pnl", category="linear").result["list"]
    assert (row["side"], row["closedSize"], row["fillCount"]) == ("Sell", "0.1", "1")
    assert float(row["closedPnl"]) < 0
    log = ask(world, "/v5/account/transaction-log", accountType="UNIFIED", category="linear").result["list"]
    assert {line["type"] for line in log} == {"TRADE"}
    assert float(log[0]["cashBalance"]) < 100_000
    only = ask(world, "/v5/account/transaction-log", type="DEPOSIT").result["list"]
    assert [line["change"] for line in only] == ["100000"]
    world.step_to(world.venue.state.now_ms + 25 * HOUR_MS)
    assert ask(world, "/v5/account/transaction-log", type="DEPOSIT").result["list"] == []


async def test_accounts_keys_and_settings(world: World) -> None:
    key = ask(world, "/v5/user/query-api").result
    assert (key["isMaster"], key["parentUid"], key["readOnly"]) == (True, "0", 0)
    assert "Withdraw" not in key["permissions"]["Wallet"]
    assert ask(world, "/v5/user/query-api", 1).result["isMaster"] is False
    assert ask(world, "/v5/account/info").result["marginMode"] == "REGULAR_MARGIN"
    assert ask(world, "/v5/account/set-margin-mode", setMarginMode="ISOLATED_MARGIN").code == 0
    assert ask(world, "/v5/account/info").result["marginMode"] == "ISOLATED_MARGIN"
    wallet = ask(world, "/v5/account/wallet-balance", accountType="UNIFIED").result["list"][0]
    assert wallet["totalAvailableBalance"] == ""
    made = ask(world, "/v5/user/create-sub-member", username="another1", memberType=1)
    assert ask(world, "/v5/user/create-sub-member", username="another1").code == 20002
    subs = ask(world, "/v5/user/query-sub-members").result["subMembers"]
    assert made.result["uid"] in {row["uid"] for row in subs}
    assert ask(world, "/v5/user/create-sub-member", 1, username="another2").code == 10005


async def test_fees_coins_and_collateral(world: World) -> None:
    spot = ask(world, "/v5/account/fee-rate", category="spot", symbol="BTCUSDT").result
    assert (spot["category"], spot["list"][0]["takerFeeRate"]) == ("spot", "0.001")
    linear = ask(world, "/v5/account/fee-rate", category="linear").result
    assert "category" not in linear
    assert linear["list"][0]["takerFeeRate"] == "0.00055"
    assert ask(world, "/v5/account/collateral-info").result["list"][0]["currency"] == "USDT"
    assert "BTC" in {row["coin"] for row in ask(world, "/v5/asset/coin/query-info").result["rows"]}
    check = ask(world, "/v5/order/spot-borrow-check", category="spot", symbol="BTCUSDT", side="Buy").result
    assert (check["maxTradeQty"], check["maxTradeAmount"]) == ("2.5000", "100000.00000000")


async def test_demo_funds_come_and_go(world: World) -> None:
    path = "/v5/account/demo-apply-money"
    assert ask(world, path, 1, utaDemoApplyMoney=[{"coin": "BTC", "amountStr": "2"}]).code == 0
    wallet = ask(world, "/v5/account/wallet-balance", 1, accountType="UNIFIED", coin="BTC,ETH").result["list"][0]
    assert [(row["coin"], row["walletBalance"]) for row in wallet["coin"]] == [("BTC", "2"), ("ETH", "0")]
    taken = ask(world, path, 1, adjustType=1, utaDemoApplyMoney=[{"coin": "BTC", "amountStr": "1"}])
    assert taken.code == 0
    assert ask(world, path, 1, adjustType=1, utaDemoApplyMoney=[{"coin": "BTC", "amountStr": "5"}]).code == 131228
    assert world.venue.audit() == ()


async def test_transfers_are_listed_and_balances_shown(world: World) -> None:
    master, sub = world.venue.state.accounts.values()
    both = {"fromAccountType": "UNIFIED", "toAccountType": "UNIFIED", "coin": "USDT", "amount": "10"}
    path = "/v5/asset/transfer/universal-transfer"
    assert ask(world, path, transferId="t", fromMemberId=master.uid, toMemberId=sub.uid, **both).code == 0
    (row,) = ask(world, "/v5/asset/transfer/query-universal-transfer-list", 1).result["list"]
    assert (row["transferId"], row["amount"], row["status"]) == ("t", "10", "SUCCESS")
    balance = ask(world, "/v5/asset/transfer/query-account-coins-balance", memberId=sub.uid, coin="USDT").result
    assert balance["balance"][0]["transferBalance"] == "10"
    assert ask(world, "/v5/asset/transfer/query-account-coins-balance", 1, memberId=master.uid).code == 10005
    inner = ask(world, "/v5/asset/transfer/inter-transfer", 1, transferId="i", **both)
    assert inner.result["status"] == "SUCCESS"


async def test_slippage_tolerances_are_read_and_bounded(world: World) -> None:
    tight = order(world, slippageToleranceType="TickSize", slippageTolerance="1", orderLinkId="t")
    assert tight.code == 0
    (row,) = ask(world, "/v5/order/realtime", **LINEAR, orderLinkId="t").result["list"]
    assert (row["orderStatus"], row["cumExecQty"]) == ("Cancelled", "0.000")
    assert order(world, slippageToleranceType="TickSize", slippageTolerance="10001").code == 110108
    assert order(world, slippageToleranceType="Percent", slippageTolerance="0.001").code == 110109
    loose = order(world, slippageToleranceType="Percent", slippageTolerance="1", orderLinkId="l")
    assert loose.code == 0
    assert world.venue.state.executions[world.venue.state.config.first_uid][-1].qty > 0

"""Setting an account up: what is sent, and what a refusal says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eternal_engine.exchange.bybit.client import Credentials, PybitDemoClient
from eternal_engine.exchange.bybit.transport import TransportSettings
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.terms import MarginMode
from eternal_engine.model.errors import RejectedForGood, Unsupported
from scripted_server import Said, ScriptedServer, ok, refusal

FAST = TransportSettings(connect_timeout_s=5, read_timeout_s=5, deadline_s=10)


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[PybitDemoClient]:
    made = PybitDemoClient(
        "trend", Credentials("key", "secret"), endpoint=server.url, environment=Environment.PAPER, settings=FAST
    )
    yield made
    await made.close()


def info(mode: str) -> Said:
    return ok({"unifiedMarginStatus": 6, "marginMode": mode, "spotHedgingStatus": "OFF", "updatedTime": ""})


def rows(*indices: int) -> Said:
    row = {"symbol": "BTCUSDT", "side": "", "size": "0", "positionStatus": "Normal", "isReduceOnly": False}
    return ok({"list": [row | {"positionIdx": number} for number in indices], "nextPageCursor": ""})


async def test_a_margin_mode_that_is_set_already_is_not_sent(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.append(info("ISOLATED_MARGIN"))
    await client.set_margin_mode(MarginMode.ISOLATED)
    assert [seen.path for seen in server.seen] == ["/v5/account/info"]


async def test_another_margin_mode_is_sent_in_the_exchanges_word(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script += [info("REGULAR_MARGIN"), ok({"reasons": []})]
    await client.set_margin_mode(MarginMode.ISOLATED)
    assert server.seen[1].body == {"setMarginMode": "ISOLATED_MARGIN"}


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (refusal(110073), Unsupported, "cross margin is kept"),
        (refusal(10032), Unsupported, "10032"),
        (refusal(3400045), RejectedForGood, "close them first"),
        (refusal(10001), RejectedForGood, "parameter error"),
        (
            ok({"reasons": [{"reasonCode": "3400000", "reasonMsg": "Equity needs to be more"}]}),
            RejectedForGood,
            "Equity",
        ),
    ],
)
async def test_a_refused_margin_mode_says_what_follows(
    server: ScriptedServer, client: PybitDemoClient, said: Said, error: type[Exception], words: str
) -> None:
    server.script += [info("REGULAR_MARGIN"), said]
    with pytest.raises(error, match=words):
        await client.set_margin_mode(MarginMode.ISOLATED)


async def test_the_demo_is_not_even_asked_for_isolated_margin(server: ScriptedServer) -> None:
    demo = PybitDemoClient("trend", Credentials("key", "secret"), endpoint=server.url, settings=FAST)
    server.script.append(info("REGULAR_MARGIN"))
    with pytest.raises(Unsupported, match="cross margin is kept"):
        await demo.set_margin_mode(MarginMode.ISOLATED)
    assert [seen.path for seen in server.seen] == ["/v5/account/info"]
    await demo.close()


async def test_one_way_mode_is_read_from_the_rows_and_nothing_is_sent(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.append(rows(0))
    await client.require_one_way("BTCUSDT")
    assert [seen.path for seen in server.seen] == ["/v5/position/list"]


@pytest.mark.parametrize("said", [ok({}), refusal(110025)])
async def test_hedge_mode_is_ended_and_unchanged_is_success(
    server: ScriptedServer, client: PybitDemoClient, said: Said
) -> None:
    server.script += [rows(1, 2), said]
    await client.require_one_way("BTCUSDT")
    body: dict[str, Any] = server.seen[1].body
    assert body == {"category": "linear", "symbol": "BTCUSDT", "mode": 0}


@pytest.mark.parametrize("code", [110024, 110028])
async def test_hedge_mode_with_something_open_is_refused_with_the_mend(
    server: ScriptedServer, client: PybitDemoClient, code: int
) -> None:
    server.script += [rows(1, 2), refusal(code)]
    with pytest.raises(RejectedForGood, match=r"BTCUSDT is in hedge mode.*close the positions and orders"):
        await client.require_one_way("BTCUSDT")

"""What a stream says and does not take amiss: its key's proof lasts, "already subscribed" is no refusal (5.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eternal_engine import clock
from eternal_engine.exchange.account import Wallet
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.client import Credentials
from eternal_engine.exchange.bybit.stream import private_feed
from eternal_engine.exchange.events import StreamState, StreamStateChanged
from wire_messages import WALLET

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


class NothingMissed:
    """REST that has nothing to make up for."""

    account = "trend"

    async def _nothing(self, *_: object) -> tuple[()]:
        return ()

    executions = order_history = open_orders = positions = _nothing

    async def wallet(self) -> Wallet:
        return wire.WALLET.parse(WALLET)


def feed(server: Any, settings: Any) -> Any:
    rest: Any = NothingMissed()
    return private_feed(rest, Credentials("key", "secret"), url=server.url, settings=settings, now=lambda: NOW)


async def test_the_proof_of_the_key_outlives_a_slow_handshake_and_a_clock_that_is_a_little_off(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    before_ms = clock.now_ms()
    watched = watch(feed(stream_server, fast))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    _, expires_ms, _ = stream_server.requests[0]["args"]
    # pybit's own second is gone before a busy machine has sent the frame.
    assert before_ms + 5_000 <= expires_ms <= clock.now_ms() + 60_000


@pytest.mark.parametrize(
    ("text", "is_live"),
    [("error:already subscribed,topic:order", True), ("error:invalid op", False)],
    ids=["already subscribed", "refused"],
)
async def test_an_answer_that_a_topic_flows_already_is_no_refusal_and_any_other_is(
    text: str, is_live: bool, stream_server: Any, watch: Any, fast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = stream_server._answers

    def answers(request: dict[str, Any]) -> list[dict[str, Any]]:
        if request["op"] != "subscribe":
            return list(usual(request))
        return [{"success": False, "ret_msg": text, "op": "subscribe", "conn_id": "c"}]

    monkeypatch.setattr(stream_server, "_answers", answers)
    watched = watch(feed(stream_server, fast))
    await watched.until(lambda: StreamState.LIVE in watched.states or StreamState.DISCONNECTED in watched.states)
    assert (StreamState.LIVE in watched.states) is is_live
    if not is_live:
        lost = next(one for one in watched.of(StreamStateChanged) if one.state is StreamState.DISCONNECTED)
        assert "subscription refused" in lost.reason

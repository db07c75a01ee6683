"""The fear-and-greed index over the wire: asked for once a day, never made up (TACT-E2, I7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from eternal_engine import clock
from eternal_engine.launch.child import ChildExchange
from eternal_engine.launch.moods import PublishedMoods, ask_publisher, moods_of, no_moods
from eternal_engine.market_data.history import DAY_MS
from eternal_engine.model.errors import DataError

TODAY_MS = clock.now_ms() // DAY_MS * DAY_MS
DAY_H = TODAY_MS // 3_600_000


@asynccontextmanager
async def publishing(answer: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """Be the publisher on loopback."""

    async def reply(request: web.Request) -> web.StreamResponse:
        said = answer(request)
        if isinstance(said, float):
            await asyncio.sleep(said)
            return web.Response()
        return said if isinstance(said, web.StreamResponse) else web.json_response(said)

    app = web.Application()
    app.router.add_get("/fng/", reply)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def rows(*days_and_values: tuple[int, Any]) -> dict[str, Any]:
    """Answer as the publisher does: texts, newest first."""
    return {"data": [{"timestamp": str(day // 1000), "value": str(value)} for day, value in days_and_values]}


async def test_the_publishers_answer_is_read_by_day_and_nothing_of_the_future_is() -> None:
    asked = []

    def answer(request: web.Request) -> Any:
        asked.append(dict(request.query))
        return rows((TODAY_MS + DAY_MS, 1), (TODAY_MS, 40), (TODAY_MS - DAY_MS + 3_600_000, 15))

    async with publishing(answer) as url:
        assert await ask_publisher(url) == {TODAY_MS - DAY_MS: 15.0, TODAY_MS: 40.0}
    assert asked == [{"limit": "30", "format": "json"}]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []}, {}, [], None, {"data": [{"value": "5"}]}, rows((TODAY_MS, "much")),
        web.Response(status=503), web.Response(text="<html>"), 0.5,
    ],
    ids=str,
)  # fmt: skip
async def test_an_answer_that_is_none_is_an_error_in_time(answer: Any) -> None:
    async with publishing(lambda _: answer) as url:
        with pytest.raises(DataError) as refused:
            await ask_publisher(url, timeout_s=0.3)
        assert url in refused.value.where
        assert refused.value.mend


async def test_a_publisher_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        await ask_publisher("http://127.0.0.1:9", timeout_s=1.0)


class Asked:
    """Answer what the test says, and count."""

    def __init__(self) -> None:
        self.count = 0
        self.answer: dict[int, float] | None = {}

    async def __call__(self) -> dict[int, float]:
        self.count += 1
        if self.answer is None:
            raise DataError("no network", where="publisher", mend="wait")
        return self.answer


async def test_tact_e2_the_index_is_asked_for_once_a_day_and_again_while_the_days_value_is_missing() -> None:
    asked, said = Asked(), list[str]()
    moods = PublishedMoods(said.append, asked)
    yesterday = TODAY_MS - DAY_MS
    asked.answer = {yesterday: 30.0}
    for _ in range(3):
        assert (await moods(DAY_H)).value.tolist() == [30.0]
    assert asked.count == 1
    # At the next midnight the value of today is needed: asked for, not there yet, asked for again.
    for _ in range(2):
        assert (await moods(DAY_H + 24)).value.tolist() == [30.0]
    asked.answer = {yesterday: 30.0, TODAY_MS: 12.0}
    assert (await moods(DAY_H + 24)).value.tolist() == [30.0, 12.0]
    assert asked.count == 4
    assert said == []


async def test_i7_a_publisher_that_fails_is_said_and_what_is_known_only_gets_older() -> None:
    asked, said = Asked(), list[str]()
    moods = PublishedMoods(said.append, asked)
    asked.answer = {TODAY_MS - DAY_MS: 30.0}
    await moods(DAY_H)
    asked.answer = None
    found = await moods(DAY_H + 48)
    assert found.day_ms.tolist() == [TODAY_MS - DAY_MS]
    assert said == ["no network (publisher); the trigger on fear rests without it"]


async def test_u_4_no_value_of_a_day_that_has_not_begun_is_given() -> None:
    values = {TODAY_MS: 1.0, TODAY_MS + DAY_MS: 2.0, TODAY_MS - DAY_MS: 3.0}
    assert moods_of(values, DAY_H - 1).value.tolist() == [3.0]
    assert moods_of(values, DAY_H).value.tolist() == [3.0, 1.0]
    assert (await no_moods(DAY_H)).value.tolist() == []


async def test_tact_e2_the_embedded_exchange_tells_its_own_markets_index(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(_: ChildExchange, verb: str, **__: int) -> dict[str, Any]:
        assert verb == "sentiment"
        return {"days": [[TODAY_MS - DAY_MS, 21.5], [TODAY_MS, 8.0]]}

    monkeypatch.setattr(ChildExchange, "_ask", ask)
    child = ChildExchange.__new__(ChildExchange)
    assert (await child.moods(DAY_H - 1)).value.tolist() == [21.5]
    assert (await child.moods(DAY_H)).value.tolist() == [21.5, 8.0]

"""The live view at 80 and 120 columns: what a newcomer and an operator look for is there, and nothing runs over."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from rich.console import Console

from builders import a_history
from eternal_engine.ledger.equity import Prices
from eternal_engine.model import event as ev
from eternal_engine.model.ids import Account, Symbol
from eternal_engine.observe.bus import Bus
from eternal_engine.observe.live_view import Banner, LiveView, Scene, render
from eternal_engine.observe.picture import Picture, grown
from observe_builders import a_memory

AT = datetime(2024, 3, 4, 13, tzinfo=UTC)
BANNER = Banner(
    "paper", "SYNTHETIC DATA, seed 7: invented prices", is_synthetic=True, speed=3600, config_hash="c0ffee00ff"
)
SIZES = [(80, 24), (80, 40), (120, 30), (120, 60)]


def a_scene() -> Scene:
    picture = grown(Picture(), (event for event in a_history(AT) if not isinstance(event, ev.StateSaved)))
    bitcoin, ether = Symbol("BTCUSDT"), Symbol("ETHUSDT")
    prices = Prices({bitcoin: Decimal(71_000), ether: Decimal(2_100)}, {bitcoin: Decimal(71_000)})
    picture = replace(picture, memory=a_memory(stops=[[0, "63000"]], paused=["ETHUSDT"], halted=8))
    return Scene(BANNER, picture, prices, missed_events=3, running_s=90_072.0)


def drawn(scene: Scene, width: int = 80, height: int = 40) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    console.print(render(scene, width, height))
    found = console.file
    assert isinstance(found, io.StringIO)
    return found.getvalue()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_everything_that_matters_is_there_at_every_size(width: int, height: int) -> None:
    text = drawn(a_scene(), width, height)
    for needed in (
        "PAPER", "SYNTHETIC DATA", "2024-03-04 13:00", "3,600 times real time", "CORE_HODL", "TREND", "20,001.50",
        "no price of spot BTCUSDT", "HALTED", "DEPLOYING, 3 of 12 weeks bought", "next due", "BTCUSDT long",
        "63,000", "+657.96", "entries wait in ETHUSDT", "what (at where); to mend: mend", "today: orders 2, fills 5",
        "3 events not shown", "1 d 01:01:12",
    ):  # fmt: skip
        assert needed in text, needed


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_runs_over_the_edge(width: int, height: int) -> None:
    lines = drawn(a_scene(), width, height).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < height


def test_invented_prices_are_said_loudly_and_once() -> None:
    assert drawn(a_scene()).count("SYNTHETIC DATA") == 1
    assert "seed 7: invented prices" in drawn(a_scene())


def test_a_daemon_that_has_just_started_says_so_plainly() -> None:
    text = drawn(Scene(Banner("paper", "LIVE PUBLIC DATA"), Picture()))
    assert "no market time yet" in text
    assert "nothing decided yet" in text
    assert "SYNTHETIC" not in text
    assert text.count("none") == 2


def test_after_a_restart_money_is_marked_at_the_newest_prices_until_the_hour_does_it() -> None:
    scene = a_scene()
    picture = replace(scene.picture, worths={})
    text = drawn(replace(scene, picture=picture), 120)
    assert "CORE_HODL" in text
    assert "not marked yet" in text, "an account without money has no equity"
    book = picture.books.of(Account.TREND)
    expected = book.cash_usdt + Decimal("0.7") * 71_000 - book.perp[Symbol("BTCUSDT")].cost_usdt
    assert f"{expected:,.2f}" in text


def test_a_breaker_says_how_far_down_and_what_to_do() -> None:
    text = drawn(replace(a_scene(), picture=replace(a_scene().picture, memory="")), 120, 40)
    assert "breaker    2 WARNING, at 15.0 % under it since 2024-03-04 13:00; eternal approve" in text


def test_what_does_not_fit_is_counted() -> None:
    assert "and 2 smaller: eternal positions" in drawn(a_scene(), 80, 24)


@pytest.mark.parametrize("recent", range(6))
def test_rows_that_nothing_was_done_in_go_to_the_positions_on_a_small_screen(recent: int) -> None:
    picture = a_scene().picture
    scene = replace(a_scene(), picture=replace(picture, recent=picture.recent[:recent], problems=(), memory=""))
    held = [row for row in drawn(scene, 80, 24).splitlines() if "USDT spot" in row or "USDT long" in row]
    assert len(held) == (3 if recent <= 2 else 1)
    assert len(drawn(scene, 80, 24).splitlines()) < 24


async def test_the_view_follows_the_bus_and_its_last_drawing_stays() -> None:
    screen = io.StringIO()
    view = LiveView(BANNER, console=Console(file=screen, width=80, height=40, force_terminal=True), every_s=0.01)
    bus = Bus([view])
    running, showing = asyncio.create_task(bus.run()), asyncio.create_task(view.show())
    await asyncio.sleep(0.02)
    assert "nothing yet" in screen.getvalue()
    bus.offer(*a_history(AT)[:12])
    await asyncio.sleep(0.05)
    assert "TREND bought 0.6 BTCUSDT perp at 70,100.1" in screen.getvalue()
    await bus.close(running)
    showing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert screen.getvalue().count("The Eternal Engine") >= 3

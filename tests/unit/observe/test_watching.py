"""One run watched from its first event to its last: log, alerts and view together, whatever breaks."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import a_history
from eternal_engine import clock
from eternal_engine.model.errors import RefusedError, UsageError
from eternal_engine.observe.live_view import Banner
from eternal_engine.observe.log import FILE_NAME
from eternal_engine.observe.watching import Wishes, watching

AT = datetime(2024, 3, 4, 13, tzinfo=UTC)
TOKEN = "Pl4ntedTokenPl4ntedToken"


def wishes(directory: Path, **changes: Any) -> Wishes:
    banner = Banner("paper", "SYNTHETIC DATA", is_synthetic=True)
    usual: dict[str, Any] = {
        "database": directory / "eternal.db",
        "bars": directory / "market.db",
        "log_dir": directory,
    }
    return Wishes(banner, **{**usual, **changes})


def names(directory: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (directory / FILE_NAME).read_text().splitlines()]


async def test_everything_offered_is_logged_and_alerted_before_the_end(tmp_path: Path) -> None:
    async with watching(wishes(tmp_path, secrets=["planted-secret"])) as watch:
        watch.say("live prices from planted-secret")
        for event in a_history(AT):
            watch.offer(event)
    found = names(tmp_path)
    assert found[0] == "daemon_said"
    assert found.index("daemon_started") < found.index("daemon_stopped")
    assert found.count("alert_raised") >= 4
    assert "planted-secret" not in (tmp_path / FILE_NAME).read_text()


async def test_a_database_that_cannot_be_read_costs_a_log_line(tmp_path: Path) -> None:
    (tmp_path / "eternal.db").write_text("nonsense " * 100)
    async with watching(wishes(tmp_path)) as watch:
        watch.offer(a_history(AT)[0])
    assert names(tmp_path) == ["picture_not_read", "daemon_started"]


async def test_an_arming_near_its_end_is_told_once_a_day(tmp_path: Path) -> None:
    soon = clock.now() + timedelta(days=2)
    async with watching(wishes(tmp_path, arming_ends=lambda: soon)):
        await asyncio.sleep(0.05)
    assert names(tmp_path) == ["alert_raised"]
    assert "arming_expires" in (tmp_path / FILE_NAME).read_text()


async def test_a_wrong_alert_address_refuses_the_start_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        async with watching(wishes(tmp_path, alert_urls=f"nonsense-{TOKEN}")):
            pytest.fail("must not start")
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(wishes(tmp_path, alert_urls=f"json://host/{TOKEN}"))


async def test_a_failing_run_still_leaves_a_whole_log(tmp_path: Path) -> None:
    async def run() -> None:
        async with watching(wishes(tmp_path)) as watch:
            watch.offer(a_history(AT)[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()
    assert names(tmp_path) == ["daemon_started"]


async def test_why_a_start_was_refused_stands_in_the_log_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with watching(wishes(tmp_path)):
            raise RefusedError("live trading is not armed", where="arming.json", mend="eternal arm")

    with pytest.raises(RefusedError):
        await run()
    assert names(tmp_path) == ["run_failed"]
    assert "eternal arm" in (tmp_path / FILE_NAME).read_text()

"""The log: JSON lines always, one per journal event, rotated, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from builders import a_history, an_intent
from eternal_engine.model import event as ev
from eternal_engine.model.order import Trigger
from eternal_engine.observe import log as log_module
from eternal_engine.observe.fields import event_fields, event_name, severity
from eternal_engine.observe.log import FILE_NAME, EventLog, configure

AT = datetime(2024, 1, 1, tzinfo=UTC)
KEY, SECRET = "Pl4ntedApiKeyPl4nted", "Pl4ntedApiSecretPl4ntedApiSecret01"


def fail_with_keys() -> None:
    raise ValueError(f"bad header: X-BAPI-API-KEY {KEY} {SECRET!r}")


def lines_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / FILE_NAME).read_text().splitlines()]


async def written(directory: Path, events: list[ev.Event], level: str = "debug") -> list[dict[str, Any]]:
    log = configure(directory, level=level, secrets=[KEY, SECRET])
    await EventLog(level).see(events)
    log.close()
    return lines_of(directory)


async def test_every_journal_event_is_one_line_with_its_name_and_words(tmp_path: Path) -> None:
    history = a_history(AT)
    lines = await written(tmp_path, history)
    assert [line["event"] for line in lines] == [event_name(type(event)) for event in history]
    assert all(line["text"] and line["at"].endswith("Z") for line in lines)
    assert {line["happened_at"] for line in lines} == {"2024-01-01T00:00:00Z"}


async def test_an_order_names_engine_symbol_rule_and_id(tmp_path: Path) -> None:
    history = a_history(AT)
    lines = await written(tmp_path, history)
    planned = next(line for line in lines if line["event"] == "order_planned")
    assert planned["engine"] == "trend"
    assert planned["symbol"] == "BTCUSDT"
    assert planned["rule"] == "TREND-E1"
    assert planned["client_order_id"] == an_intent(at=AT).client_order_id
    assert "TREND-E1" in planned["text"]
    moved = next(line for line in lines if line["event"] == "order_moved")
    assert (moved["engine"], moved["symbol"], moved["trigger"]) == ("trend", "BTCUSDT", "send")


async def test_hourly_lines_need_the_level_debug_and_failures_are_warnings(tmp_path: Path) -> None:
    lines = await written(tmp_path, a_history(AT), level="info")
    assert not {"state_saved"} & {line["event"] for line in lines}
    assert {line["event"] for line in lines} >= {"order_planned", "filled", "breaker_changed", "error_occurred"}
    rejected = ev.OrderMoved(AT, an_intent(at=AT).client_order_id, Trigger.REJECT, detail="too small")
    assert severity(rejected) == "warning"
    assert severity(ev.ErrorOccurred(AT, "a", "b", "c")) == "error"


def test_numbers_are_exact_text_and_documents_stay_in_the_journal() -> None:
    saved = ev.StateSaved(AT, "portfolio", 1, "x" * 100_000)
    assert event_fields(saved) == {"happened_at": "2024-01-01T00:00:00Z", "owner": "portfolio", "schema_version": 1}
    hit = ev.LossLimitHit(AT, ev.RuleId("RISK-4"), Decimal("0.0200000000000000000001"), AT + timedelta(days=1))
    assert event_fields(hit)["loss_frac"] == "0.0200000000000000000001"


async def test_k7_planted_keys_reach_neither_file_nor_terminal(tmp_path: Path) -> None:
    screen = io.StringIO()
    log = configure(tmp_path, secrets=[KEY, SECRET], console=True, stream=screen)
    logger = structlog.get_logger("eternal.test")
    logger.info("settings_read", keys={"live": {"trend": {"api_key": KEY, "api_secret": SECRET}}}, shown=SecretStr(KEY))
    logger.warning("request_failed", url=f"https://host.example/v5/order?api_key={KEY}&sign={SECRET}")
    try:
        fail_with_keys()
    except ValueError:
        logger.exception("call_failed", problem=f"{SECRET}")
    logging.getLogger("pybit").warning("request %s", {"api_key": KEY, "sign": SECRET})
    logging.getLogger("urllib3").debug("never written %s", KEY)
    await EventLog().see([ev.ErrorOccurred(AT, f"refused {KEY}", f"https://user:{SECRET}@x/", "mend")])
    log.close()
    everything = (tmp_path / FILE_NAME).read_text() + screen.getvalue()
    assert KEY not in everything
    assert SECRET not in everything
    names = [line["event"] for line in lines_of(tmp_path)]
    assert names == ["settings_read", "request_failed", "call_failed", names[3], "error_occurred"]
    assert names[3] == "request {'api_key': '***', 'sign': '***'}"
    assert "ValueError" in lines_of(tmp_path)[2]["traceback"]


def test_the_file_is_rotated_by_size_and_only_so_many_are_kept(tmp_path: Path) -> None:
    log = configure(tmp_path, max_bytes=2_000, files=2)
    logger = structlog.get_logger("eternal.test")
    for number in range(100):
        logger.info("line_written", number=number)
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [FILE_NAME, f"{FILE_NAME}.1", f"{FILE_NAME}.2"]
    assert all(path.stat().st_size < 2_000 + 200 for path in tmp_path.iterdir()), "one line over at most"
    assert lines_of(tmp_path)[-1]["number"] == 99
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())


async def test_a_terminal_gets_short_lines_of_words(tmp_path: Path) -> None:
    screen = io.StringIO()
    log = configure(tmp_path, console=True, stream=screen)
    await EventLog().see([ev.OrderPlanned(AT, ev.Account.TREND, an_intent(at=AT), ev.Coin("BTC"), ev.Coin("USDT"))])
    structlog.get_logger("eternal.test").info("market_chosen", kind="synthetic")
    log.close()
    first, second = screen.getvalue().splitlines()
    assert first.endswith("info    TREND buys 1 BTCUSDT perp at about 70,000 (TREND-E1 trend entry)")
    assert second.endswith("info    market_chosen kind=synthetic")


def test_a_full_disk_costs_lines_and_no_exception(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_told", set())
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / FILE_NAME).symlink_to(full)
    log = configure(tmp_path, secrets=[KEY], max_bytes=0)
    for _ in range(3):
        structlog.get_logger("eternal.test").info("line_written", detail=KEY * 100)
    log.close()
    said = capsys.readouterr().err
    assert said.count("could not be written") == 1
    assert KEY not in said


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("level", "is_terminal", "no_colour", "begins"),
    [
        ("warning", True, "", "\x1b[33m"),
        ("error", True, "", "\x1b[1;31m"),
        ("info", True, "", ""),
        ("error", False, "", ""),
        ("error", True, "1", ""),
    ],
)
def test_a_warning_and_an_error_stand_out_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, is_terminal: bool, no_colour: str, begins: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_colour)
    screen = Terminal() if is_terminal else io.StringIO()
    log = configure(tmp_path, console=True, stream=screen)
    getattr(structlog.get_logger("eternal.test"), level)("daemon_said", text="the key may withdraw")
    log.close()
    (line,) = screen.getvalue().splitlines()
    assert ("\x1b" in line) is bool(begins)
    assert line.startswith(begins)
    assert line.endswith("\x1b[0m" if begins else "the key may withdraw")
    assert lines_of(tmp_path)[0]["level"] == level
    assert "\x1b" not in (tmp_path / FILE_NAME).read_text()

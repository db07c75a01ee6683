"""Tables for people: whole in a pipe, fitting on a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from eternal_engine.cli.people import PIPE_COLUMNS, console
from eternal_engine.cli.status_tables import order_table


def an_order(order_id: str) -> dict[str, Any]:
    return {
        "planned_at": "2022-05-17T00:00:00.000000Z", "client_order_id": order_id, "side": "buy", "qty": None,
        "amount_usdt": "2249.4537", "filled_qty": "239859.25", "state": "filled", "reason": "CORE-13",
    }  # fmt: skip


@pytest.mark.parametrize(("columns", "has_time"), [(80, False), (120, True)])
def test_k4_every_order_is_one_line_on_any_terminal_and_its_id_is_whole(columns: int, has_time: bool) -> None:
    longest = "co-220505151018z5-LINKUSDT-man-1"
    out = Console(width=columns, color_system=None)
    with out.capture() as caught:
        out.print(order_table([an_order(longest), an_order("tr-2205030000-ADAUSDT-in-1")]))
    lines = caught.get().splitlines()
    assert len(lines) == 3
    assert longest in lines[1]
    assert "CORE-13" in lines[1]
    assert ("2022-05-17 00:00:00" in lines[1]) is has_time


def test_a_pipe_is_wide_unless_columns_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == PIPE_COLUMNS
    monkeypatch.setenv("COLUMNS", "90")
    assert console().width == 90

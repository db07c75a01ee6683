"""What a comparison leaves in the memory: symbols wait until somebody has looked, stops are those that rest (ORD-7)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from core_builders import TWO, some_params
from engine_bench import AT
from eternal_engine.engine.findings import Findings, after_findings
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.model.ids import Account, Symbol

MEMORY = fresh_memory(some_params(TWO), TWO, 24_000)


@pytest.mark.parametrize("found", [frozenset(), frozenset({"ETHUSDT"})])
def test_ord_7_a_symbol_under_review_stays_so_whatever_the_next_comparison_finds(found: frozenset[str]) -> None:
    paused = replace(MEMORY, paused=frozenset({"BTCUSDT"}))
    after = after_findings(paused, Findings(Account.CORE_HODL, AT, pause=found))
    assert after.paused == {"BTCUSDT"} | found


def test_trend_x3_a_stop_that_rests_no_more_is_forgotten_and_only_by_trends_own_account() -> None:
    held = replace(MEMORY, stops=((0, Decimal(38_000)), (1, Decimal(2_000))))
    stops = {Symbol("ETHUSDT"): Decimal(2_000)}
    assert after_findings(held, Findings(Account.TREND, AT, stops=stops)).stops == ((1, Decimal(2_000)),)
    assert after_findings(held, Findings(Account.FUNDING, AT)).stops == held.stops

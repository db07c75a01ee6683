"""Fault files: what makes no sense is refused by name, before anything is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.model.errors import UsageError
from eternal_engine.simulator.faults import FaultKind, FaultPlan, read_faults

GOOD: dict[str, Any] = {"kind": "code", "path": "/v5/order/*", "code": -2015, "times": 2, "skip": 1, "share": 1}


def test_a_fault_strikes_what_it_names_as_often_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"seed": 3, "faults": [GOOD]}))
    plan = read_faults(file)
    hits = [len(plan.hits(path)) for path in ("/v5/order/create", "/v5/market/time", *["/v5/order/cancel"] * 4)]
    assert hits == [0, 0, 1, 1, 0, 0]
    assert plan.faults[0].kind is FaultKind.CODE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ('{"faults": 5}', "not a list"),
        ('{"faults": [5]}', "not a list"),
        ("7", "not a list"),
        ('{"seed": "x", "faults": []}', "not a seed"),
        ('{"faults": [{}]}', "no kind"),
        ('{"faults": [{"kind": "nope"}]}', "no fault 'nope'"),
        ('{"faults": [{"kind": "delay", "often": 3}]}', "'often'"),
        ('{"faults": [{"kind": "delay", "times": "x"}]}', "times of a fault cannot be 'x'"),
        ('{"faults": [{"kind": "delay", "delay_ms": -5}]}', "delay_ms"),
        ('{"faults": [{"kind": "delay", "share": 1.5}]}', "share"),
        ('{"faults": [{"kind": "http", "status": 7}]}', "status"),
        ('{"faults": [{"kind": "delay", "path": 7}]}', "path"),
        ('{"faults": [{"kind": "delay", "times": true}]}', "times"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "faults.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_faults(file)


def test_a_clock_may_be_ahead_or_behind() -> None:
    plan = FaultPlan()
    plan.add([{"kind": "clock_skew", "delay_ms": -30_000}, {"kind": "clock_skew", "delay_ms": 30_000}])
    assert [fault.delay_ms for fault in plan.faults] == [-30_000, 30_000]


def test_one_bad_row_takes_none_of_the_others() -> None:
    plan = FaultPlan()
    with pytest.raises(UsageError):
        plan.add([GOOD, {"kind": "nope"}])
    assert plan.faults == []

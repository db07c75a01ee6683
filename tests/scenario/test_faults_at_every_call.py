"""Whatever fault strikes at whichever call, three days later the daemon trades on and its books are true.

A test run strikes every few cases; docs/crash-safety.md says how to strike them all.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eternal_engine.exchange.bybit import endpoints
from eternal_engine.exchange.bybit.endpoints import Endpoint
from eternal_engine.model.errors import Retry
from eternal_engine.simulator.faults import FaultKind, FaultPlan
from fault_door import MENDS_IN_A_ROW, Line, Wires
from fault_kinds import CREATE, EMPTY_REPLIES, KINDS, LEFT_OUT, NEEDED, alike_at, effect, kinds_at
from fault_runs import courses
from fault_sites import Place, not_struck, places_in_sources

RUNS = Path(__file__).parents[1] / "fault_runs.py"
# Every so many-th case; FAULT_STRIDE=1 strikes them all.
STRIDE = os.environ.get("FAULT_STRIDE", "61")
# What the client can call and the daemon does not.
NOT_CALLED = {
    "/v5/account/fee-rate": "fees are learnt from executions",
    "/v5/order/cancel": "market orders end by themselves, and stops belong to their position",
    "/v5/order/cancel-all": "as above",
    "/v5/position/switch-mode": "only where an account is not in one-way mode, and paper's are",
}


def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run the cases in a process of its own, which has no threads to fork."""
    command = [sys.executable, str(RUNS), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


def test_every_kind_of_fault_is_struck_or_left_out_for_a_reason() -> None:
    struck = {FaultKind(row["kind"]) for row in KINDS.values()}

    assert struck | set(LEFT_OUT) == set(FaultKind)
    assert not struck & set(LEFT_OUT)


def test_every_kind_is_struck_at_a_call_alone_or_beside_its_likes() -> None:
    for path in (CREATE, "/v5/order/realtime", "/v5/position/trading-stop"):
        together = [kind for alike in alike_at(path, is_stream=False) for kind in alike]
        assert sorted(together) == sorted(kinds_at(path, is_stream=False))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lose_reply", "lose_request"),
        ("code 10001", "code 10016"),
        ("rate_limit_bare", "clock_skew"),
        ("delay 1 s", "delay 20 s"),
    ],
)
def test_kinds_that_leave_another_world_are_never_taken_for_alike(one: str, other: str) -> None:
    assert effect(one, CREATE) != effect(other, CREATE)


def test_a_reply_lost_or_cut_short_is_the_same_to_the_daemon() -> None:
    assert effect("lose_reply", CREATE) == effect("truncate", CREATE) == effect("html", CREATE)


def test_every_endpoint_of_the_client_has_a_reply_to_spoil_or_is_never_called() -> None:
    known = [value for value in vars(endpoints).values() if isinstance(value, Endpoint)]
    paths = {one.path for one in [*known, *endpoints.PLACE.values(), *endpoints.CANCEL.values()]}

    assert set(NEEDED) | EMPTY_REPLIES | set(NOT_CALLED) == paths


@pytest.mark.parametrize(("refused", "hears"), [(0, True), (8, True), (MENDS_IN_A_ROW, False)])
def test_a_line_whose_catching_up_fails_connects_anew_and_is_deaf_meanwhile(refused: int, hears: bool) -> None:
    asked = 0

    async def catch_up() -> None:
        nonlocal asked
        asked += 1
        if asked <= refused:
            raise Retry("server error")

    line = Line(Wires(), "TREND", FaultPlan(), lambda _: None, is_deaf=True, must_catch_up=True)
    line.feed = SimpleNamespace(_desk=SimpleNamespace(catch_up=catch_up))  # type: ignore[assignment]
    asyncio.run(line.mend())

    assert (line.is_deaf, line.must_catch_up) == (not hears, not hears)
    assert asked == min(refused + 1, MENDS_IN_A_ROW)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_line_that_calls_the_exchange_is_struck_or_left_out_for_a_reason(tmp_path: Path) -> None:
    runs = [run(*arguments, "--dir", str(tmp_path)) for arguments in (("--list",), *FOUND_BEHIND)]
    lines = [line for _, printed, _ in runs for line in printed]
    called = {Place(*place) for line in lines for place in line.get("places", ())}

    assert not_struck(called) == [], runs[0][2][-2000:]
    assert {place for place in called if place.function} <= places_in_sources()
    paths = {line["path"] for line in lines if "path" in line}
    assert paths <= set(NEEDED) | EMPTY_REPLIES | {"order", "execution"}
    # Every procedure in which anything is told has its streams struck.
    heard = {course.name for course in courses() if course.streams}
    assert {line["course"] for line in runs[0][1] if line.get("is_stream")} == heard


# Calls that are made only where an order or a transfer is looked up, or where a stream has not told of a fill.
FOUND_BEHIND = (
    ("--course", "trend_exit", "--match", "order/create", "--kind", "lose_request", "--waves", "1"),
    ("--course", "tactical_exit", "--match", "universal-transfer", "--kind", "lose_reply", "--waves", "1"),
    ("--course", "trend_exit heard", "--match", "execution", "--kind", "ws_drop", "--waves", "1"),
)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_d3_to_d6_and_h6_no_fault_at_any_call_doubles_loses_or_hides_anything(tmp_path: Path) -> None:
    code, lines, errors = run("--stride", STRIDE, "--dir", str(tmp_path))

    counted = [line for line in lines if "cases" in line]
    wrong = [json.dumps(line) for line in lines if "case" in line]
    assert code == 0, "\n".join([*wrong, errors[-5000:]])
    assert sum(line["cases"] for line in counted) > 10
    print(f"{sum(line['cases'] for line in counted)} cases at {sum(line['sites'] for line in counted)} calls")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_planted_second_attempt_is_found(tmp_path: Path) -> None:
    where = ("--course", "trend_entry", "--match", "order/create", "--kind", "lose_reply", "--waves", "1")

    code, lines, _ = run("--plant", "second_attempt", *where, "--dir", str(tmp_path))

    assert code == 1
    assert any("traded" in words for line in lines for words in line.get("wrong", ()))

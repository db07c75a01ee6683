"""How far this machine's clock is from the exchange's, also after somebody has set it."""

from __future__ import annotations

import pytest

from eternal_engine.exchange.bybit.clockwatch import ClockWatch


def test_the_quickest_answer_tells_the_offset_best() -> None:
    watch = ClockWatch()
    for took, offset in ((400, 90), (20, 33), (200, -20)):
        watch.see(1_000, 1_000 + took // 2 + offset, 1_000 + took)
    assert watch.offset_ms == 33


@pytest.mark.parametrize("jump_ms", [3 * 3_600_000, -3 * 3_600_000, 2_000])
def test_u_2_a_clock_that_was_set_is_believed_with_the_very_next_answer(jump_ms: int) -> None:
    watch = ClockWatch()
    for answer in range(16):
        watch.see(answer * 1_000, answer * 1_000 + 30, answer * 1_000 + 20)
    assert watch.offset_ms == 20
    sent = 17_000 + jump_ms
    # A slow answer, too, says it: no quick one of before may keep the old time alive.
    watch.see(sent, 17_000 + 20 + 150, sent + 300)
    assert watch.offset_ms == 20 - jump_ms


def test_a_clock_set_back_during_a_call_leaves_nothing_known() -> None:
    watch = ClockWatch()
    watch.see(5_000, 5_030, 5_020)
    watch.see(6_000, 6_030, 1_000)
    assert watch.offset_ms is None


def test_slow_answers_and_a_drift_forget_nothing() -> None:
    watch = ClockWatch()
    watch.see(0, 30, 20)
    for answer in range(1, 8):
        watch.see(answer * 1_000, answer * 1_000 + 400, answer * 1_000 + 800)
        watch.see(answer * 1_000, answer * 1_000 + 60 + answer, answer * 1_000 + 30)
    assert watch.offset_ms == 20

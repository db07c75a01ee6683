"""Orders that are sent at once all leave before anything else is done (0124)."""

from __future__ import annotations

import threading
import time

from eternal_engine.exchange.bybit.departures import Departures


def test_waiting_ends_when_the_last_expected_order_has_left() -> None:
    departures = Departures(most_s=5.0)
    first, second = departures.expect(), departures.expect()
    assert (first.is_first, second.is_first) == (True, False)
    waiter = threading.Thread(target=departures.wait)
    waiter.start()
    first.over()
    first.over()  # twice is once
    waiter.join(0.1)
    assert waiter.is_alive(), "one is still on its way"
    second.over()
    waiter.join(2.0)
    assert not waiter.is_alive()


def test_an_order_that_does_not_leave_holds_nobody_up_for_long() -> None:
    departures = Departures(most_s=0.05)
    departures.expect()
    began_s = time.monotonic()
    departures.wait()
    assert 0.04 < time.monotonic() - began_s < 1.0


def test_a_thread_ends_the_departure_it_carries_and_no_other() -> None:
    departures = Departures(most_s=0.01)
    mine, other = departures.expect(), departures.expect()
    departures.carry(mine)
    departures.left()
    departures.carry(None)
    departures.left()
    assert departures.expect().is_first is False, "the other one is still expected"
    other.over()


def test_the_next_one_is_the_first_again_when_all_have_left() -> None:
    departures = Departures()
    departures.expect().over()
    assert departures.expect().is_first is True

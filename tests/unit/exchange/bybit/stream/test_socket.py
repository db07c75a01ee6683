"""The waits between tries, and what the mailbox holds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from eternal_engine import clock
from eternal_engine.exchange.account import Wallet
from eternal_engine.exchange.bybit.stream.mailbox import NOTICE_BOUND, Mailbox, MailboxFull
from eternal_engine.exchange.bybit.stream.private import Recent
from eternal_engine.exchange.bybit.stream.socket import Socket, SocketSettings
from eternal_engine.exchange.events import StreamProblem, StreamState, StreamStateChanged, WalletUpdated

WALLET = Wallet("UNIFIED", None, None, None, None, None, None, None, None, None, ())


def socket(**changes: Any) -> Socket:
    desk: Any = None
    return Socket("s", "ws://127.0.0.1:1", desk, Mailbox(), settings=SocketSettings(**changes), jitter=random.Random(1))


def test_waits_double_up_to_a_bound_and_never_vanish() -> None:
    made = socket(backoff_first_s=1, backoff_most_s=60, jitter_frac=0)
    waits = []
    for attempt in (1, 2, 3, 4, 5, 6, 7, 8, 100, 10**6):
        made._attempt = attempt
        waits.append(made._backoff_s())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_waits_are_spread_by_a_fifth() -> None:
    made = socket(backoff_first_s=10, jitter_frac=0.2)
    made._attempt = 1
    waits = [made._backoff_s() for _ in range(500)]
    assert 8 <= min(waits) < 8.5
    assert 11.5 < max(waits) <= 12


def test_a_full_mailbox_refuses_facts_and_keeps_notices_bounded() -> None:
    box = Mailbox(bound=2)
    for _ in range(2):
        box.offer(WalletUpdated(WALLET))
    with pytest.raises(MailboxFull):
        box.offer(WalletUpdated(WALLET))
    for number in range(NOTICE_BOUND + 50):
        box.offer(StreamProblem("s", str(number), clock.now()))
    assert len(box) == NOTICE_BOUND + 2
    problems = [event.what for event in box.drain() if isinstance(event, StreamProblem)]
    assert problems == [str(number) for number in range(50, NOTICE_BOUND + 50)]


def test_live_is_heard_after_what_was_caught_up_before_it() -> None:
    box = Mailbox(bound=10)
    box.offer(WalletUpdated(WALLET))
    box.offer(StreamStateChanged("s", StreamState.LIVE, "", clock.now()))
    box.offer(WalletUpdated(WALLET))
    assert [type(event) for event in box.drain()] == [WalletUpdated, StreamStateChanged, WalletUpdated]
    assert len(box) == 0


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    recent: Recent[int, bool] = Recent(bound=3)
    for number in (1, 2, 3, 1, 4):
        recent.put(number, True)
    assert len(recent) == 3
    assert recent.get(2) is None
    assert recent.get(1)

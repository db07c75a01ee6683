"""The client order id over random intents: always sendable, never shared, readable."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.model.ids import Engine, Leg, OrderKey, Symbol, read_client_order_id

SENDABLE = re.compile(r"[A-Za-z0-9_-]{1,36}")
symbols = st.from_regex(r"[A-Z0-9]{2,24}", fullmatch=True).map(Symbol)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
times = st.integers(0, 100 * 365 * 86_400_000).map(lambda ms: EPOCH + ms * MS)
hours = st.integers(0, 100 * 365 * 24).map(lambda h: EPOCH + timedelta(hours=h))
keys = st.builds(
    OrderKey, st.sampled_from(Engine), st.one_of(times, hours), symbols, st.sampled_from(Leg), st.integers(1, 99)
)


@given(keys)
def test_ord1_every_id_is_sendable_and_reads_back(key: OrderKey) -> None:
    written = key.client_order_id
    assert SENDABLE.fullmatch(written)
    read = read_client_order_id(written)
    assert read is not None
    assert (read.engine, read.decided_at, read.leg, read.attempt) == (key.engine, key.decided_at, key.leg, key.attempt)
    assert read.symbol in (None, key.symbol)


@given(keys, keys)
def test_ord1_two_intents_never_share_an_id(one: OrderKey, other: OrderKey) -> None:
    assert (one.client_order_id == other.client_order_id) == (one == other)


@given(keys)
def test_ord1_changing_any_one_part_changes_the_id(key: OrderKey) -> None:
    other = key.decided_at + (MS if key.decided_at == EPOCH else -MS)
    changed = {
        OrderKey(engine, at, symbol, leg, attempt).client_order_id
        for engine, at, symbol, leg, attempt in (
            (next(e for e in Engine if e is not key.engine), key.decided_at, key.symbol, key.leg, key.attempt),
            (
                key.engine,
                other,
                key.symbol,
                key.leg,
                key.attempt,
            ),
            (key.engine, key.decided_at, Symbol("ZZ" if key.symbol != "ZZ" else "YY"), key.leg, key.attempt),
            (key.engine, key.decided_at, key.symbol, next(leg for leg in Leg if leg is not key.leg), key.attempt),
            (key.engine, key.decided_at, key.symbol, key.leg, key.attempt % 99 + 1),
        )
    }
    assert len(changed) == 5
    assert key.client_order_id not in changed

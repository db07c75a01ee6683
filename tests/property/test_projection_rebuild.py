"""Over random events: the rows that are written, read back, are the state that they were written from.

That is what a restart does (read the rows) and what a rebuild does (replay the events): both must give the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_fill, an_intent
from eternal_engine.model.errors import ModelError
from eternal_engine.model.event import (
    BreakerChanged,
    CommandApplied,
    Corrected,
    Deposited,
    Event,
    Filled,
    FundingSettled,
    Mismatch,
    OrderMoved,
    OrderPlanned,
    StateSaved,
    TransferPlanned,
    Transferred,
)
from eternal_engine.model.ids import (
    Account,
    ClientOrderId,
    Coin,
    CommandId,
    ExecutionId,
    RecordId,
    RuleId,
    Symbol,
    TransferId,
)
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import Trigger
from eternal_engine.storage.codec import decode_event, encode_event
from eternal_engine.storage.projection import Projection, step
from eternal_engine.storage.reader import read_projection
from eternal_engine.storage.table_state import (
    TableState,
    apply_changes,
    empty_state,
    first_difference,
    pack,
    rows_by_table,
    unpack,
)

AT = datetime(2024, 1, 1, tzinfo=UTC)
BTC, USDT, SYMBOL = Coin("BTC"), Coin("USDT"), Symbol("BTCUSDT")
ACCOUNTS = (Account.TREND, Account.FUNDING)

times = st.integers(0, 10**6).map(lambda s: AT + timedelta(seconds=s))
ids = st.integers(0, 8).map(str)
attempts = st.integers(1, 5)
accounts = st.sampled_from(ACCOUNTS)
amounts = st.decimals(-1000, 1000, places=4)
sizes = st.decimals("0.001", 10, places=3)


def an_id(attempt: int) -> ClientOrderId:
    return an_intent(attempt=attempt).client_order_id


@st.composite
def plans(draw: st.DrawFn) -> Event:
    intent = an_intent(attempt=draw(attempts), qty=None, amount_usdt="5", market=Market.SPOT)
    if draw(st.booleans()):
        intent = an_intent(attempt=draw(attempts), qty=str(draw(sizes)))
    return OrderPlanned(draw(times), Account.TREND, intent, BTC, USDT)


@st.composite
def fills(draw: st.DrawFn) -> Event:
    fill = a_fill(
        draw(ids),
        account=draw(accounts),
        market=draw(st.sampled_from(Market)),
        side=draw(st.sampled_from(Side)),
        qty=str(draw(sizes)),
        price=str(draw(st.decimals("0.01", 100_000, places=2))),
        fee=str(draw(st.decimals("-0.0001", "0.0009", places=4))),
        fee_coin=draw(st.sampled_from(("USDT", "BTC", "MNT"))),
        at=draw(times),
        order=draw(st.one_of(st.none(), attempts.map(an_id))),
    )
    return Filled(draw(times), fill, draw(st.booleans()))


moves = st.builds(OrderMoved, times, attempts.map(an_id), st.sampled_from(Trigger), st.none(), st.none(), st.text())
fundings = st.builds(
    FundingSettled, times, accounts, st.just(SYMBOL), ids.map(ExecutionId), amounts, sizes, amounts, amounts, times
)
planned = st.builds(
    TransferPlanned, times, ids.map(TransferId), st.just(ACCOUNTS[0]), st.just(ACCOUNTS[1]), st.just(USDT), sizes,
    st.just(RuleId("CAP-2")),
)  # fmt: skip
moved = st.builds(
    Transferred, times, ids.map(TransferId), st.just(ACCOUNTS[0]), st.just(ACCOUNTS[1]), st.just(USDT), sizes,
    st.just(RuleId("CAP-2")),
)  # fmt: skip
deposits = st.builds(
    Deposited, times, ids.map(RecordId), accounts, st.sampled_from((USDT, BTC)), amounts, amounts, times
)
corrections = st.builds(
    Corrected, times, ids.map(RecordId), accounts, st.just(SYMBOL), st.just(BTC), st.sampled_from(Market), amounts,
    sizes, st.sampled_from(Mismatch), st.text(), st.booleans(),
)  # fmt: skip
states = st.builds(StateSaved, times, st.sampled_from(("trend", "risk")), st.integers(0, 9), st.text())
breakers = st.builds(
    BreakerChanged, times, st.integers(0, 4), st.integers(0, 4), amounts, amounts, st.just(RuleId("BRK-1")), st.text()
)
commands = st.builds(CommandApplied, times, ids.map(CommandId), st.text(), st.text(), st.text(), accepted=st.booleans())
paths = st.lists(
    st.one_of(
        plans(), plans(), moves, moves, fills(), fills(), fundings, planned, moved, deposits, corrections, states,
        breakers, commands,
    ),
    max_size=40,
)  # fmt: skip


def play(path: list[Event], state: TableState, projection: Projection) -> tuple[Projection, list[Event]]:
    """Apply events as the store does, leaving out those that cannot follow; give what was journaled."""
    journal = []
    for event in path:
        try:
            after = step(projection, decode_event(type(event).__name__, encode_event(event)), len(journal) + 1)
        except ModelError:
            continue
        if after.is_new:
            journal.append(event)
            apply_changes(state, after.changes)
            projection = after.projection
    return projection, journal


@settings(max_examples=250, deadline=None)
@given(paths)
def test_c6_rows_read_back_are_the_state_they_were_written_from(path: list[Event]) -> None:
    state = empty_state()
    projection, _ = play(path, state, Projection())
    assert read_projection(rows_by_table(state)) == projection
    assert read_projection(rows_by_table(unpack(pack(state)))) == projection


@settings(max_examples=150, deadline=None)
@given(paths, paths)
def test_core12_a_restart_in_the_middle_changes_nothing(first: list[Event], second: list[Event]) -> None:
    through, restarted = empty_state(), empty_state()
    whole, journal = play(first + second, through, Projection())
    _, one = play(first, restarted, Projection())
    restarted = unpack(pack(restarted))
    again, two = play(second, restarted, read_projection(rows_by_table(restarted)))
    assert one + two == journal
    assert again == whole
    # The sequence numbers of closed parts count from the restart here; a store counts on.
    for state in (through, restarted):
        state["closed_parts"] = {key: {**row, "seq": 0} for key, row in state["closed_parts"].items()}
    assert first_difference(restarted, through) == ""

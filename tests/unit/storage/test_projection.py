"""What the journal adds up to, and which events it is added up from."""

from __future__ import annotations

from builders import a_history
from eternal_engine.storage.projection import MOVING, Projection, step


def test_an_event_that_is_not_read_back_before_it_is_applied_moves_nothing() -> None:
    now, moved = Projection(), set()
    for seq, event in enumerate(a_history(), start=1):
        after = step(now, event, seq).projection
        if after is not now:
            moved.add(type(event))
        now = after
    assert moved == set(MOVING)

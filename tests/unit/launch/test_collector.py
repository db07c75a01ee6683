"""The garbage collector rests while modules are imported, and works again afterwards."""

from __future__ import annotations

import gc

import pytest

from eternal_engine.launch.collector import no_collection, settle


def test_the_collector_rests_and_goes_on_even_after_an_error() -> None:
    assert gc.isenabled()
    seen: list[bool] = []

    def fails() -> None:
        with no_collection():
            seen.append(gc.isenabled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen == [False]
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_there_when_a_daemon_has_settled_is_not_looked_through_again() -> None:
    kept = [[] for _ in range(1000)]
    before = gc.get_freeze_count()
    try:
        settle()
        assert gc.get_freeze_count() >= before + len(kept)
        assert not any(one is kept for one in gc.get_objects())
    finally:
        gc.unfreeze()

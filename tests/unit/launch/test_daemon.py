"""What a run does beside its duties is never lost in silence."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.capability import Environment
from eternal_engine.launch import daemon
from eternal_engine.launch.daemon import _ahead, _Run
from eternal_engine.model.event import ErrorOccurred, Event, Noted

NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


async def test_k8_a_defect_beside_the_duties_is_said() -> None:
    said: list[str] = []
    run = _Run.__new__(_Run)
    run.background, run.plan = set(), cast("Any", SimpleNamespace(say=said.append))

    async def defect() -> None:
        raise ZeroDivisionError("planted")

    async def fine() -> None:
        return

    run.beside(defect())
    run.beside(fine())
    assert len(run.background) == 2
    await asyncio.gather(*run.background, return_exceptions=True)
    await asyncio.sleep(0)
    assert run.background == set()
    assert len(said) == 1
    assert "planted" in said[0]


async def test_ord_9_what_runs_beside_ends_before_what_it_works_with_is_closed() -> None:
    said: list[str] = []
    run = _Run.__new__(_Run)
    run.background, run.plan = set(), cast("Any", SimpleNamespace(say=said.append))
    closed, noted = asyncio.Event(), False

    async def warm() -> None:
        await closed.wait()
        raise RuntimeError("cannot schedule new futures after shutdown")

    async def note() -> None:
        nonlocal noted
        await asyncio.sleep(0.02)
        noted = True

    run.beside(warm())
    run.beside(note())
    await run.end_all_beside()
    closed.set()
    await asyncio.sleep(0.05)
    assert run.background == set()
    assert said == []
    assert noted
    # Nothing beside: nothing to wait for.
    await run.end_all_beside()


async def test_risk_13_an_arming_that_ends_while_it_runs_is_said_once_and_its_return_too() -> None:
    noted: list[Event] = []
    looks = iter([(), ("revoked",), ("revoked",), ("expired",), (), ()])
    run = _Run.__new__(_Run)
    settings = SimpleNamespace(paths=SimpleNamespace(state_dir=Path("state/live")))
    run.plan = cast("Any", SimpleNamespace(settings=settings, not_armed=lambda: next(looks)))
    run.place = cast("Any", SimpleNamespace(clock=SimpleNamespace(now=lambda: datetime(2024, 1, 1, tzinfo=UTC))))
    run.told_not_armed = ()

    async def note(event: Event) -> None:
        noted.append(event)

    run.note = note  # type: ignore[method-assign]
    for _ in range(6):
        await run.tell_arming()
    revoked, expired, back = noted
    assert isinstance(revoked, ErrorOccurred)
    assert "not armed any more: revoked" in revoked.what
    assert "eternal arm" in revoked.mend
    assert isinstance(expired, ErrorOccurred)
    assert isinstance(back, Noted)
    assert back.rule == "RISK-13"


async def test_risk_13_a_command_is_judged_by_the_cap_of_the_arming_of_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order: list[str] = []

    class Desk:
        def __init__(self, **_: object) -> None:
            return

        async def apply_command(self, _: object) -> None:
            order.append("applied")

    async def serve_inbox(_: object, apply: Any, **__: object) -> None:
        await apply(None)

    monkeypatch.setattr(daemon, "CommandDesk", Desk)
    monkeypatch.setattr(daemon, "serve_inbox", serve_inbox)
    monkeypatch.setattr(daemon, "shares_of", lambda _: {})
    monkeypatch.setattr(daemon, "shares_by_account", lambda _: {})
    run = _Run.__new__(_Run)
    run.plan = cast("Any", SimpleNamespace(settings=SimpleNamespace(paths=SimpleNamespace(state_dir=tmp_path))))
    run.crew = cast("Any", SimpleNamespace(recorder=None, managers={}))
    run.place = cast("Any", SimpleNamespace(clock=None))
    run.loop = cast("Any", SimpleNamespace(wake=None))
    run.renew_cap = lambda: order.append("cap")  # type: ignore[method-assign]
    await run.serve()
    assert order == ["cap", "applied"]


@pytest.mark.parametrize(
    ("waits", "reasons", "halted", "rule"),
    [(False, (), 0, "RISK-1"), (False, ("expired",), 0b1111, "RISK-13"), (True, ("expired",), 0b1111, "RISK-3")],
)
def test_risk_13_the_rule_that_halts_entries_is_named(
    waits: bool, reasons: tuple[str, ...], halted: int, rule: str
) -> None:
    run = _Run.__new__(_Run)
    mask = 0b1111 if reasons else 0
    run.plan = cast("Any", SimpleNamespace(not_armed=lambda: reasons, entries_halted=lambda _: mask))
    run.caretaker = cast("Any", SimpleNamespace(entries_wait=waits))
    assert run.entries_halted(datetime(2024, 1, 1, tzinfo=UTC)) == halted
    assert run.halted_by() == rule


@pytest.mark.parametrize(
    ("environment", "ahead_h", "told"),
    [(Environment.LIVE, 0, 0), (Environment.LIVE, 1, 1), (Environment.DEMO, 50, 1), (Environment.PAPER, 1, 0)],
)
def test_u_7_hours_on_record_that_have_not_come_yet_are_said(environment: Environment, ahead_h: int, told: int) -> None:
    crew: Any = SimpleNamespace(recorder=SimpleNamespace(memory=SimpleNamespace(cycle_h=hour_of(NOW) + ahead_h)))
    place: Any = SimpleNamespace(environment=environment, clock=SimpleNamespace(now=lambda: NOW))
    assert len(_ahead(crew, place)) == told

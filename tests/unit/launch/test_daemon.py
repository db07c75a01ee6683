"""What a run does beside its duties is never lost in silence."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from eternal_engine.launch.daemon import _Run


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

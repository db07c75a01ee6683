"""Run every case against three clients, and write the published matrix when asked to (ETERNAL_WRITE_MATRIX=1)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract_arena import CLIENTS, Arena, NotInClient

MATRIX = Path(__file__).parents[2] / "docs" / "contract-matrix.md"
WORDS = {"passed": "yes", "skipped": "-", "failed": "FAILED"}
_outcomes: dict[str, dict[str, str]] = {}


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark by which a test asks for another exchange than the usual one."""
    config.addinivalue_line("markers", "arena(**config): open the exchange with these choices")


@dataclass
class Desk:
    """Hold one client in front of one exchange."""

    kind: str
    arena: Arena
    exchange: Any


@pytest.fixture(params=CLIENTS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    marker = request.node.get_closest_marker("arena")
    arena = await Arena.open(**(marker.kwargs if marker else {}))
    exchange = arena.client(request.param)
    yield Desk(request.param, arena, exchange)
    await exchange.close()
    await arena.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Turn "this client has no such call" into a skip with its reason."""
    outcome = yield
    if outcome.excinfo is not None and issubclass(outcome.excinfo[0], NotInClient):
        outcome.force_exception(pytest.skip.Exception(str(outcome.excinfo[1]), _use_item_location=True))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect outcomes by case and client."""
    if "tests/contract/" not in report.nodeid or (report.when != "call" and report.outcome == "passed"):
        return
    case, _, inside = report.nodeid.partition("::")[2].partition("[")
    text = inside.rstrip("]")
    client = next((kind for kind in CLIENTS if f"-{text}-".startswith(f"-{kind}-") or text.endswith(f"-{kind}")), None)
    if client is None:
        return
    rest = text.removeprefix(client).removesuffix(client).strip("-")
    area = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_").removesuffix("_contract")
    label = f"{area}: " + case.removeprefix("test_").replace("_", " ") + (f" [{rest}]" if rest else "")
    _outcomes.setdefault(label, {})[client] = WORDS[report.outcome]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the matrix."""
    is_worker = hasattr(session.config, "workerinput")
    if os.environ.get("ETERNAL_WRITE_MATRIX") != "1" or is_worker or not _outcomes:
        return
    run = {kind: sum(row.get(kind) == "yes" for row in _outcomes.values()) for kind in CLIENTS}
    lines = [
        "# Contract matrix",
        "",
        "Written by the contract suite; do not edit. One case is one behaviour of the exchange; `yes`: held with this",
        "client, `-`: the client has no such call (the test names the reason). Refresh:",
        "`ETERNAL_WRITE_MATRIX=1 .venv/bin/pytest -q tests/contract`.",
        "",
        f"{len(_outcomes)} cases: " + ", ".join(f"{kind} {count}" for kind, count in run.items()) + ".",
        "",
        "| case | " + " | ".join(CLIENTS) + " |",
        "|---|" + "---|" * len(CLIENTS),
        *(
            f"| {label} | " + " | ".join(row.get(kind, "-") for kind in CLIENTS) + " |"
            for label, row in sorted(_outcomes.items())
        ),
    ]
    MATRIX.write_text("\n".join(lines) + "\n", encoding="utf-8")

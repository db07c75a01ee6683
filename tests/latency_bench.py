"""Run the daemon over the wire for some simulated days, and print as JSON how long each order took to leave.

python tests/latency_bench.py --days 12              (rules so lively that all four engines trade every few days)
python tests/latency_bench.py --days 12 --usual      (the configuration as it comes)

An hour takes a second, as in paper trading on a made-up market: a day then takes 24 s. Faster hours would measure the
exchange's limits (10 or 20 orders a second and account, hundreds of calls in five), which orders then meet that
in real time are an hour apart.

Measured is the instant at which the last byte of a request was handed to the system, against the instant at which the
order's plan was on the disk, and, for orders of an hour's decision, against the end of the deciding itself. Orders of
one decision count one by one, so the last of a purchase of ten coins counts with all that waited before it. A pair's
second leg is not asked for by the hour's decision but by the fill of the first: it counts from its own plan alone.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from eternal_engine.config.settings import Settings
from eternal_engine.engine import trading_engine
from eternal_engine.engine.recorder import Make, Recorder
from eternal_engine.launch.daemon import Outcome
from eternal_engine.launch.markets import Wish
from eternal_engine.launch.start import Request, start
from eternal_engine.model.event import OrderPlanned
from eternal_engine.storage.store import Appended

FIRST = datetime(2024, 1, 2, tzinfo=UTC)
HOUR_A_SECOND = 3600.0
LIVELY: dict[str, Any] = {
    "core_hodl": {"interval_h": 48},
    "trend": {"adx_min": 5.0, "sma_days": 30, "ema_days": 10, "warmup_days": 30},
    "funding": {"entry_edge_frac": 0.0, "horizon_days": 60, "min_margin_frac": 0.45},
    "tactical": {"levels": [{"drawdown_frac": 0.05, "budget_frac": 0.5}], "take_profit_frac": 0.05},
}
_ORDER = re.compile(rb'"orderLinkId": "([A-Za-z0-9_-]+)"')


@dataclass
class Watcher:
    """Note when each order was decided, when its plan was on the disk, and when its request had left."""

    decided_s: dict[str, float] = field(default_factory=dict)
    planned_s: dict[str, float] = field(default_factory=dict)
    left_s: dict[str, float] = field(default_factory=dict)
    _decided_s: float | None = None

    def watch(self) -> None:
        """Put the stop-watch beside the functions that decide, write and send; nothing else is touched."""
        trading_engine.decide_hour = self._deciding(trading_engine.decide_hour)  # type: ignore[attr-defined]
        Recorder._write = self._writing(Recorder._write)  # type: ignore[method-assign]
        http.client.HTTPConnection.send = self._sending(http.client.HTTPConnection.send)  # type: ignore[method-assign]

    def _deciding(self, decide: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*values: Any, **named: Any) -> Any:
            decided = decide(*values, **named)
            self._decided_s = time.monotonic()
            return decided

        return timed

    def _writing(self, write: Callable[[Recorder, Make], Any]) -> Any:
        async def timed(recorder: Recorder, make: Make) -> Appended:
            planned: list[str] = []

            def noting(memory: Any, projection: Any) -> Any:
                made = make(memory, projection)
                planned.extend(event.intent.client_order_id for event in made[1] if isinstance(event, OrderPlanned))
                return made

            self._decided_s = None
            appended: Appended = await write(recorder, noting)
            now_s = time.monotonic()
            for identifier in planned:
                self.planned_s.setdefault(identifier, now_s)
                if self._decided_s is not None:
                    self.decided_s.setdefault(identifier, self._decided_s)
            return appended

        return timed

    def _sending(self, send: Callable[[http.client.HTTPConnection, Any], None]) -> Any:
        def timed(connection: http.client.HTTPConnection, data: Any) -> None:
            send(connection, data)
            if isinstance(data, bytes) and b'"qty"' in data and (found := _ORDER.search(data)):
                self.left_s.setdefault(found[1].decode(), time.monotonic())

        return timed

    def waits_ms(self, since_s: dict[str, float]) -> list[float]:
        """Give the milliseconds from an instant of each order to its leaving."""
        return sorted((self.left_s[name] - since_s[name]) * 1000 for name in self.left_s if name in since_s)

    def bursts(self) -> list[int]:
        """Give how many orders each hour's decision sent at once, the largest first."""
        together: dict[float, int] = {}
        for name, at in self.decided_s.items():
            together[at] = together.get(at, 0) + (name in self.left_s)
        return sorted(together.values(), reverse=True)


def spread(waits_ms: Sequence[float]) -> dict[str, float]:
    """Sum up sorted waits: every percentile is a wait that was measured."""
    if not waits_ms:
        return {}
    last = len(waits_ms) - 1
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(waits_ms[round(last * rank)], 1) for name, rank in ranks.items()}


async def run(asked: argparse.Namespace, folder: Path) -> Outcome:
    paths = {"state_dir": folder / "state", "log_dir": folder / "logs", "data_dir": folder / "data"}
    settings = Settings.model_validate({**({} if asked.usual else LIVELY), "paths": paths})
    first = FIRST if asked.start is None else datetime.fromisoformat(asked.start).replace(tzinfo=UTC)
    return await start(
        Request(
            mode="paper",
            settings=settings,
            directory=folder,
            read_settings=lambda: settings,
            wish=Wish(market=asked.market, start_ms=int(first.timestamp() * 1000), speed=asked.speed),
            until=first + timedelta(days=asked.days),
            console=False,
            # The process is the daemon's own, so its collector behaves as there.
            handles_signals=True,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=12)
    parser.add_argument("--market", default="synthetic")
    parser.add_argument("--start", default=None)
    parser.add_argument("--speed", type=float, default=HOUR_A_SECOND)
    parser.add_argument("--usual", action="store_true")
    asked = parser.parse_args()
    watcher = Watcher()
    watcher.watch()
    with tempfile.TemporaryDirectory() as folder:
        summary = asyncio.run(run(asked, Path(folder))).summary
    document = {
        "days": asked.days,
        "orders": len(watcher.left_s),
        "largest_bursts": watcher.bursts()[:5],
        "plan_to_wire_ms": spread(watcher.waits_ms(watcher.planned_s)),
        "decision_to_wire_ms": spread(watcher.waits_ms(watcher.decided_s)),
        "first_decision_to_wire_ms": spread(watcher.waits_ms(first_burst(watcher))),
        "load": round(os.getloadavg()[0], 1),
        "venue_ledger_matches": not summary.differences,
        "result_hash": summary.document()["result_hash"],
    }
    print(json.dumps(document))


def first_burst(watcher: Watcher) -> dict[str, float]:
    """Give the orders of the first decision that had any, in which connections are cold."""
    first_s = min(watcher.decided_s.values(), default=0.0)
    return {name: at for name, at in watcher.decided_s.items() if at == first_s}


if __name__ == "__main__":
    main()

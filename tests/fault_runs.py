"""Let one fault of the exchange strike at one call of a procedure, live on for two days, and judge what became of it.

`python tests/fault_runs.py --help` runs them by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any, Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from crash_daemon import Knife, live
from crash_forks import Life, in_child, naked
from crash_market import SCENARIOS, Scenario
from eternal_engine.engine import supervisor
from eternal_engine.model.errors import EternalError
from eternal_engine.model.ids import Leg, read_client_order_id
from eternal_engine.simulator.faults import FaultPlan
from eternal_engine.simulator.server.world import World

# Rows of a fault plan; `only` names the one endpoint that a kind concerns.
KINDS: Final[dict[str, dict[str, Any]]] = {
    "lose_reply": {"kind": "lose_reply"},
    "lose_request": {"kind": "lose_request"},
    "duplicate": {"kind": "duplicate"},
    "code 10016": {"kind": "code", "code": 10016},
    "code 10001": {"kind": "code", "code": 10001},
    "code 10003": {"kind": "code", "code": 10003},
    "code 110007": {"kind": "code", "code": 110007},
    "code 777": {"kind": "code", "code": 777},
    "code_after 10016": {"kind": "code_after", "code": 10016},
    "code_after 777": {"kind": "code_after", "code": 777},
    "rate_limit_past": {"kind": "rate_limit_past"},
    "rate_limit_future": {"kind": "rate_limit_future"},
    "rate_limit_bare": {"kind": "rate_limit_bare"},
    "clock_skew": {"kind": "clock_skew"},
    "http 502": {"kind": "http", "status": 502},
    "http 403": {"kind": "http", "status": 403},
    "html": {"kind": "html", "status": 502},
    "truncate": {"kind": "truncate"},
    "missing_field": {"kind": "missing_field"},
    "unknown_enum": {"kind": "unknown_enum"},
    "reject_later": {"kind": "reject_later"},
}
# What a reply cannot do without, and what in it is one of a list of words.
NEEDED: Final = {
    "/v5/order/create": ("orderLinkId", "orderId"),
    "/v5/order/realtime": ("orderStatus", "orderStatus"),
    "/v5/order/history": ("orderStatus", "orderStatus"),
    "/v5/execution/list": ("execId", "execType"),
    "/v5/position/list": ("size", "side"),
    "/v5/account/wallet-balance": ("coin", "accountType"),
    "/v5/account/transaction-log": ("id", "type"),
    "/v5/asset/transfer/universal-transfer": ("status", "status"),
    "/v5/asset/transfer/query-universal-transfer-list": ("status", "status"),
    "/v5/user/query-api": ("userID", "userID"),
    "/v5/account/info": ("marginMode", "marginMode"),
    "/v5/market/tickers": ("lastPrice", "symbol"),
}
CREATE: Final = "/v5/order/create"
# What is asked when nobody knows whether an order arrived.
LOOK_UPS: Final = ("/v5/order/realtime", "/v5/order/history", "/v5/execution/list")
WORK: Final = (CREATE, "/v5/position/set-leverage", "/v5/position/trading-stop")
# Legs that unwind a pair's surplus, make its two sides equal again, or close what no stop protects.
MENDING: Final = frozenset(
    leg.value for leg in (Leg.SPOT_UNWIND, Leg.PERP_UNWIND, Leg.SPOT_HEDGE, Leg.PERP_HEDGE, Leg.STOP)
)
TIMES: Final = (1, 8)
AFTERWARDS_H: Final = 48
LONGEST_S: Final = 120


@dataclass(frozen=True)
class Site:
    """Name one call: who makes it in the program, for which account and leg, and how many like it came before.

    `lost` is the number of orders of the account before the one whose answer is lost first, so that the call is made.
    """

    scenario: str
    path: str
    account: str
    step: str
    skip: int
    lost: int | None = None


@dataclass(frozen=True)
class Case:
    """Hold one fault at one site, `times` over."""

    site: Site
    kind: str
    times: int

    def plan(self) -> FaultPlan:
        """Make the plan that strikes there and nowhere else."""
        row = {**KINDS[self.kind], "path": self.site.path, "account": self.site.account}
        row |= {"skip": self.site.skip, "times": self.times}
        if self.kind in ("missing_field", "unknown_enum"):
            row["field"] = NEEDED[self.site.path][self.kind == "unknown_enum"]
        plan = FaultPlan()
        if self.site.lost is not None:
            lost = {"kind": "lose_reply", "path": CREATE, "account": self.site.account, "skip": self.site.lost}
            plan.add([lost])
        plan.add([row])
        return plan

    def __str__(self) -> str:
        """Name it for people."""
        site = self.site
        return f"{self.kind} x{self.times} at {site.path} of {site.account} in {site.step} ({site.scenario})"


@dataclass
class Bench:
    """Hold what the cases of a scenario share."""

    scenario: Scenario
    history: Any
    template: Path
    wanted: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def until(self) -> int:
        """Give the hour at which all cases end."""
        return self.scenario.until + AFTERWARDS_H


class Spy:
    """Note each call's path, account and step while an undisturbed run makes it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    def watch(self, world: World, knife: Knife) -> None:
        """Look through the fault plan of a world: it is asked at every call."""
        hits = world.faults.hits

        def noting(path: str, account: str = "", kinds: Any = None) -> Any:
            if not knife.sheathed:
                self.calls.append((path, account, _step()))
            return hits(path, account, kinds)

        world.faults.hits = noting  # type: ignore[method-assign]


def _step() -> str:
    """Name the function of the engine, or of the daemon's start, that makes the present call, and the order's leg."""
    frame: FrameType | None = sys._getframe(2)
    names: list[str] = []
    leg = ""
    while frame is not None:
        code, here = frame.f_code, frame.f_locals
        if code.co_name == "place" and "request" in here:
            read = read_client_order_id(here["request"].client_order_id)
            leg = f" {read.leg.value}" if read else ""
        if "eternal_engine/engine/" in code.co_filename or "eternal_engine/launch/" in code.co_filename:
            names.append(code.co_name)
        frame = frame.f_back
    telling = [name for name in names if name not in ("run", "_keep", "_outcome", "<listcomp>")]
    return ".".join(reversed(telling[:3])) + leg


def prepare(scenario: Scenario, directory: Path) -> Bench:
    """Live to the procedure, keep the files, and note every call of an undisturbed run."""
    bench = Bench(scenario, scenario.history(), directory / f"{scenario.name}-template")
    bench.template.mkdir(parents=True)
    if not scenario.from_nothing:
        asyncio.run(live(bench.template, scenario, bench.history, scenario.before, Knife()))
    state, spy = directory / f"{scenario.name}-undisturbed", Spy()
    shutil.copytree(bench.template, state)
    bench.wanted = asyncio.run(live(state, scenario, bench.history, bench.until, Knife(), watch=spy.watch))
    bench.calls = spy.calls
    return bench


def sites_of(bench: Bench, known: set[tuple[str, ...]]) -> list[Site]:
    """List the calls whose endpoint and step are not `known` yet, at their first occurrence; note them there.

    What the engines themselves call is told apart by account, too, and by what the order is for. Behind each new kind
    of order stand the look-ups that a lost answer leads to.
    """
    before: Counter[tuple[str, str]] = Counter()
    found = []
    for path, account, step in bench.calls:
        skip = before[path, account]
        before[path, account] += 1
        key = (path, step, account) if path in WORK else (path, step)
        if key in known:
            continue
        known.add(key)
        found.append(Site(bench.scenario.name, path, account, step, skip))
        if path == CREATE:
            found += [
                Site(bench.scenario.name, asked, account, f"look-up after {step}", before[asked, account], skip)
                for asked in LOOK_UPS
            ]
    return found


def cases_of(sites: Iterable[Site]) -> list[Case]:
    """Cross sites with the kinds that make sense there."""
    return [
        Case(site, kind, times)
        for site in sites
        for kind in KINDS
        for times in TIMES
        if (kind != "reject_later" or site.path == "/v5/order/create")
        and (kind not in ("missing_field", "unknown_enum") or site.path in NEEDED)
    ]


def run_case(bench: Bench, case: Case, directory: Path) -> list[str]:
    """Live through one case, and start anew without the fault when it ended the daemon; list what is wrong then."""
    state = directory / "state"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(bench.template, state)
    note = directory / "note.json"
    life = in_child(lambda: _limited(bench, state, case.plan()), note)
    ended = _ended(life)
    if ended:
        again = in_child(lambda: _limited(bench, state, FaultPlan()), note)
        if _ended(again):
            return [f"{ended}; and again: {_ended(again)} {again.error[-600:]}"]
        life = again
    if life.error:
        return [life.error[-1500:]]
    return list(judge(bench.wanted, life.result, _said(state / "eternal.db"), ended))


def _limited(bench: Bench, state: Path, faults: FaultPlan) -> dict[str, Any]:
    signal.alarm(LONGEST_S)
    # The supervisor waits by the wall before it starts a duty anew; market time stands still meanwhile.
    vars(supervisor).update(BACKOFF_FIRST_S=0.001, BACKOFF_MOST_S=0.001)
    try:
        return asyncio.run(live(state, bench.scenario, bench.history, bench.until, Knife(), faults=faults))
    except EternalError as error:
        # A start that is refused says why on the terminal.
        return {"refused": f"{type(error).__name__}: {error.message} ({error.where})"}


def _ended(life: Life) -> str:
    """Say how a daemon ended that did not come to its hour; empty when it did."""
    if life.error:
        return ""
    if "refused" in life.result:
        return str(life.result["refused"])
    code, reason = life.result["ending"]
    return f"ended with {code}: {reason}" if code else ""


def _said(database: Path) -> list[str]:
    """Read what the journal says went wrong."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT kind, body FROM journal ORDER BY seq").fetchall()
    said = []
    for kind, body in rows:
        if kind in ("ErrorOccurred", "Mismatch", "Corrected", "TradingPaused"):
            said.append(f"{kind}: {body[:300]}")
    return said


def judge(wanted: dict[str, Any], found: dict[str, Any], said: Sequence[str], ended: str) -> Iterable[str]:
    """Name what must never be: books apart from the exchange, work left over, more traded than was wanted, a naked
    position, a difference that nobody explains.
    """
    for row in found["differences"]:
        yield f"books and exchange differ: {row}"
    for part in ("pending", "open", "undone_transfers"):
        if found[part]:
            yield f"{part} two days later: {found[part]}"
    bought, meant = _traded(found), _traded(wanted)
    for key, qty in bought.items():
        if qty > meant.get(key, Decimal(0)) * Decimal("1.001"):
            if _is_later(key, meant):
                continue
            yield f"{' '.join(key)} traded {qty}, wanted {meant.get(key, 0)}"
    yield from naked(found)
    if (bought != meant or _stops(found) != _stops(wanted)) and not said and not ended:
        yield f"{dict(bought)} instead of {dict(meant)}, and nobody says why"


def _traded(found: dict[str, Any]) -> dict[tuple[str, ...], Decimal]:
    """Sum what the orders of each intent have executed: by engine, hour, symbol and leg."""
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for _, name, _, _, side, qty, _, kind in found["executions"]:
        if kind == "Trade" and name:
            sums[(*name.split("-")[:-1], side)] += Decimal(qty)
    return dict(sums)


def _is_later(key: tuple[str, ...], meant: dict[tuple[str, ...], Decimal]) -> bool:
    """Tell whether it mends a pair, or was wanted at another hour: what failed is asked for at the next decision."""
    return key[3] in MENDING or any((key[0], *key[2:]) == (other[0], *other[2:]) for other in meant)


def _stops(found: dict[str, Any]) -> list[Any]:
    return sorted([row[0], row[1], row[4]] for row in found["positions"] if row[0] == "TREND")


def run_all(
    bench: Bench, cases: Sequence[Case], directory: Path, jobs: int, tell: Callable[[Case, list[str]], None]
) -> int:
    """Run cases in `jobs` processes; tells the bad ones, gives how many were bad."""
    gc.collect()
    gc.freeze()
    workers = []
    for job in range(jobs):
        notes = directory / f"{bench.scenario.name}-{job}"
        notes.mkdir(exist_ok=True)
        worker = os.fork()
        if worker == 0:
            code = 1
            try:
                found = [run_case(bench, case, notes) for case in cases[job::jobs]]
                (notes / "found.json").write_text(json.dumps(found), encoding="utf-8")
                code = 0
            except BaseException:  # noqa: BLE001 - shown, and told by the exit code
                traceback.print_exc()
            finally:
                os._exit(code)
        workers.append((worker, notes, cases[job::jobs]))
    bad = 0
    for worker, notes, own in workers:
        _, status = os.waitpid(worker, 0)
        assert status == 0, f"a worker of {bench.scenario.name} failed"
        for case, wrong in zip(own, json.loads((notes / "found.json").read_text(encoding="utf-8")), strict=True):
            bad += bool(wrong)
            if wrong:
                tell(case, wrong)
    return bad


def main(arguments: Sequence[str]) -> int:
    """Run the cases and print one JSON line a scenario, and one for each that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", help="strike in this one only; sites are still told apart")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS))
    parser.add_argument("--match", default="", help="only sites whose path or step contains this")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="show the sites and strike none")
    parser.add_argument("--dir", type=Path)
    asked = parser.parse_args(arguments)
    known: set[tuple[str, ...]] = set()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="faults-", dir=asked.dir) as directory:
        for scenario in SCENARIOS:
            bench = prepare(scenario, Path(directory))
            sites = [site for site in sites_of(bench, known) if asked.match in f"{site.path} {site.step}"]
            if asked.scenario and scenario.name not in asked.scenario:
                continue
            if asked.list:
                for site in sites:
                    print(json.dumps(vars(site)))
                continue
            cases = [case for case in cases_of(sites) if not asked.kind or case.kind in asked.kind][:: asked.stride]
            failed = run_all(bench, cases, Path(directory), asked.jobs, _tell)
            bad += failed
            line = {"scenario": scenario.name, "sites": len(sites), "cases": len(cases), "failed": failed}
            print(json.dumps(line), flush=True)
    return 1 if bad else 0


def _tell(case: Case, wrong: list[str]) -> None:
    print(json.dumps({"case": str(case), "wrong": wrong}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Let one fault of the exchange strike at one call of a procedure, live on for three days, and judge what became of it.

`python tests/fault_runs.py --help` runs them by hand. Importing takes seconds, so one parent imports everything, lives
through each procedure undisturbed, and forks a few workers; each lives through its cases one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from crash_daemon import Knife, Scene, decided_hour, holdings, live, outcome, standing
from crash_forks import Life
from crash_market import SCENARIOS, Scenario, ms_of
from crash_market import scenario as find_scenario
from crash_plants import PLANTS
from eternal_engine.engine import supervisor
from eternal_engine.engine.supervisor import Duty
from eternal_engine.engine.timing import hour_of
from eternal_engine.launch import daemon
from eternal_engine.launch.caretaker import Caretaker
from eternal_engine.launch.clocks import from_ms
from eternal_engine.launch.place import read_table
from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.model.errors import EternalError, ExchangeError
from eternal_engine.model.event import ErrorOccurred
from eternal_engine.model.instrument import InstrumentTable
from eternal_engine.simulator.faults import Fault, FaultPlan
from eternal_engine.storage.database import prepare as migrate
from fault_door import FaultyDoor, Wires
from fault_judge import Said, judge, read_said
from fault_kinds import KINDS, Row, alike_at, changes_something, row_at, times_of
from fault_sites import Key, Place, Seen, Spy

# From an hour before a procedure on.
DAYS_H: Final = 72
# A life takes a fraction of a second of a processor; nobody's clock on the wall counts.
MOST_CPU_S: Final = 120
# Whoever stands still so long without using any, waits for ever: the whole worker ends and shows where.
STANDS_STILL_S: Final = 3600
# How often faults are struck at calls that only faults bring about; what is left then is said (`new`).
MOST_WAVES: Final = 9
DUTIES: Final = Caretaker.duties
RULES: Final = "/v5/market/instruments-info"
# After the procedure the accounts are compared every so many hours, where they are compared at all. As often a life in
# which no fault strikes there reads the rules, which never change in these markets.
COMPARE_EVERY_H: Final = 8
# What a daemon does otherwise where the exchange is reached over a wire.
WIRED: Final = ("lever_ahead", "order/create", "trading-stop", "set-leverage")


@dataclass(frozen=True)
class Course:
    """Name what is lived through: a procedure, and whether accounts are compared each hour and streams are struck.

    `wired`: the daemon takes the exchange for one behind a wire, where orders leave side by side (`open_place`).
    `only` restricts the calls to those whose path or step has one of these words in it.
    """

    name: str
    scenario: Scenario
    compares: bool = False
    streams: bool = False
    wired: bool = False
    only: tuple[str, ...] = ()


def courses() -> tuple[Course, ...]:
    """Give all courses. The one that holds most comes first: what all starts have in common is struck there."""
    falls, pays = find_scenario("breaker_3"), find_scenario("funding_open")
    holds = replace(falls, name="reconcile", before=44 * 24 - 1, until=44 * 24 + 2, orders=0)
    reads = replace(pays, name="market_reading", asks_for_bars=True)
    others = [row for row in SCENARIOS if row is not falls]
    return (
        Course(falls.name, falls),
        *(Course(row.name, row) for row in others),
        Course("reconcile", holds, compares=True, only=("take_snapshot", "take_prices")),
        Course("market_reading", reads, only=("kline", "funding/history")),
        *(Course(f"{row.name} heard", row, compares=True, streams=True) for row in SCENARIOS if not row.from_nothing),
        *(
            Course(name, replace(row, name=name), compares=True, wired=True, only=WIRED)
            for row in SCENARIOS
            for name in (f"{row.name} wired",)
            if row.orders
        ),
    )


@dataclass(frozen=True)
class Site:
    """Name one call or message of a course; `prior` are faults without which it is not made."""

    course: str
    key: Key
    path: str
    account: str
    skip: int
    is_stream: bool
    prior: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Hold one fault at one site, `times` over (0: for ever)."""

    site: Site
    kind: str
    times: int

    def rows(self) -> list[Row]:
        """Give the rows of the plan that strikes there and nowhere else."""
        row = {**row_at(self.kind, self.site.path), "path": self.site.path, "account": self.site.account}
        return [*map(json.loads, self.site.prior), {**row, "skip": self.site.skip, "times": self.times}]

    def __str__(self) -> str:
        """Name it for people."""
        key = self.site.key
        behind = f", after {' and '.join(self.site.prior)}" if self.site.prior else ""
        return (
            f"{self.kind} x{self.times} at {key.path} of {self.site.account} in {key.step} ({self.site.course}{behind})"
        )


@dataclass
class Bench:
    """Hold what the cases of a course share: files before it, and an undisturbed life, hour by hour.

    `last_h` tells of each path and account when it was called last; `wanted` what stands at each hour's end.
    """

    course: Course
    history: Any
    template: Path
    seen: list[Seen] = field(default_factory=list)
    wanted: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    last_h: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def until(self) -> int:
        """Give the hour at which all cases end."""
        return self.course.scenario.before + DAYS_H


@dataclass(frozen=True)
class Result:
    """Hold what became of a case.

    `hours`: after how many hours everything was as if nothing had happened, None where it lived on to the end and was
    judged there. `halted`: the words with which the daemon ended, if it did. `new`: calls that only this fault brought
    about; `places` the lines of the program that called.
    """

    wrong: tuple[str, ...]
    hours: int | None = None
    halted: str = ""
    differs: bool = False
    new: tuple[Site, ...] = ()
    cpu_s: float = 0.0
    places: tuple[Place, ...] = ()


class Watcher:
    """Look at a running daemon after each hour, and end it when all is as in the undisturbed life."""

    def __init__(self, bench: Bench, wires: Wires, plan: FaultPlan | None, *, may_end: bool = False) -> None:
        self._bench = bench
        self._wires = wires
        self._plan = plan
        self._may_end = may_end
        self.life: asyncio.Task[Any] | None = None
        self.early: dict[str, Any] | None = None
        self.hours: dict[int, dict[str, Any]] = {}
        self.spy: Spy | None = None
        self._hour = asyncio.Event()
        self._passed = 0
        self._table: InstrumentTable | None = None

    async def each_hour(self, scene: Scene) -> None:
        """Look at what there is."""
        await self._wires.mend()
        now_h = decided_hour(scene)
        if self._plan is None:
            self.hours[now_h] = standing(scene)
        elif self._may_end and self._is_over(now_h) and self._is_as_wanted(scene, now_h):
            await self._end(scene, now_h)
        self._passed += 1
        if self._looks_closely():
            self._hour.set()

    def _is_as_wanted(self, scene: Scene, now_h: int) -> bool:
        wanted = self._bench.wanted.get(now_h)
        # What is held differs in most lives that differ, and is read in a fraction of the time.
        return (
            wanted is not None
            and all(wanted[part] == found for part, found in holdings(scene).items())
            and _same(standing(scene), wanted)
        )

    def _looks_closely(self) -> bool:
        """Tell whether this is an hour of the procedure, or every so many-th of the quiet days after it."""
        procedure_h = self._bench.course.scenario.until - self._bench.course.scenario.before
        return self._passed <= procedure_h + 1 or self._passed % COMPARE_EVERY_H == 0

    def _is_over(self, now_h: int) -> bool:
        """Tell whether the procedure is done and no fault can strike any more."""
        faults = [*(self._plan.faults if self._plan else []), *self._wires.slow.faults]
        return now_h >= epoch_h(self._bench.course.scenario.until) and all(
            self._is_done(fault, now_h) for fault in faults
        )

    def _is_done(self, fault: Fault, now_h: int) -> bool:
        return fault.spent or self._bench.last_h.get((fault.path, fault.account), 0) < now_h

    async def _end(self, scene: Scene, now_h: int) -> None:
        """End this life: what would follow is the undisturbed one's own."""
        scene.world.faults.clear()
        self._wires.slow.clear()
        assert self.spy is not None
        assert self.spy.knife is not None
        self.spy.knife.sheathe()
        self._may_end = False
        self.early = {**await outcome(scene), "ending": [0, "as if nothing had happened"], "converged": now_h}
        assert self.life is not None
        # Duties before what they stand on.
        for task in asyncio.all_tasks() - {self.life, asyncio.current_task()}:
            task.cancel()
        self.life.cancel()

    async def rules(self, *asked: Any) -> InstrumentTable:
        """Read the exchange's rules as the daemon does each hour; seldom where no fault is to strike there."""
        seldom = self._plan is not None and self._passed % COMPARE_EVERY_H != 0
        if self._table is None or not seldom or self._strikes_at(RULES):
            self._table = await read_table(*asked)
        return self._table

    def _strikes_at(self, path: str) -> bool:
        faults = [*(self._plan.faults if self._plan else []), *self._wires.slow.faults]
        return any(fault.path == path and not fault.spent for fault in faults)

    def duties(self, caretaker: Caretaker, compare: Any, wake: Any) -> tuple[Duty, ...]:
        """Compare the accounts after each hour, as the daemon does every few minutes over a wire."""
        del wake

        async def now_and_then() -> None:
            while True:
                await self._hour.wait()
                self._hour.clear()
                try:
                    await compare()
                except ExchangeError as error:
                    at = caretaker._place.clock.now()
                    await caretaker._journal(ErrorOccurred(at, error.message, "comparing the accounts", error.mend))

        return (Duty("comparison", now_and_then),)


def epoch_h(hour: int) -> int:
    """Give an hour of the hand-made markets in hours since the epoch."""
    return ms_of(hour) // HOUR_MS


def _same(found: dict[str, Any], wanted: dict[str, Any] | None) -> bool:
    """Tell whether two lives stand at the same place: everything but the names of orders, which tell of retries."""
    parts = ("balances", "positions", "transfers", "pending", "open", "undone_transfers", "memory", "hour", "books")
    return wanted is not None and all(found[part] == wanted[part] for part in parts)


def live_under(
    bench: Bench, state: Path, rows: Sequence[Row] | None, *, may_end: bool = False
) -> tuple[dict[str, Any], Watcher]:
    """Live on a state directory with the faults of `rows`; None: undisturbed. With `may_end` it may end early."""
    wires = Wires()
    plan = FaultPlan()
    if rows is not None:
        plan.add([row for row in rows if row["kind"] != "delay"])
        wires.slow.add([row for row in rows if row["kind"] == "delay"])
    watcher = Watcher(bench, wires, None if rows is None else plan, may_end=may_end)
    watcher.spy = Spy(bench.course.scenario.name, bench.course.scenario.from_nothing)
    wires.heard = watcher.spy.hear
    is_new = bench.course.scenario.from_nothing
    own = watcher.duties if bench.course.compares else DUTIES
    # The supervisor waits by the wall before it starts a duty anew; market time stands still meanwhile.
    quick = patch.multiple(supervisor, BACKOFF_FIRST_S=0.001, BACKOFF_MOST_S=0.001)
    seldom = patch.object(daemon, "read_table", watcher.rules)
    # Nothing is to be migrated in a copy of what this very program made.
    made = patch("eternal_engine.storage.store.prepare", migrate if rows is None or is_new else lambda _: None)
    with quick, seldom, made, patch.object(Caretaker, "duties", lambda *asked: own(*asked)):
        return asyncio.run(_life(bench, state, plan, wires, watcher)), watcher


async def _life(bench: Bench, state: Path, plan: FaultPlan, wires: Wires, watcher: Watcher) -> dict[str, Any]:
    assert watcher.spy is not None
    watcher.life = asyncio.ensure_future(
        live(
            state,
            bench.course.scenario,
            bench.history,
            bench.until,
            Knife(),
            faults=plan,
            watch=watcher.spy.watch,
            make_door=lambda world, uid, knife: FaultyDoor(world, uid, knife, wires),
            each_hour=watcher.each_hour,
            is_wired=bench.course.wired,
        )
    )
    try:
        return dict(await watcher.life)
    except asyncio.CancelledError:
        if watcher.early is None:
            raise
        return watcher.early


def prepare(course: Course, directory: Path) -> Bench:
    """Live to the procedure, keep the files, then live through it and the days after, undisturbed."""
    scenario = course.scenario
    bench = Bench(course, scenario.history(), directory / f"{course.name}-template".replace(" ", "-"))
    bench.template.mkdir(parents=True)
    if not scenario.from_nothing:
        asyncio.run(live(bench.template, scenario, bench.history, scenario.before, Knife()))
    state = directory / "undisturbed"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(bench.template, state)
    bench.end, watcher = live_under(bench, state, None)
    assert watcher.spy is not None
    bench.wanted, bench.seen = watcher.hours, watcher.spy.seen
    for one in bench.seen:
        bench.last_h[one.path, one.account] = hour_of(from_ms(one.at_ms))
    return bench


def sites_of(bench: Bench, known: set[Key]) -> list[Site]:
    """List the calls and messages that are not `known` yet, at their first occurrence; note all calls there."""
    found = []
    for one in bench.seen:
        # Messages are struck where streams are: another course of the same procedure only hears them.
        if one.key in known or (one.is_stream and not bench.course.streams):
            continue
        known.add(one.key)
        if _belongs(bench.course, one):
            found.append(Site(bench.course.name, one.key, one.path, one.account, one.skip, one.is_stream))
    return found


def _belongs(course: Course, one: Seen) -> bool:
    # Where accounts are compared while the daemon runs, the comparison is what matters; starts are struck elsewhere.
    if one.is_stream != course.streams or (course.compares and one.key.procedure == "start"):
        return False
    return not course.only or any(word in f"{one.path} {one.key.step}" for word in course.only)


def cases_of(sites: Iterable[Site], *, every_kind: bool = False) -> list[Case]:
    """Cross sites with the kinds that make sense there.

    Of kinds that are one and the same to the daemon at a call one is struck, another at each site. What changes
    something at the exchange is struck once and often, what only reads or tells by turns. `every_kind`: all of it.
    """
    cases = []
    for number, site in enumerate(sites):
        for turn, alike in enumerate(alike_at(site.path, is_stream=site.is_stream), number):
            for kind in alike if every_kind else (alike[number % len(alike)],):
                times = times_of(kind)
                if not (every_kind or changes_something(site.path)):
                    times = (times[turn % len(times)],)
                cases += [Case(site, kind, often) for often in times]
    return cases


def run_case(bench: Bench, case: Case, directory: Path, known: set[Key], *, whole: bool) -> Result:
    """Live through one case, and start anew without the fault when it ended the daemon; say what is wrong then."""
    state = directory / "state"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(bench.template, state)
    began_s = time.process_time()
    life = _limited(bench, state, case.rows(), may_end=not whole)
    ended, new, places = _ended(life), _new(case, life, known), _places(life)
    if ended:
        again = _limited(bench, state, [], may_end=not whole)
        if _ended(again) or again.error:
            return Result((f"{ended}; and again: {_ended(again)} {again.error[-600:]}",), halted=ended)
        life = again
    cpu_s = time.process_time() - began_s
    if life.error:
        return Result((life.error[-2500:],), halted=ended, cpu_s=cpu_s)
    at_h = life.result.get("converged")
    wanted = bench.end if at_h is None else bench.wanted[at_h]
    said = read_said(state / "eternal.db") if at_h is None else Said(("as if nothing had happened",))
    wrong = tuple(judge(wanted, life.result, said, ended))
    hours = None if at_h is None else at_h - epoch_h(bench.course.scenario.before)
    return Result(wrong, hours, ended, not _same(life.result, wanted), tuple(new), cpu_s, places)


class TooLong(Exception):
    """Say that a life has used more of a processor than any needs."""


def _limited(bench: Bench, state: Path, rows: list[Row], *, may_end: bool) -> Life:
    """Live one life; it is cut off by what it uses of a processor, never by the clock on the wall."""

    def cut_off(*_: Any) -> None:
        raise TooLong(f"{MOST_CPU_S} s of a processor are used up")

    signal.signal(signal.SIGPROF, cut_off)
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    faulthandler.dump_traceback_later(STANDS_STILL_S, exit=True)
    try:
        found, watcher = live_under(bench, state, rows, may_end=may_end)
    except EternalError as error:
        # A start that is refused says why on the terminal.
        return Life({"refused": f"{type(error).__name__}: {error.message} ({error.where})"}, killed=False)
    except Exception:  # noqa: BLE001 - whatever it is, it is what went wrong in this case
        return Life(None, killed=False, error=traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    assert watcher.spy is not None
    return Life({**found, "new": _rows(watcher.spy.seen)}, killed=False)


def _rows(seen: Iterable[Seen]) -> list[Any]:
    """Write the first occurrence of each key, for a parent to read."""
    first: dict[Key, Seen] = {}
    for one in seen:
        first.setdefault(one.key, one)
    return [[*one.key, one.path, one.account, one.skip, one.is_stream, one.place] for one in first.values()]


def _new(case: Case, life: Life, known: set[Key]) -> list[Site]:
    """List the calls that this life made and no other: what is struck there needs this fault first."""
    if life.error or "new" not in life.result:
        return []
    prior = tuple(json.dumps(row) for row in case.rows())
    found = []
    for *words, path, account, skip, is_stream, _ in life.result["new"]:
        key = Key(*words)
        if key not in known and not is_stream:
            found.append(Site(case.site.course, key, path, account, skip, is_stream, prior))
    return found


def _places(life: Life) -> tuple[Place, ...]:
    """List the lines of the program that called the exchange in a life."""
    rows = [] if life.error else life.result.get("new", [])
    return tuple({Place(*row[-1]) for row in rows if row[-1] is not None})


def _ended(life: Life) -> str:
    """Say how a daemon ended that did not come to its hour; empty when it did."""
    if life.error:
        return ""
    if "refused" in life.result:
        return str(life.result["refused"])
    code, reason = life.result["ending"]
    return f"ended with {code}: {reason}" if code else ""


@dataclass
class Tally:
    """Count what became of cases."""

    cases: int = 0
    failed: int = 0
    whole: int = 0
    halted: int = 0
    differs: int = 0
    most_h: int = 0
    cpu_s: float = 0.0

    def add(self, result: Result) -> None:
        """Count one."""
        self.cases += 1
        self.failed += bool(result.wrong)
        self.whole += result.hours is None
        self.halted += bool(result.halted)
        self.differs += result.differs
        self.most_h = max(self.most_h, result.hours or 0)
        self.cpu_s += result.cpu_s


def run_wave(
    bench: Bench, cases: Sequence[Case], directory: Path, jobs: int, known: set[Key], whole_every: int
) -> tuple[Tally, list[Site], set[Place]]:
    """Run cases in `jobs` processes, each printing what went wrong at once; give counts, what was newly called, and
    from where.

    Every `whole_every`-th case lives to the end of its days even when all is long as if nothing had happened.
    """
    gc.collect()
    gc.freeze()
    workers = []
    for job in range(jobs):
        notes = directory / f"worker-{job}"
        notes.mkdir(exist_ok=True)
        worker = os.fork()
        if worker == 0:
            code = 1
            try:
                with (notes / "found.jsonl").open("w", encoding="utf-8") as lines:
                    for number, case in list(enumerate(cases))[job::jobs]:
                        result = run_case(bench, case, notes, known, whole=number % whole_every == 0)
                        lines.write(json.dumps(asdict(result)) + "\n")
                        lines.flush()
                        if result.wrong:
                            _tell(case, result)
                code = 0
            except BaseException:  # noqa: BLE001 - shown, and told by the exit code
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        workers.append((worker, notes))
    tally, new, places = Tally(), dict[Key, Site](), set[Place]()
    for worker, notes in workers:
        _, status = os.waitpid(worker, 0)
        assert status == 0, f"a worker of {bench.course.name} failed"
        for line in (notes / "found.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            sites = [Site(**{**one, "key": Key(*one["key"]), "prior": tuple(one["prior"])}) for one in row.pop("new")]
            tally.add(Result(**row))
            places |= {Place(*place) for place in row["places"]}
            for site in sites:
                new.setdefault(site.key, site)
    return tally, list(new.values()), places


def _tell(case: Case, result: Result) -> None:
    os.write(1, (json.dumps({"case": str(case), "wrong": result.wrong}) + "\n").encode())


def main(arguments: Sequence[str]) -> int:
    """Run the cases and print one JSON line a course and wave, and one for each case that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    ways = courses()
    names = [course.name for course in ways]
    parser.add_argument(
        "--course", action="append", choices=names, help="strike in this one only; what it shares with others, too"
    )
    parser.add_argument("--beside", action="append", choices=names, default=[], help="leave out what this one strikes")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS))
    parser.add_argument("--match", default="", help="only sites whose path or step contains this")
    parser.add_argument("--stride", type=int, default=1, help="run every so many-th case")
    parser.add_argument("--waves", type=int, default=MOST_WAVES, help="1: only at calls of an undisturbed run")
    parser.add_argument("--whole-every", type=int, default=40, help="let every so many-th case live all its days")
    parser.add_argument("--every-kind", action="store_true", help="also those that are the same to the daemon")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="show the sites and strike none")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--plant", choices=sorted(PLANTS), help="put a bug in first")
    asked = parser.parse_args(arguments)
    if asked.plant:
        PLANTS[asked.plant].put_in()
    known: set[Key] = set()
    places: set[Place] = set()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="faults-", dir=asked.dir) as name:
        for course in ways:
            if asked.course and course.name not in (*asked.course, *asked.beside):
                continue
            bench = prepare(course, Path(name))
            if course.name in asked.beside:
                sites_of(bench, known)
                continue
            places |= {one.place for one in bench.seen if one.place is not None}
            sites = [site for site in sites_of(bench, known) if asked.match in f"{site.path} {site.key.step}"]
            if asked.list:
                for site in sites:
                    print(json.dumps(asdict(site)))
                continue
            for wave in range(1, asked.waves + 1):
                cases = cases_of(sites, every_kind=asked.every_kind or bool(asked.kind))
                cases = [case for case in cases if not asked.kind or case.kind in asked.kind][:: asked.stride]
                tally, new, called = run_wave(bench, cases, Path(name), asked.jobs, known, asked.whole_every)
                places |= called
                bad += tally.failed
                line = {"course": course.name, "wave": wave, "sites": len(sites), **asdict(tally), "new": len(new)}
                print(json.dumps(line), flush=True)
                known |= {site.key for site in new}
                sites = new
                if not new:
                    break
    print(json.dumps({"places": sorted(places)}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

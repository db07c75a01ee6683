"""Kill a daemon at a numbered point, by a real SIGKILL of a real process over real files, start it again, and compare.

Importing takes seconds, so one parent imports everything and forks a few workers; each forks a child for every life
that is to be killed, and lives the life after it. `python tests/crash_forks.py --help` runs whole enumerations by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

# Not a thread may exist when a process forks.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from crash_daemon import QUICK, SLOW, Knife, live
from crash_market import SCENARIOS, Scenario
from crash_market import scenario as find_scenario
from crash_plants import PLANTS
from eternal_engine.launch.caretaker import Caretaker
from eternal_engine.model.ids import Leg
from eternal_engine.simulator.venue import VenueConfig

KILLED: Final = "killed"
LEDGER: Final = {
    "orders": "order",
    "executions": "execution",
    "positions": "position",
    "balances": "balance",
    "transfers": "transfer",
}
UNWIND: Final = Leg.SPOT_UNWIND.value
MOST_RECOVERY_POINTS: Final = 400
MOST_DRAWS: Final = 5


@dataclass(frozen=True)
class Life:
    """Hold how one process ended: its result, or that it was killed, or its traceback."""

    result: Any
    killed: bool
    error: str = ""


@dataclass(frozen=True)
class Strike:
    """Hold one case: where the process was killed, in its life and in its recoveries, and what was wrong then.

    `undone`: the crash fell between a pair's legs, and the first was sold again. `kills`: how often it was killed.
    """

    scenario: str
    points: tuple[int, ...]
    at: str
    wrong: tuple[str, ...]
    undone: bool = False
    kills: int = 0


@dataclass
class Bench:
    """Hold what all strikes of a scenario share: the files before the procedure, and the undisturbed end."""

    scenario: Scenario
    history: Any
    template: Path
    config: VenueConfig
    wired: bool = False
    wanted: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)


def in_child(work: Callable[[], Any], note: Path) -> Life:
    """Do work in a forked process; its result comes back by a file."""
    note.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            note.write_text(json.dumps({"result": work()}), encoding="utf-8")
            code = 0
        except BaseException:  # noqa: BLE001 - the parent is told, whatever it was
            note.write_text(json.dumps({"error": traceback.format_exc()}), encoding="utf-8")
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Life(None, os.WTERMSIG(status) == signal.SIGKILL, f"signal {os.WTERMSIG(status)}")
    told = json.loads(note.read_text(encoding="utf-8"))
    return Life(told.get("result"), False, told.get("error", ""))


def in_this_process(work: Callable[[], Any]) -> Life:
    """Do work here, without the cost of a fork; whatever goes wrong in it is told."""
    try:
        return Life(work(), killed=False)
    except Exception:  # noqa: BLE001 - it is what went wrong in this life
        return Life(None, killed=False, error=traceback.format_exc())


def prepare(
    scenario: Scenario, directory: Path, config: VenueConfig = QUICK, *, looks: bool = True, wired: bool = False
) -> Bench:
    """Live to the procedure, keep the files, and live through it undisturbed; `looks`: at the disk at each point."""
    bench = Bench(scenario, scenario.history(), directory / f"{scenario.name}-template", config, wired)
    bench.template.mkdir(parents=True)

    def run(state: Path, until: int, knife: Knife) -> dict[str, Any]:
        return _live_until(bench, state, until, knife)

    # In the parent itself, so that its children find everything imported and compiled.
    before = {"orders": []} if scenario.from_nothing else run(bench.template, scenario.before, Knife())
    state = directory / f"{scenario.name}-undisturbed"
    knife = Knife(folder=state if looks else None)
    shutil.copytree(bench.template, state)
    bench.wanted = run(state, scenario.until, knife)
    bench.names, bench.images = knife.names, knife.images
    bench.prints = knife.prints or [""] * len(knife.names)
    sent = len(_ours(bench.wanted)) - len(_ours(before))
    assert sent == scenario.orders, f"{scenario.name} sends {sent} orders, not {scenario.orders}"
    assert threading.active_count() == 1, "a thread would not live on in a forked process"
    return bench


def _ours(found: dict[str, Any]) -> list[Any]:
    return [row for row in found["orders"] if row[1]]


def strike(bench: Bench, points: Sequence[int], directory: Path) -> Strike:
    """Kill one life after the other at the given points, then let one live to the end, and compare."""
    struck = list(points)
    for _ in range(MOST_DRAWS):
        names, life = _killed(bench, struck, directory)
        if len(names) == len(struck) or not names or not isinstance(life.result, dict):
            break
        # This recovery is over before it comes to its point: strike the same one anew, within its length.
        struck[len(names)] = 1 + (struck[len(names)] - 1) % life.result["passed"]
    at, kills = " then ".join(names), len(names)
    if life.error and not life.killed:
        return Strike(bench.scenario.name, tuple(struck), at, (life.error,), kills=kills)
    # Another process than the killed one, and nothing of its lives is left in memory: a start reads all from the files.
    last = in_this_process(lambda: _live(bench, directory / "state", 0))
    if last.error:
        return Strike(bench.scenario.name, tuple(struck), at, (last.error,), kills=kills)
    undone = is_undone(bench.wanted, last.result)
    wrong = tuple((compare_undone if undone else compare)(bench.wanted, last.result))
    return Strike(bench.scenario.name, tuple(struck), at, wrong, undone, kills)


def _killed(bench: Bench, points: Sequence[int], directory: Path) -> tuple[list[str], Life]:
    """Kill lives on a fresh copy of the files until all points are struck or one is not; name those, give the last."""
    state = directory / "state"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(bench.template, state)
    names: list[str] = []
    for number, at in enumerate(points):
        life = in_child(lambda at=at: _live(bench, state, at), directory / "note.json")  # type: ignore[misc]
        if not life.killed:
            # Tasks behind a wire take turns otherwise than in the life that was counted.
            assert number > 0 or bench.wired or life.error, f"{bench.scenario.name} never came to point {at}"
            break
        names.append(bench.names[at - 1] if number == 0 else f"point {at} of recovery {number}")
    return names, life


def _live(bench: Bench, state: Path, at: int) -> dict[str, Any]:
    return _live_until(bench, state, bench.scenario.until, Knife(at))


def _live_until(bench: Bench, state: Path, until: int, knife: Knife) -> dict[str, Any]:
    life = live(state, bench.scenario, bench.history, until, knife, config=bench.config, is_wired=bench.wired)
    # The line of an exchange inside this process never breaks, and is watched by the clock on the wall.
    with patch.object(Caretaker, "duties", lambda *_: ()) if bench.wired else nullcontext():
        return {**asyncio.run(life), "passed": knife.passed}


def compare(wanted: dict[str, Any], found: dict[str, Any]) -> Iterable[str]:
    """Name every difference between two ends: by the venue's ledger, then by the books."""
    for name, times in Counter(row[1] for row in found["orders"] if row[1]).items():
        if times > 1:
            yield f"order {name} stands {times} times at the exchange"
    for part, words in LEDGER.items():
        mine, theirs = Counter(map(tuple, found[part])), Counter(map(tuple, wanted[part]))
        for row in theirs - mine:
            yield f"{words} is missing: {' '.join(row)}"
        for row in mine - theirs:
            yield f"{words} nobody wanted: {' '.join(row)}"
    if found["ending"] != wanted["ending"]:
        yield f"it ended {found['ending']}"
    for row in found["differences"]:
        yield f"books and exchange differ: {row}"
    for part in ("pending", "open", "undone_transfers"):
        if found[part] != wanted[part]:
            yield f"{part}: {found[part]} instead of {wanted[part]}"
    if found["memory"] != wanted["memory"]:
        yield f"memory: {_differing(json.loads(wanted['memory']), json.loads(found['memory']))}"


def compare_undone(wanted: dict[str, Any], found: dict[str, Any]) -> Iterable[str]:
    """Name what is wrong where a crash between two legs ended in none of them (FUND-3): the rest must be as wanted."""

    def rest(end: dict[str, Any]) -> dict[str, Any]:
        parts = {part: [row for row in end[part] if row[0] != "FUNDING"] for part in LEDGER}
        memory = json.loads(end["memory"])
        memory["states"].pop("funding")
        memory["states"].pop("risk")
        return {**end, **parts, "memory": json.dumps(memory)}

    yield from compare(rest(wanted), rest(found))
    yield from naked(found)


def is_undone(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    """Tell whether a pair's first leg was unwound that an undisturbed run keeps."""
    mine, theirs = ({row[1] for row in end["orders"] if f"-{UNWIND}-" in row[1]} for end in (found, wanted))
    return bool(mine - theirs)


def naked(found: dict[str, Any]) -> Iterable[str]:
    """Name every position of TREND without its stop, and every leg of FUNDING without the other."""
    held = {(row[0], row[1]): Decimal(row[2]) for row in found["balances"]}
    for account, symbol, size, _, stop in found["positions"]:
        if account == "TREND" and Decimal(stop) == 0:
            yield f"{symbol} of TREND has no stop"
        spot = held.get((account, symbol.removesuffix("USDT")), Decimal(0))
        if account == "FUNDING" and abs(spot + Decimal(size)) > abs(Decimal(size)) * Decimal("0.02"):
            yield f"{symbol} of FUNDING: {spot} spot against {size} perp"
    shorts = {symbol for account, symbol, *_ in found["positions"] if account == "FUNDING"}
    for (account, coin), qty in held.items():
        if account == "FUNDING" and coin != "USDT" and f"{coin}USDT" not in shorts and qty > Decimal("0.01"):
            yield f"{qty} {coin} of FUNDING stand without a perp"


def _differing(wanted: Any, found: Any, name: str = "") -> str:
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = sorted({*wanted, *found})
        return "; ".join(
            _differing(wanted.get(key), found.get(key), f"{name}.{key}")
            for key in keys
            if wanted.get(key) != found.get(key)
        )
    return f"{name} is {found}, not {wanted}"


def enumerate_all(bench: Bench, stride: int = 1) -> list[tuple[int, ...]]:
    """List every `stride`-th of the points at which a crash leaves a disk of its own.

    Between two writes nothing that lasts changes, however much is read: of such a stretch the first and the last point
    are struck. That the disk is the same is not only argued: its bytes are (`prints`), or the stretch ends.
    """
    images = [(-1, ""), *zip(bench.images, bench.prints, strict=True), (-1, "")]
    ends = [at for at in range(1, len(images) - 1) if not images[at - 1] == images[at] == images[at + 1]]
    return [(point,) for point in ends[::stride]]


def unlike_inside(bench: Bench) -> list[int]:
    """List the points whose disk differs from the point's before, although nothing was written by any count."""
    rows = list(zip(bench.images, bench.prints, strict=True))
    return [at + 1 for at in range(1, len(rows)) if rows[at][0] == rows[at - 1][0] and rows[at][1] != rows[at - 1][1]]


def enumerate_whole(bench: Bench, stride: int = 1) -> list[tuple[int, ...]]:
    """List every `stride`-th point there is."""
    return [(point,) for point in range(1, len(bench.names) + 1, stride)]


def sample_twice(bench: Bench, count: int, seed: int) -> list[tuple[int, ...]]:
    """Draw pairs: a point of the procedure, and one of the recovery after it."""
    dice = random.Random(f"{seed} {bench.scenario.name}")
    return [
        (dice.randint(1, len(bench.names)), dice.randint(1, min(len(bench.names), MOST_RECOVERY_POINTS)))
        for _ in range(count)
    ]


def strike_all(bench: Bench, cases: Sequence[tuple[int, ...]], directory: Path, jobs: int) -> list[Strike]:
    """Strike every case, in `jobs` processes beside each other."""
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
                found = [strike(bench, points, notes) for points in cases[job::jobs]]
                (notes / "strikes.json").write_text(json.dumps([vars(one) for one in found]), encoding="utf-8")
                code = 0
            except BaseException:  # noqa: BLE001 - shown, and told by the exit code
                traceback.print_exc()
            finally:
                os._exit(code)
        workers.append((worker, notes))
    strikes: list[Strike] = []
    for worker, notes in workers:
        _, status = os.waitpid(worker, 0)
        assert status == 0, f"a worker of {bench.scenario.name} failed"
        strikes += [
            Strike(**{**row, "points": tuple(row["points"]), "wrong": tuple(row["wrong"])})
            for row in json.loads((notes / "strikes.json").read_text(encoding="utf-8"))
        ]
    return strikes


def main(arguments: Sequence[str]) -> int:
    """Run enumerations and print one JSON line a scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", help="its name; all when left out")
    parser.add_argument("--stride", type=int, default=1, help="strike every so many-th point")
    parser.add_argument("--whole", action="store_true", help="strike reads between the same two writes, too")
    parser.add_argument("--twice", type=int, default=0, help="sample so many double kills a scenario instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--point", type=int, action="append", help="strike at these points alone, one after the other")
    parser.add_argument("--dir", type=Path, help="where the files are; a temporary directory when left out")
    parser.add_argument("--slow", action="store_true", help="let the exchange's lists lag behind its orders")
    parser.add_argument(
        "--wired", action="store_true", help="let streams have tasks and orders leave together, as over a wire"
    )
    parser.add_argument("--plant", choices=sorted(PLANTS), help="put a bug in first")
    asked = parser.parse_args(arguments)
    if asked.plant:
        PLANTS[asked.plant].put_in()
    names = asked.scenario or [row.name for row in SCENARIOS]
    bad = 0
    with tempfile.TemporaryDirectory(prefix="crash-", dir=asked.dir) as directory:
        for name in names:
            scenario = find_scenario(name)
            looks = not (asked.twice or asked.whole or asked.point or asked.wired)
            if asked.slow:
                # What is seen late is done within the next hour.
                bench = prepare(replace(scenario, until=scenario.until + 1), Path(directory), SLOW, looks=looks)
            else:
                bench = prepare(scenario, Path(directory), looks=looks, wired=asked.wired)
            if asked.point:
                cases = [tuple(asked.point)]
            elif asked.twice:
                cases = sample_twice(bench, asked.twice, asked.seed)
            else:
                cases = (enumerate_whole if asked.whole or asked.wired else enumerate_all)(bench, asked.stride)
            strikes = strike_all(bench, cases, Path(directory), asked.jobs)
            failed = [one for one in strikes if one.wrong]
            bad += len(failed)
            line = {
                "scenario": name,
                "points": len(bench.names),
                "writes": len(set(bench.images)),
                **({"unlike": len(unlike_inside(bench))} if looks else {}),
                "struck": sum(one.kills > 0 for one in strikes),
                "twice": sum(one.kills > 1 for one in strikes),
                "undone": sum(one.undone for one in strikes),
                "failed": len(failed),
            }
            print(json.dumps(line), flush=True)
            for one in failed:
                print(json.dumps(vars(one)), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

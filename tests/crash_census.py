"""Strike all there is on one head, every kill and every fault, and write down in one JSON file what came of it.

`python tests/crash_census.py --dir DIR` runs the enumerations of `crash_forks.py` and `fault_runs.py`, one process a
scenario or course; what was struck before on the same head is not struck again, so it may be stopped at any time.
`--publish FILE` then writes the tables into a document, between the lines that mark them.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from crash_market import SCENARIOS
from fault_runs import courses
from fault_sites import Place, not_struck

TESTS: Final = Path(__file__).parent
# How the scenarios are killed: the arguments, and about how many seconds of a processor one of them takes.
KILLS: Final[dict[str, tuple[tuple[str, ...], int]]] = {
    "once": ((), 70),
    "twice": (("--twice", "55", "--seed", "8"), 60),
    "wired": (("--wired", "--stride", "8"), 50),
    "late": (("--slow", "--stride", "4"), 40),
}
# What all starts have in common is struck in the first of these, and the setting ahead of leverage in the second.
SHARED: Final = ("breaker_3",)
SHARED_WIRED: Final = (*SHARED, "core_cycle wired")
LONGEST: Final = {"breaker_3 wired": 250, "breaker_3": 250, "funding_open wired": 200, "trend_entry wired": 190}
USUAL_S: Final = 80
KILL_COLUMNS: Final = {
    "once": "Killed once",
    "twice": "Killed twice",
    "wired": "Killed behind a wire",
    "late": "Killed where lists lag",
}
BEGIN, END = "<!-- census begins -->\n", "<!-- census ends -->\n"


@dataclass(frozen=True)
class Unit:
    """Name one enumeration: `part` is a way to kill, or "faults"; `of` its scenario or course."""

    part: str
    of: str
    script: str
    arguments: tuple[str, ...]
    about_s: int

    @property
    def name(self) -> str:
        """Name its file."""
        return f"{self.part}-{self.of}".replace(" ", "-")


def units() -> list[Unit]:
    """Give all enumerations, the widest part first and of each the longest: whoever stops early has most of it."""
    kills = [
        Unit(part, row.name, "crash_forks.py", ("--scenario", row.name, *how), about_s)
        for part, (how, about_s) in KILLS.items()
        for row in SCENARIOS
    ]
    faults = [
        Unit("faults", course.name, "fault_runs.py", _course(course.name), LONGEST.get(course.name, USUAL_S))
        for course in courses()
    ]
    return sorted([*kills, *faults], key=lambda unit: (_comes_later(unit), -unit.about_s))


def _comes_later(unit: Unit) -> int:
    if unit.part == "late" or unit.of.endswith("heard"):
        return 2
    return int(unit.of.endswith("wired"))


def _course(name: str) -> tuple[str, ...]:
    others = SHARED_WIRED if name.endswith("wired") else SHARED
    return ("--course", name, *(word for other in others if other != name for word in ("--beside", other)))


def run_unit(unit: Unit, directory: Path, scratch: Path | None) -> dict[str, Any]:
    """Run one enumeration in a process of its own, and keep what it printed and what it cost.

    `cpu_s` counts the process and all it has forked.
    """
    with tempfile.TemporaryDirectory(prefix="census-", dir=scratch) as files:
        command = [sys.executable, str(TESTS / unit.script), *unit.arguments, "--jobs", "1", "--dir", files]
        began_s = time.monotonic()
        with (directory / f"{unit.name}.err").open("w", encoding="utf-8") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            assert child.stdout is not None
            lines = [json.loads(line) for line in child.stdout]
            _, status, used = os.wait4(child.pid, 0)
            # The process is waited for already; its object is told so.
            child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "part": unit.part,
        "of": unit.of,
        "arguments": list(unit.arguments),
        "exit_code": child.returncode,
        "wall_s": round(time.monotonic() - began_s, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "lines": lines,
    }


def head_of(top: Path) -> str:
    """Name the commit of a checkout; uncommitted changes of program or tests are told."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(top), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+changes" if git("status", "--porcelain", "src", "tests") else "")


def run_all(wanted: Sequence[Unit], directory: Path, head: str, jobs: int, scratch: Path | None) -> None:
    """Run what has not been run on this head, `jobs` at a time; end when the checkout is another."""
    waiting: queue.SimpleQueue[Unit] = queue.SimpleQueue()
    for unit in wanted:
        if not _is_done(directory / f"{unit.name}.json", head, unit):
            waiting.put(unit)

    def work() -> None:
        while head_of(TESTS.parent) == head:
            try:
                unit = waiting.get_nowait()
            except queue.Empty:
                return
            found = {"head": head, **run_unit(unit, directory, scratch)}
            # Written wholly or not at all: who stops this in between strikes the unit again.
            half = directory / f"{unit.name}.half"
            half.write_text(json.dumps(found), encoding="utf-8")
            half.replace(directory / f"{unit.name}.json")
            print(unit.name, found["exit_code"], f"{found['cpu_s']} s of a processor", file=sys.stderr, flush=True)

    workers = [threading.Thread(target=work) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _is_done(path: Path, head: str, unit: Unit) -> bool:
    if not path.exists():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    return found["head"] == head and found["arguments"] == list(unit.arguments)


def summarize(wanted: Iterable[Unit], found: Mapping[str, dict[str, Any]], head: str) -> dict[str, Any]:
    """Sum up what the units of one head have found: rows by scenario and course, and what failed or was not run."""
    kills: dict[str, dict[str, Any]] = {}
    faults: dict[str, dict[str, Any]] = {}
    failures: list[dict[str, Any]] = []
    missing: list[str] = []
    called: set[Place] = set()
    cpu_s = 0.0
    for unit in wanted:
        ran = found.get(unit.name)
        if ran is None or ran["head"] != head:
            missing.append(unit.name)
            continue
        cpu_s += ran["cpu_s"]
        wrong = [line for line in ran["lines"] if "wrong" in line]
        failures += [{"unit": unit.name, **line} for line in wrong]
        if not ran["lines"] or ran["exit_code"] != bool(wrong):
            failures.append({"unit": unit.name, "wrong": [f"it ended with {ran['exit_code']}: see {unit.name}.err"]})
        elif unit.part == "faults":
            faults[unit.of] = row = _course_row(ran)
            called |= {Place(*place) for line in ran["lines"] for place in line.get("places", ())}
            missing += [f"{row['left']} calls of {unit.name} that only many faults bring about"] if row["left"] else []
        else:
            kills.setdefault(unit.of, {})[unit.part] = {**ran["lines"][0], "cpu_s": ran["cpu_s"]}
    if len(faults) == len(courses()):
        missing += [f"{place.file} {place.function} {place.verb}" for place in not_struck(called)]
    return {
        "head": head,
        "cpu_s": round(cpu_s),
        "kills": {row.name: kills[row.name] for row in SCENARIOS if row.name in kills},
        "faults": {course.name: faults[course.name] for course in courses() if course.name in faults},
        "failures": failures,
        "missing": missing,
    }


def _course_row(ran: Mapping[str, Any]) -> dict[str, Any]:
    """Sum the waves of a course."""
    waves = [line for line in ran["lines"] if "wave" in line]
    sums = Counter[str]()
    for line in waves:
        sums.update({part: line[part] for part in ("sites", "cases", "failed", "halted", "whole", "differs")})
    # Calls that only faults bring about are struck in the waves after the first; what the last has found is left over.
    behind = sum(line["sites"] for line in waves[1:])
    return {**sums, "behind": behind, "left": waves[-1]["new"], "waves": len(waves), "cpu_s": ran["cpu_s"]}


def tables(summary: Mapping[str, Any]) -> str:
    """Write the summary as two tables, with their sums."""
    kills, faults = summary["kills"], summary["faults"]
    top = ["Scenario", "Points", "Stretches", *KILL_COLUMNS.values(), "Ended in no leg (FUND-3)", "Failed"]
    rows = [[f"`{name}`", *_kill_cells(ways)] for name, ways in kills.items()]
    lines = [f"All rows were struck on `{summary['head']}`.", "", *_table(top, rows), ""]
    top = ["Course", "Calls or messages", "only after a fault", "Cases", "Daemon ended, said why, went on", "Failed"]
    parts = ("sites", "behind", "cases", "halted", "failed")
    rows = [[name, *(row[part] for part in parts)] for name, row in faults.items()]
    lines += _table(top, rows)
    if summary["missing"]:
        words = f"Not struck on this head: {', '.join(summary['missing'])}."
        lines += ["", *textwrap.wrap(words, 120, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def _kill_cells(ways: Mapping[str, Mapping[str, int]]) -> list[int | None]:
    once = ways.get("once")
    struck = {part: row["twice" if part == "twice" else "struck"] for part, row in ways.items()}
    return [
        once["points"] if once else None,
        once["writes"] + once.get("unlike", 0) if once else None,
        *map(struck.get, KILL_COLUMNS),
        sum(row["undone"] for row in ways.values()),
        sum(row["failed"] for row in ways.values()),
    ]


def _table(top: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Write a table with its sums; what was not struck stays empty."""
    sums = ["together", *(sum(filter(None, column)) for column in list(zip(*rows, strict=True))[1:])] if rows else []
    return [
        f"| {' | '.join('' if cell is None else str(cell) for cell in row)} |"
        for row in (top, ["---"] * len(top), *rows, sums)
        if row
    ]


def publish(document: str, made: str) -> str:
    """Put the tables between the lines of a document that mark them."""
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the document lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main(arguments: Sequence[str]) -> int:
    """Run what is left to run, write the summary, and give 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where the results lie, and summary.json")
    parser.add_argument("--scratch", type=Path, help="where the daemons' files lie meanwhile, best in memory")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--match", default="", help="only units with this in their name")
    parser.add_argument("--stride", type=int, default=1, help="strike every so many-th case, to try the command")
    parser.add_argument("--summary-only", action="store_true", help="run nothing")
    parser.add_argument("--publish", type=Path, help="write the tables into this document")
    asked = parser.parse_args(arguments)
    wanted = [unit for unit in units() if asked.match in unit.name]
    if asked.stride > 1:
        wanted = [replace(unit, arguments=(*unit.arguments, "--stride", str(asked.stride))) for unit in wanted]
    asked.dir.mkdir(parents=True, exist_ok=True)
    head = head_of(TESTS.parent)
    if not asked.summary_only:
        run_all(wanted, asked.dir, head, asked.jobs, asked.scratch)
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in asked.dir.glob("*-*.json")}
    summary = summarize(wanted, found, head)
    (asked.dir / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    print(json.dumps(summary))
    if asked.publish:
        text = asked.publish.read_text(encoding="utf-8")
        asked.publish.write_text(publish(text, tables(summary)), encoding="utf-8")
    return 1 if summary["failures"] or summary["missing"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

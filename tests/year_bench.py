"""Run the daemon over simulated time in a process of its own, and print as JSON what it took and whether it grew.

python tests/year_bench.py --market DIR --start 2021-10-01 --until 2022-09-30
python tests/year_bench.py --market synthetic --until 2024-03-31 --speed 1000000   (over the wire, two processes)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

LOOK_S = 0.25
PARTS = 8


def command(asked: argparse.Namespace, folder: Path) -> list[str]:
    words = [sys.executable, "-m", "eternal_engine", "run", "--mode", "paper", "--json", "--state-dir", str(folder)]
    for name in ("market", "start", "until", "speed"):
        value = getattr(asked, name)
        words += [f"--{name}", value] if value else []
    return words


def look(daemon: psutil.Process) -> dict[str, float] | None:
    """Give memory, handles, threads and processor time of the daemon, and memory of its exchange; None: it ended."""
    try:
        used = daemon.cpu_times()
        children = [child.memory_info().rss for child in daemon.children() if child.status() != psutil.STATUS_ZOMBIE]
        return {
            "cpu_s": used.user + used.system,
            "rss_mb": daemon.memory_info().rss / 1e6,
            "exchange_rss_mb": sum(children) / 1e6,
            "handles": daemon.num_fds(),
            "threads": daemon.num_threads(),
        }
    except psutil.Error:
        return None


def run(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    seen: list[dict[str, float]] = []
    began_s = time.monotonic()
    with (folder.parent / "answer.json").open("w+") as answer:
        process = subprocess.Popen(
            command(asked, folder),
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        daemon = psutil.Process(process.pid)
        while process.poll() is None:
            found = look(daemon)
            if found is not None:
                seen.append(found)
            time.sleep(LOOK_S)
        wall_s = time.monotonic() - began_s
        answer.seek(0)
        summary = json.loads(answer.read() or "{}")
    return summed(seen, wall_s, summary) | {"exit_code": process.returncode}


def summed(seen: list[dict[str, float]], wall_s: float, summary: dict[str, Any]) -> dict[str, Any]:
    """Cut the looks into equal parts of the run; the first holds the start, so growth is from the second on."""
    edges = [len(seen) * part // PARTS for part in range(PARTS + 1)]
    parts = [seen[first:last] for first, last in pairwise(edges) if last > first]
    peaks = {name: [round(max(row[name] for row in part), 1) for part in parts] for name in seen[0]} if seen else {}
    peaks.pop("cpu_s", None)
    hours = summary.get("hours", 0)
    cpu_s = seen[-1]["cpu_s"] if seen else 0.0
    return {
        "hours": hours,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "days_per_minute": round(hours / 24 / wall_s * 60, 1),
        "peaks_by_part": peaks,
        "growth_mb": round(peaks["rss_mb"][-1] - peaks["rss_mb"][1], 1) if len(parts) > 1 else None,
        "load": round(os.getloadavg()[0], 1),
        **{name: summary.get(name) for name in ("orders", "fills", "venue_ledger_matches", "result_hash")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", default="synthetic")
    parser.add_argument("--start", default="")
    parser.add_argument("--until", default="2024-03-31")
    parser.add_argument("--speed", default="max")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(parser.parse_args(), Path(folder) / "state")))


if __name__ == "__main__":
    main()

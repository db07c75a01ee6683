"""Run the mutants of one pure part, each in a fork of one process that has collected the part's tests.

    python tests/mutants.py ledger --dir DIR [--again]

mutmut makes the mutants and finds which test reaches which function; forks then run them many times faster than a start
of pytest each. `--again` runs those that lived once more, against all tests of the part as they are now, with every
example of hypothesis. What is computed while modules are imported cannot be judged so: it is printed as `not judged`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tests", "config")
FILES = ("pyproject.toml", "README.md")
QUICK = "max_examples=40, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)"
CPU_LIMIT_S = 20
CONFIG = """
[tool.mutmut]
source_paths = ["src/"]
only_mutate = ["src/eternal_engine/{part}/*"]
pytest_add_cli_args_test_selection = ["tests/unit/{part}/"]
pytest_add_cli_args = ["-n0", "-p", "no:cacheprovider"]
also_copy = ["tests", "config", "README.md"]
use_git_change_detection = false
"""


def main() -> int:
    """Copy the tree, make the mutants, run them, and print what lived; DIR keeps the results of a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("ledger", "risk", "strategies", "model", "portfolio"))
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    place = args.dir / args.part
    if not args.again:
        _make(place, args.part)
    else:
        shutil.copytree(ROOT / "tests", place / "mutants" / "tests", dirs_exist_ok=True)
    environ = os.environ | {
        "MUTANTS_PART": args.part,
        "MUTANTS_AGAIN": "1" if args.again else "",
        "PYTHONPATH": os.pathsep.join(["src", "tests"]),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-p", "mutants", "--assert=plain"]
    return subprocess.run(
        [*command, "-o", "timeout=0", f"tests/unit/{args.part}"], cwd=place / "mutants", env=environ, check=False
    ).returncode


def _make(place: Path, part: str) -> None:
    place.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, place / name)
    with (place / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(CONFIG.format(part=part))
    conftest = place / "tests" / "conftest.py"
    text = conftest.read_text(encoding="utf-8").replace("deadline=None)", f"deadline=None, {QUICK})")
    text = text.replace("from hypothesis import settings", "from hypothesis import Phase, settings")
    conftest.write_text(text, encoding="utf-8")
    # Asked for a mutant that is none, it makes all of them and the map of tests, and ends.
    made = subprocess.run([sys.executable, "-m", "mutmut", "run", "none"], cwd=place, check=False, capture_output=True)
    if not (place / "mutants" / "mutmut-stats.json").exists():
        raise SystemExit(made.stdout.decode()[-2000:])


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run every mutant that has no result yet; a run without any mutant must pass first, test by test."""
    part, again = os.environ["MUTANTS_PART"], bool(os.environ["MUTANTS_AGAIN"])
    stats = json.loads(Path("mutmut-stats.json").read_text(encoding="utf-8"))
    reached, seconds = stats["tests_by_mangled_function_name"], stats["duration_by_test"]
    items = {item.nodeid: item for item in session.items}
    first, second = Path("results.jsonl"), Path("results-again.jsonl")
    rows = map(json.loads, first.read_text(encoding="utf-8").splitlines()) if first.exists() else ()
    before = {row["mutant"]: row["result"] for row in rows}
    file = second if again else first
    names = [name for name in _mutants(part) if (before.get(name) == "lived" if again else name not in before)]
    gc.collect()
    gc.freeze()
    if _run(items.values(), session, "") != "lived":
        raise pytest.UsageError("the tests fail without any mutant")
    known = ""
    for name in names:
        function = name.rpartition("__mutmut_")[0]
        tests = sorted(reached.get(function, []), key=lambda test: seconds.get(test, 0.0))
        chosen = list(items.values()) if again else [items[test] for test in tests if test in items]
        if function != known and not again and _run(chosen, session, "") != "lived":
            raise pytest.UsageError(f"the tests of {function} fail without any mutant")
        known = function
        result = _run(chosen, session, name) if chosen else "not judged"
        with file.open("a", encoding="utf-8") as written:
            written.write(json.dumps({"mutant": name, "result": result}) + "\n")
    results = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    print("\n", dict(Counter(row["result"] for row in results)))
    print(*(f"{row['result']}: {row['mutant']}" for row in results if row["result"] != "killed"), sep="\n")
    return True


def _mutants(part: str) -> list[str]:
    files = sorted(Path(f"src/eternal_engine/{part}").glob("*.meta"))
    return [name for file in files for name in json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]]


def _run(items: Iterable[pytest.Item], session: pytest.Session, mutant: str) -> str:
    """Give "lived" when all tests pass under a mutant in a process of their own; a test that never ends kills it."""
    child = os.fork()
    if child == 0:
        _live(list(items), session, mutant)
    until = time.monotonic() + 10 * CPU_LIMIT_S
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "lived" if status == 0 else "killed"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed"


def _live(items: list[pytest.Item], session: pytest.Session, mutant: str) -> None:
    """Run tests without reports, and leave the process at the first that fails; never returns."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 5))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.environ["MUTANT_UNDER_TEST"] = mutant
    try:
        for number, item in enumerate(items):
            try:
                session._setupstate.setup(item)
                item.runtest()
            except pytest.skip.Exception:
                pass
            session._setupstate.teardown_exact(items[number + 1] if number + 1 < len(items) else None)
        os._exit(0)
    finally:
        # Whatever a test raises, an exit included, ends in this: nothing of this process may go on.
        os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main())
